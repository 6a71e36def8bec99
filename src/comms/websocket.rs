//! The handle to the WebSockets of one session, or to one of them.

use crate::comms::dispatch::{find, send, To};
use crate::comms::global::Comms;
use crate::error::Error;
use crate::net::batch;
use crate::net::outbox::Outbox;
use crate::net::stream::after;
use crate::relay::envelope::Content;
use crate::session::id::SessionId;
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::message::Outgoing;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// A handle to the WebSockets of one session (a browser's tabs, or all browsers of a user), or to
/// one WebSocket. It keeps no connection open, so it may be stored while clients come and go.
///
/// ```
/// use sockling::controller::Websocket;
/// use sockling::prelude::*;
/// use std::time::Duration;
///
/// let user: Websocket = Comms::websocket(7);
/// assert!(!user.is_connected() && user.backlog() == 0);
/// assert_eq!(user.send("hey")?, 0); // nobody is connected
/// assert_eq!(user.send_timeout("hey", Duration::from_secs(1))?, 0);
/// assert_eq!(user.close(CloseCode::NORMAL, "bye")?, 0);
/// assert!(user.close(CloseCode::ABNORMAL, "").is_err()); // must not be sent
/// # Ok::<(), Error>(())
/// ```
///
/// Handles are equal if they are to the same session, or to the same one WebSocket, which also after
/// its end equals no other. So a tab may have something of its own in a map, until its
/// `handle_disconnection`:
///
/// ```
/// use sockling::controller::Websocket;
/// use sockling::prelude::*;
/// use std::collections::HashMap;
///
/// let mut names: HashMap<Websocket, String> = HashMap::new();
/// if let Some(tab) = Comms::here() {
///     names.insert(tab, "Ada".to_string()); // in a handler
/// }
/// assert!(Comms::websocket(7) == Comms::websocket(7) && Comms::websocket(7) != Comms::websocket(8));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Websocket {
    recipient: Recipient,
}

#[derive(Clone)]
enum Recipient {
    Session(SessionId),
    Connection(Weak<Outbox>),
}

impl Comms {
    /// Returns a handle to the WebSockets of a session, given by its id or by a user's number.
    pub fn websocket(id: impl Into<SessionId>) -> Websocket {
        Websocket { recipient: Recipient::Session(id.into()) }
    }

    /// Returns a handle to the one WebSocket whose handler runs on this thread, for what should not
    /// go to the session's other tabs. Returns `None` on other threads, in `handle_disconnection`,
    /// and in a test without a socket.
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// struct Parrot;
    ///
    /// impl WebsocketController for Parrot {
    ///     fn handle_message(&self, _: &SessionId, message: Message) -> Result<(), Error> {
    ///         Comms::here().ok_or("nobody speaks")?.send(message)?;
    ///         Ok(())
    ///     }
    /// }
    /// assert!(Comms::here().is_none());
    /// # impl Controller for Parrot {
    /// #     fn handle(&self, request: &Request) -> Result<Response, Error> {
    /// #         WebsocketController::handle(self, request)
    /// #     }
    /// # }
    /// ```
    pub fn here() -> Option<Websocket> {
        batch::own().filter(|own| own.is_served()).map(|own| Websocket::of(&own))
    }

    /// Returns whether the WebSocket that has just ended on this thread was the last of its session:
    /// in `handle_disconnection`, and in a handler behind its call of
    /// [`Request::upgrade`](crate::http::Request::upgrade). When several end at once, exactly one is
    /// the last.
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// struct Presence;
    ///
    /// impl WebsocketController for Presence {
    ///     fn handle_disconnection(&self, client: &SessionId, _: Option<&CloseFrame>) -> Result<(), Error> {
    ///         if Comms::was_last() {
    ///             Comms::broadcast(client).send("somebody left")?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// assert!(!Comms::was_last());
    /// # impl Controller for Presence {
    /// #     fn handle(&self, request: &Request) -> Result<Response, Error> {
    /// #         WebsocketController::handle(self, request)
    /// #     }
    /// # }
    /// ```
    pub fn was_last() -> bool {
        batch::was_last()
    }
}

impl Websocket {
    pub(crate) fn of(outbox: &Arc<Outbox>) -> Websocket {
        Websocket { recipient: Recipient::Connection(Arc::downgrade(outbox)) }
    }

    /// Returns the session and, if this is a handle to one WebSocket, that; or `None` once that has
    /// gone.
    pub(crate) fn member(&self) -> Option<(SessionId, Option<Arc<Outbox>>)> {
        match &self.recipient {
            Recipient::Session(id) => Some((*id, None)),
            Recipient::Connection(one) => one.upgrade().map(|one| (one.session.id, Some(one))),
        }
    }

