//! Topics and receivers: what a session gets beside messages to itself, and what gets a session's
//! messages beside its WebSockets.
//!
//! A program that uses neither has none of this, in bytes or in time: the registry knows a trait,
//! and the first call that needs the rest creates it. It lies inside the registry's lock.

use crate::comms::mailbox::Mailbox;
use crate::comms::topics::{Outboxes, Sessions, Topics};
use crate::net::outbox::Outbox;
use crate::relay::envelope::Content;
use crate::session::id::SessionId;
use crate::websocket::message::KeptMessage;
use std::collections::HashMap;
use std::mem::take;
use std::sync::Arc;

#[derive(Default)]
pub(crate) struct Interests {
    pub topics: Topics,
    pub receivers: HashMap<SessionId, Vec<Mailbox>>,
}

/// What gets a message to a topic.
#[derive(Default)]
pub(crate) struct Members {
    pub outboxes: Option<Outboxes>,
    pub mailboxes: Vec<Mailbox>,
    /// The message as the topic keeps it, if it keeps any.
    #[cfg(feature = "deflate")]
    pub kept: Option<Arc<KeptMessage>>,
}

/// What the registry asks of topics and receivers.
pub(crate) trait Hook: Send {
    /// Notes that a WebSocket has joined a session. Returns what it gets first.
    fn joined(&mut self, id: &SessionId) -> Vec<Arc<KeptMessage>>;
    /// Notes that a WebSocket has left its session, perhaps as the last. Returns whether the
    /// session still has a receiver.
    fn left(&mut self, outbox: &Arc<Outbox>, last: bool) -> bool;
    /// Returns the WebSockets of a topic's members, and the receivers of all but one session, and
    /// has the topic keep the message if it keeps any.
    fn send(
        &mut self,
        topic: &str,
        content: Content,
        except: Option<SessionId>,
        sessions: &Sessions,
    ) -> Members;
    /// Returns the receivers of one session, or of all but one.
    fn mailboxes(&self, of: Option<SessionId>, except: Option<SessionId>) -> Vec<Mailbox>;
    /// Takes the names of the topics that began or ended, for the relay.
    fn take_changed(&mut self) -> Vec<Arc<str>>;
    /// Returns the number of topics.
    fn topics(&self) -> usize;
    fn interests(&mut self) -> &mut Interests;
}

impl Interests {
    fn receivers(&self, wanted: impl Fn(&SessionId) -> bool) -> Vec<Mailbox> {
        let wanted = self.receivers.iter().filter(|(id, _)| wanted(id));
        wanted.flat_map(|(_, mailboxes)| mailboxes).cloned().collect()
    }
}

impl Hook for Interests {
    fn joined(&mut self, id: &SessionId) -> Vec<Arc<KeptMessage>> {
        self.topics.joined(id)
    }

    fn left(&mut self, outbox: &Arc<Outbox>, last: bool) -> bool {
        let received = self.receivers.contains_key(&outbox.session.id);
        self.topics.left(outbox, last && !received);
        received
    }

    fn send(
        &mut self,
        topic: &str,
        content: Content,
        except: Option<SessionId>,
        sessions: &Sessions,
    ) -> Members {
        let sent = self.topics.send(topic, content, except, sessions);
        let (outboxes, _kept) =
            sent.map_or((None, None), |(outboxes, kept)| (Some(outboxes), kept));
        let inside = |id: &SessionId| except != Some(*id) && self.topics.has(topic, id);
        Members {
            outboxes,
            mailboxes: self.receivers(inside),
            #[cfg(feature = "deflate")]
            kept: _kept,
        }
    }

    fn mailboxes(&self, of: Option<SessionId>, except: Option<SessionId>) -> Vec<Mailbox> {
        match of {
            Some(id) => self.receivers.get(&id).cloned().unwrap_or_default(),
            None => self.receivers(|id| except != Some(*id)),
        }
    }

    fn take_changed(&mut self) -> Vec<Arc<str>> {
        take(&mut self.topics.changed)
    }

    fn topics(&self) -> usize {
        self.topics.len()
    }

    fn interests(&mut self) -> &mut Interests {
        self
    }
}
