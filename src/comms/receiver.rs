//! A receiver: what is sent to a session, read inside the process.

use crate::comms::global::Comms;
use crate::comms::mailbox::Mailbox;
use crate::comms::registry;
use crate::session::id::SessionId;
use crate::websocket::message::Message;
use std::time::Duration;

/// Receives what is sent to a session, from its creation until it is dropped: to test a controller,
/// or to pass messages on. No `send` counts it. As an iterator it blocks until the next message.
///
/// In a handler, a wait ends when the server begins to shut down, and so does the iterator; elsewhere
/// that never ends.
///
/// At most [`RECEIVER`](crate::limits::RECEIVER) messages with
/// [`RECEIVER_BYTES`](crate::limits::RECEIVER_BYTES) in all wait in it, or one larger message.
/// Further messages are dropped and counted by [`missed`](Receiver::missed).
///
/// ```
/// use sockling::prelude::*;
/// use std::time::Duration;
///
/// let id = Request::get("/").session_id();
/// let receiver: sockling::Receiver = Comms::receiver(&id);
/// assert_eq!(Comms::websocket(&id).send("hey")?, 0); // no WebSocket
/// assert_eq!(receiver.try_recv(), Some("hey".into()));
/// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), None);
/// assert_eq!(receiver.missed(), 0);
/// # Ok::<(), Error>(())
/// ```
pub struct Receiver {
    id: SessionId,
    mailbox: Mailbox,
}

impl Comms {
    /// Returns a receiver of what is sent to a session from now on: to its id or user's number, to
    /// topics that it has subscribed to, and to everybody, by this process or another; but not what
    /// is sent to one of its WebSockets. While it has a receiver, a session needs no WebSocket to
    /// subscribe to topics.
    pub fn receiver(id: impl Into<SessionId>) -> Receiver {
        let (id, mailbox) = (id.into(), Mailbox::default());
        registry::add_receiver(&id, mailbox.clone());
        Receiver { id, mailbox }
    }
}

impl Receiver {
    /// Returns the next message, or `None` if none arrives within `longest`, or before the server of
    /// the handler that waits begins to shut down. Blocks until then.
    pub fn recv_timeout(&self, longest: Duration) -> Option<Message> {
        self.mailbox.take(Some(longest))
    }

    /// Returns the next message, or `None` if none has arrived. Does not block.
    pub fn try_recv(&self) -> Option<Message> {
        self.mailbox.take(Some(Duration::ZERO))
    }

    /// Returns how many messages were dropped because too many were waiting.
    pub fn missed(&self) -> usize {
        self.mailbox.missed()
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "Receiver({})", self.id)
    }
}

impl Iterator for Receiver {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        self.mailbox.take(None)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        registry::remove_receiver(&self.id, &self.mailbox);
    }
}
