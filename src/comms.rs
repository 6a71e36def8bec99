//! Sending to any client from anywhere: from a handler, or from a thread that has nothing to do
//! with the server.

use crate::delivery;
use crate::error::Error;
use crate::outbox::Outbox;
use crate::registry::{everyone, members, Everyone, Members};
use crate::session::SessionId;
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::message::Message;
use std::sync::Arc;

/// The way to all clients of all servers in this process.
///
/// ```
/// use sockling::prelude::*;
///
/// let id = Request::get("/").session_id();
/// std::thread::spawn(move || {
///     assert_eq!(Comms::websocket(&id).send("hey there")?, 0); // nobody is connected
///     Comms::notify().send("hey all")?;
///     Ok::<(), Error>(())
/// })
/// .join().unwrap()?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Comms;

impl Comms {
    /// Returns the handle to a session's WebSockets: by its id, or by a user's number.
    pub fn websocket(id: impl Into<SessionId>) -> Websocket {
        Websocket { id: id.into() }
    }

    /// Returns the handle to the WebSockets of all sessions but this one, of all routes and servers
    /// in the process. Who is in a room is for the application to know.
    pub fn broadcast(except: impl Into<SessionId>) -> Broadcast {
        Broadcast { except: Some(except.into()) }
    }

    /// Returns the handle to the WebSockets of all sessions, of all routes and servers in the
    /// process.
    pub fn notify() -> Broadcast {
        Broadcast { except: None }
    }

    /// Writes at once what the running handler has sent. Without it, what a quick handler sends
    /// while its client's next message is already there is written together with the answers to
    /// that one.
    pub fn flush() {
        delivery::flush();
    }
}

/// The handle to the WebSockets of one session: a browser's tabs, or all browsers of a user. It
/// holds the name only, so it can be kept while clients come and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Websocket {
    id: SessionId,
}

impl Websocket {
    /// Sends a message to each WebSocket of the session and returns how many took it; 0 when
    /// nobody is connected. Messages of one thread to one client arrive in order, and never in
    /// pieces of each other.
    ///
    /// A client that has just stopped reading holds the sender up for some milliseconds, once; in a
    /// broadcast that is one client, in a loop of sends it is each. One that does not read is cut
    /// off when too much waits for it ([`Limits::backlog`]);
    /// from its own handler, `send` waits instead. Error: [`Error::Full`] when nobody took the
    /// message and somebody was cut off for it.
    ///
    /// [`Limits::backlog`]: crate::limits::Limits::backlog
    pub fn send(&self, message: impl Into<Message>) -> Result<usize, Error> {
        // Looked up first: a message to nobody is not worth encoding.
        let members = match members(&self.id) {
            Some(members) => members,
            None => return Ok(0),
        };
        let message = message.into();
        match delivery::deliver_all(outboxes(&members), &message.frame()) {
            (0, Some(waiting)) => Err(Error::Full { waiting }),
            (taken, _) => Ok(taken),
        }
    }

    /// Ends each WebSocket of the session with a Close frame, after what was sent before, and
    /// returns how many. A client that does not answer within [`Limits::close_timeout`] is cut
    /// off. Error: [`Error::Close`] for a code that may not be sent (RFC 6455, 7.4.1); a reason of
    /// more than 123 octets is cut.
    ///
    /// [`Limits::close_timeout`]: crate::limits::Limits::close_timeout
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<usize, Error> {
        let close = CloseFrame::new(code, reason)?;
        let members = members(&self.id);
        Ok(members.map_or(0, |members| delivery::close_all(outboxes(&members), &close)))
    }

    /// Returns whether the session has a WebSocket that is open, or whose close handshake is going
    /// on.
    pub fn is_connected(&self) -> bool {
        members(&self.id).is_some()
    }

    /// Returns the octets, with those of frame headers, that wait for the session's clients, so that
    /// a producer can pace itself. What the system holds for a socket is not counted.
    pub fn backlog(&self) -> usize {
        let members = members(&self.id);
        members.map_or(0, |members| members.iter().map(|member| member.outbox.backlog()).sum())
    }
}

/// The handle to the WebSockets of everybody, or of everybody but one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    except: Option<SessionId>,
}

impl Broadcast {
    /// Sends a message to each WebSocket and returns how many took it. A client that does not
    /// read is cut off and not counted; it never makes the broadcast fail, which is always `Ok`.
    pub fn send(&self, message: impl Into<Message>) -> Result<usize, Error> {
        let (everyone, message) = (everyone(), message.into());
        Ok(delivery::deliver_all(self.outboxes(&everyone), &message.frame()).0)
    }

    /// Ends each WebSocket with a Close frame and returns how many. Error: as for
    /// [`Websocket::close`].
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<usize, Error> {
        let close = CloseFrame::new(code, reason)?;
        Ok(delivery::close_all(self.outboxes(&everyone()), &close))
    }

    fn outboxes<'a>(&'a self, everyone: &'a Everyone) -> impl Iterator<Item = &'a Arc<Outbox>> {
        let wanted = move |(id, _): &&(SessionId, Members)| self.except.as_ref() != Some(id);
        everyone.iter().filter(wanted).flat_map(|(_, members)| outboxes(members))
    }
}

fn outboxes(members: &Members) -> impl Iterator<Item = &Arc<Outbox>> {
    members.iter().map(|member| &member.outbox)
}
