//! The handle to the WebSockets of all sessions, or of all but one.

use crate::comms::dispatch::{send, To};
use crate::comms::global::Comms;
use crate::error::Error;
use crate::relay::envelope::{Content, Target};
use crate::session::id::SessionId;
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::message::Outgoing;

/// A handle to the WebSockets of all sessions, or of all sessions but one.
///
/// ```
/// use sockling::controller::Broadcast;
/// use sockling::prelude::*;
///
/// let all: Broadcast = Comms::notify();
/// assert_eq!(all.send("back in five minutes")?, 0); // nobody is connected
/// assert_eq!(Comms::broadcast(7).send("user 7 is here")?, 0); // to all but user 7
/// assert_eq!(all.close(CloseCode::SERVICE_RESTART, "")?, 0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    except: Option<SessionId>,
    local: bool,
}

impl Comms {
    /// Returns a handle to the WebSockets of all sessions but this one, on all routes and servers
    /// of the process and, with [`Comms::relay`], in other processes. For the members of one room
    /// there is [`Comms::topic`].
    pub fn broadcast(except: impl Into<SessionId>) -> Broadcast {
        Broadcast { except: Some(except.into()), local: false }
    }

    /// Returns a handle to the WebSockets of all sessions, on all routes and servers of the process
    /// and, with [`Comms::relay`], in other processes.
    pub fn notify() -> Broadcast {
        Broadcast { except: None, local: false }
    }
}

impl Broadcast {
    /// Keeps the broadcast in this process: for what each process tells its own clients, such as a
    /// [`Gap`](crate::relay::Gap).
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// assert_eq!(Comms::notify().local().send("load anew")?, 0); // nobody is connected
    /// # Ok::<(), Error>(())
    /// ```
    pub fn local(mut self) -> Broadcast {
        self.local = true;
        self
    }

    /// Sends a message to each WebSocket and returns how many in this process accepted it. Waits for
    /// no client, not even that of the handler that sends: a client that has just stopped reading
    /// delays it by 8 ms, once for all, and too much that waits for all clients together by 20 ms.
    ///
    /// A client that does not read is cut off or misses the message, and is not counted; it never
    /// makes the broadcast fail, so the result is always `Ok`.
    pub fn send(&self, message: impl Into<Outgoing>) -> Result<usize, Error> {
        self.send_content(Content::from(&message.into()))
    }

    /// Closes each WebSocket with a Close frame and returns how many in this process. Errors: as
    /// for [`Websocket::close`](crate::controller::Websocket::close).
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<usize, Error> {
        let CloseFrame { code, reason } = CloseFrame::new(code, reason)?;
        self.send_content(Content::Close { code, reason: &reason })
    }

    fn send_content(&self, content: Content) -> Result<usize, Error> {
        let target = Target::Everybody { except: self.except.as_ref().map(Into::into) };
        send(if self.local { To::Local(target) } else { To::Everywhere(target) }, content, None)
    }
}
