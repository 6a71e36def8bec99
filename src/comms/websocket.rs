//! The handle to the WebSockets of one session, or to one of them.

use crate::comms::dispatch::{find, send, To};
use crate::error::Error;
use crate::net::outbox::Outbox;
use crate::net::stream::after;
use crate::relay::envelope::{Content, Target};
use crate::session::id::SessionId;
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::message::Message;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The handle to the WebSockets of one session (a browser's tabs, or all browsers of a user), or to one
/// of them. It holds no connection open, so it can be kept while clients come and go.
///
/// ```
/// use sockling::controller::Websocket;
/// use sockling::prelude::*;
/// use std::time::{Duration, Instant};
///
/// let user: Websocket = Comms::websocket(7);
/// assert!(!user.is_connected() && user.backlog() == 0);
/// assert_eq!(user.send("hey")?, 0); // nobody is connected
/// assert_eq!(user.send_timeout("hey", Duration::from_secs(1))?, 0);
/// assert_eq!(user.close(CloseCode::NORMAL, "bye")?, 0);
/// assert!(user.close(CloseCode::ABNORMAL, "").is_err()); // may not be sent
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Websocket {
    to: Whom,
}

#[derive(Clone)]
enum Whom {
    Session(SessionId),
    Connection(Weak<Outbox>),
}

impl Websocket {
    pub(crate) fn of_session(id: SessionId) -> Websocket {
        Websocket { to: Whom::Session(id) }
    }

    pub(crate) fn of_connection(outbox: &Arc<Outbox>) -> Websocket {
        Websocket { to: Whom::Connection(Arc::downgrade(outbox)) }
    }

    fn to(&self) -> To<'_> {
        match &self.to {
            Whom::Session(id) => To::Everywhere(Target::Session(id.into())),
            Whom::Connection(one) => To::Connection(one),
        }
    }

    /// Sends a message to each WebSocket of the session and returns how many took it; 0 when
    /// nobody is connected. Messages of one thread to one client arrive in order, and never in
    /// pieces of each other.
    ///
    /// With [`Comms::relay`] it goes to the session's WebSockets of other processes too, which are not
    /// counted: 0 then says that nobody is connected here. What goes to one WebSocket stays here.
    ///
    /// A client that has just stopped reading holds the sender up for some milliseconds, once; in a
    /// broadcast that is one client, in a loop of sends it is each. One that does not read is cut
    /// off when too much waits for it ([`Limits::backlog`]), or the message is dropped
    /// ([`Limits::overflow`]); from its own handler, `send` waits instead, so a handler holds no
    /// lock of the application's meanwhile. Error: [`Error::Full`] when nobody took the message and
    /// somebody does not read.
    ///
    /// [`Limits::backlog`]: crate::limits::Limits::backlog
    /// [`Limits::overflow`]: crate::limits::Limits::overflow
    pub fn send(&self, message: impl Into<Message>) -> Result<usize, Error> {
        self.send_until(message.into(), None)
    }

    /// Sends a message like [`send`](Websocket::send), and waits for room, so long at most: for a
    /// thread that streams much to one client. Of several tabs it waits for each in turn. A client
    /// that takes nothing for [`Limits::write_timeout`](crate::limits::Limits::write_timeout) ends
    /// meanwhile. Error: [`Error::Full`] when the time is over and nobody took the message; nobody
    /// is cut off for it.
    pub fn send_timeout(
        &self,
        message: impl Into<Message>,
        longest: Duration,
    ) -> Result<usize, Error> {
        self.send_until(message.into(), Some(after(longest)))
    }

    fn send_until(&self, message: Message, deadline: Option<Instant>) -> Result<usize, Error> {
        send(self.to(), Content::from(&message), deadline)
    }

    /// Ends each WebSocket of the session with a Close frame, after what was sent before, and
    /// returns how many in this process. A client that does not answer within
    /// [`Limits::close_timeout`] is cut off. Error: [`Error::Close`] for a code that may not be
    /// sent (RFC 6455, 7.4.1); a reason of more than 123 bytes is cut.
    ///
    /// [`Limits::close_timeout`]: crate::limits::Limits::close_timeout
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<usize, Error> {
        let CloseFrame { code, reason } = CloseFrame::new(code, reason)?;
        send(self.to(), Content::Close { code, reason: &reason }, None)
    }

    /// Returns whether the session has a WebSocket that is open, or whose close handshake is going
    /// on, in this process; whether this is so of the one connection.
    pub fn is_connected(&self) -> bool {
        find(self.to(), None).0.outboxes().next().is_some()
    }

    /// Returns the bytes, with those of frame headers, that wait for the session's clients in this
    /// process, so that a producer can pace itself. What the system holds for a socket is not counted.
    pub fn backlog(&self) -> usize {
        find(self.to(), None).0.outboxes().map(|outbox| outbox.backlog()).sum()
    }
}

impl std::fmt::Debug for Websocket {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        match &self.to {
            Whom::Session(id) => write!(out, "Websocket({})", id),
            Whom::Connection(_) => out.write_str("Websocket(one connection)"),
        }
    }
}
