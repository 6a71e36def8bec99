//! Topics and receivers: who gets more than what is sent to its session, and what is kept for it.
//!
//! A program that uses neither has none of this, in bytes or in time: the registry knows a trait, and
//! the first call that needs it makes it. It lies inside the registry's lock, so that joining a topic,
//! leaving it with the last tab and the end of a session are one step each.

use crate::comms::mailbox::Mailbox;
use crate::comms::topics::Topics;
use crate::net::outbox::Outbox;
use crate::session::id::SessionId;
use crate::websocket::message::Message;
use std::collections::HashMap;
use std::mem::take;
use std::sync::Arc;

#[derive(Default)]
pub(crate) struct Interests {
    pub topics: Topics,
    pub receivers: HashMap<SessionId, Vec<Mailbox>>,
}

/// What the registry asks of them.
pub(crate) trait Hook: Send {
    /// Notes that a WebSocket has come to a session. Returns what it is to get first.
    fn came(&mut self, id: &SessionId) -> Vec<Arc<Message>>;
    /// Notes that a WebSocket of a session has gone, perhaps its last. Returns whether the session is
    /// still listened to.
    fn went(&mut self, id: &SessionId, outbox: &Arc<Outbox>, last: bool) -> bool;
    /// Returns the receivers of one session.
    fn receivers_of(&self, id: &SessionId) -> Vec<Mailbox>;
    /// Returns the receivers of all sessions but one.
    fn receivers_but(&self, except: Option<&SessionId>) -> Vec<Mailbox>;
    /// Takes the names of the topics that came to be or ended, for the relay.
    fn changed(&mut self) -> Vec<Arc<str>>;
    /// Returns how many topics there are.
    fn topics(&self) -> usize;
    fn interests(&mut self) -> &mut Interests;
}

impl Hook for Interests {
    fn came(&mut self, id: &SessionId) -> Vec<Arc<Message>> {
        self.topics.came(id)
    }

    fn went(&mut self, id: &SessionId, outbox: &Arc<Outbox>, last: bool) -> bool {
        let listened_to = self.receivers.contains_key(id);
        self.topics.went(id, outbox, last && !listened_to);
        listened_to
    }

    fn receivers_of(&self, id: &SessionId) -> Vec<Mailbox> {
        self.receivers.get(id).cloned().unwrap_or_default()
    }

    fn receivers_but(&self, except: Option<&SessionId>) -> Vec<Mailbox> {
        let wanted = self.receivers.iter().filter(|(id, _)| except != Some(id));
        wanted.flat_map(|(_, mailboxes)| mailboxes).cloned().collect()
    }

    fn changed(&mut self) -> Vec<Arc<str>> {
        self.topics.changed.as_mut().map(take).unwrap_or_default()
    }

    fn topics(&self) -> usize {
        self.topics.len()
    }

    fn interests(&mut self) -> &mut Interests {
        self
    }
}