    fn to(&self) -> To<'_> {
        match &self.recipient {
            Recipient::Session(id) => To::Session(id),
            Recipient::Connection(outbox) => To::Connection(outbox),
        }
    }

    /// Sends a message to each WebSocket of the session and returns how many accepted it: 0 when
    /// the session is not connected, which is not an error. In a handler of the same WebSocket or
    /// session, waits for room at the handler's own client until that has read or is cut off, so it
    /// must not be called with a lock that others need. Elsewhere it waits for no client: one that has
    /// just stopped reading delays it by 8 ms, and too much that waits for all clients together by
    /// 20 ms.
    ///
    /// Messages from one thread to one client arrive in order, and no message is interleaved with
    /// another.
    ///
    /// With [`Comms::relay`] the message also goes to the session's WebSockets in other processes.
    /// They are not counted, so 0 then means that the session is not connected to this process. A
    /// message to one WebSocket stays in this process.
    ///
    /// When more than [`Limits::backlog`] waits for a client that does not read, and it is not the
    /// handler's own, the client is cut off or the message is dropped, as [`Limits::overflow`] says.
    ///
    /// Errors: [`Error::Full`] when no WebSocket accepted the message and at least one client does
    /// not read.
    ///
    /// [`Comms::relay`]: crate::Comms::relay
    /// [`Limits::backlog`]: crate::limits::Limits::backlog
    /// [`Limits::overflow`]: crate::limits::Limits::overflow
    pub fn send(&self, message: impl Into<Outgoing>) -> Result<usize, Error> {
        self.send_until(message.into(), None)
    }

    /// Sends a message like [`send`](Websocket::send), but waits up to `longest` in all for room at
    /// each client in turn: for a thread that streams much to one client. A client that takes
    /// nothing for [`Limits::write_timeout`](crate::limits::Limits::write_timeout) is cut off
    /// meanwhile.
    ///
    /// Errors: [`Error::Full`] when the time has passed and no WebSocket accepted the message. No
    /// client is cut off for that.
    pub fn send_timeout(
        &self,
        message: impl Into<Outgoing>,
        longest: Duration,
    ) -> Result<usize, Error> {
        self.send_until(message.into(), Some(after(longest)))
    }

    fn send_until(&self, message: Outgoing, deadline: Option<Instant>) -> Result<usize, Error> {
        send(self.to(), Content::from(&message), deadline)
    }

    /// Closes each WebSocket of the session with a Close frame, behind what was sent before, and
    /// returns how many in this process. A client that does not answer within
    /// [`Limits::close_timeout`] is cut off. A reason of more than 123 bytes is cut.
    ///
    /// Errors: [`Error::Close`] for a code that must not be sent (RFC 6455, 7.4.1).
    ///
    /// [`Limits::close_timeout`]: crate::limits::Limits::close_timeout
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<usize, Error> {
        let CloseFrame { code, reason } = CloseFrame::new(code, reason)?;
        send(self.to(), Content::Close { code, reason: &reason }, None)
    }

    /// Returns whether the session, or the one WebSocket, is connected to this process. A WebSocket
    /// counts until `handle_disconnection`, before which it leaves its session.
    pub fn is_connected(&self) -> bool {
        find(&self.to(), None).outboxes().next().is_some()
    }

    /// Returns how many bytes, frame headers included, wait in this process for the session's
    /// clients, so that a producer can pace itself. Bytes in the system's socket buffers are not
    /// counted.
    pub fn backlog(&self) -> usize {
        find(&self.to(), None).outboxes().map(|outbox| outbox.backlog()).sum()
    }
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Recipient) -> bool {
        match (self, other) {
            (Recipient::Session(one), Recipient::Session(other)) => one == other,
            (Recipient::Connection(one), Recipient::Connection(other)) => one.ptr_eq(other),
            _ => false,
        }
    }
}

impl Eq for Recipient {}

impl Hash for Recipient {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Recipient::Session(id) => id.hash(state),
            // No other WebSocket gets this address while there is a handle to this one.
            Recipient::Connection(one) => one.as_ptr().hash(state),
        }
    }
}

impl std::fmt::Debug for Websocket {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        match &self.recipient {
            Recipient::Session(id) => write!(out, "Websocket({})", id),
            Recipient::Connection(_) => out.write_str("Websocket(one connection)"),
        }
    }
}
