//! Listening in: what is sent to a session, inside the process.

use crate::comms::mailbox::Mailbox;
use crate::comms::registry;
use crate::session::id::SessionId;
use crate::websocket::message::Message;
use std::time::Duration;

/// Gets what is sent to a session from when it is made until it is dropped: for the tests of a
/// controller, or to hand messages on. No `send` counts it. As an iterator it waits for the next
/// message, and does not end.
///
/// Up to [`RECEIVER`](crate::limits::RECEIVER) messages of
/// [`RECEIVER_BYTES`](crate::limits::RECEIVER_BYTES) in all wait in it, or one that is larger; those for
/// which there is no room are dropped, and counted in [`missed`](Receiver::missed).
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

impl Receiver {
    pub(crate) fn new(id: SessionId) -> Receiver {
        let mailbox = Mailbox::default();
        registry::add_receiver(&id, mailbox.clone());
        Receiver { id, mailbox }
    }

    /// Returns the next message if it comes within so long.
    pub fn recv_timeout(&self, longest: Duration) -> Option<Message> {
        self.mailbox.take(Some(longest))
    }

    /// Returns the next message if it is there.
    pub fn try_recv(&self) -> Option<Message> {
        self.mailbox.take(Some(Duration::ZERO))
    }

    /// Returns how many messages were dropped because too many waited.
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
