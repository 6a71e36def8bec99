//! Who is in which topic, and what a topic keeps. No lock and no socket is here; the registry has the
//! lock, and those who send have the sockets.
//!
//! ```text
//! topic ─▶ session ─▶ all its WebSockets, also those that open later
//!                  or some, each for as long as it is open
//! ```
//!
//! A topic is there while it has a member, and a session while it has a WebSocket: nothing stays of
//! those who have gone.

use crate::audience::{Audience, Member, Members};
use crate::limits::TOPIC_KEEPS;
use crate::outbox::Outbox;
use crate::session::SessionId;
use crate::websocket::message::Message;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The sessions that are here, each with its open WebSockets.
pub(crate) type Sessions = HashMap<SessionId, Members>;

#[derive(Default)]
pub(crate) struct Topics {
    topics: HashMap<Arc<str>, Topic>,
    /// The topics that a session, or a WebSocket of it, is in.
    of: HashMap<SessionId, Vec<Arc<str>>>,
}

#[derive(Default)]
struct Topic {
    members: HashMap<SessionId, Part>,
    /// Who gets what is sent: made by the first send after somebody came or went.
    audience: Option<Audience>,
    /// How many messages are kept, and they, oldest first.
    keep: usize,
    kept: VecDeque<Arc<Message>>,
    octets: usize,
}

/// What of a session is in a topic.
#[derive(Default)]
struct Part {
    whole: bool,
    /// WebSockets that are in it for themselves.
    some: Vec<Arc<Outbox>>,
}

impl Part {
    fn has(&self, outbox: &Arc<Outbox>) -> bool {
        self.whole || self.some.iter().any(|one| Arc::ptr_eq(one, outbox))
    }
}

impl Topics {
    /// Puts a session, or one WebSocket of it, into a topic. Returns those of its WebSockets that
    /// were not in it, and what they are to get first.
    pub fn join(
        &mut self,
        name: &Arc<str>,
        id: &SessionId,
        members: &[Member],
        one: Option<&Arc<Outbox>>,
        keep: Option<usize>,
    ) -> (Vec<Arc<Outbox>>, Vec<Arc<Message>>) {
        let topic = self.topics.entry(Arc::clone(name)).or_default();
        topic.keep_so_many(keep);
        topic.audience = None;
        if !topic.members.contains_key(id) {
            self.of.entry(id.clone()).or_default().push(Arc::clone(name));
        }
        let part = topic.members.entry(id.clone()).or_default();
        let all = members.iter().map(|member| &member.outbox);
        let mut new: Vec<_> = all.filter(|outbox| !part.has(outbox)).cloned().collect();
        match one {
            None => part.whole = true,
            Some(one) => {
                new.retain(|outbox| Arc::ptr_eq(outbox, one));
                part.some.extend(new.iter().cloned());
            }
        }
        (new, topic.kept.iter().cloned().collect())
    }

    /// Takes a session out of a topic with all that it has there, or one WebSocket that is there for
    /// itself. Returns whether it was in it.
    pub fn leave(&mut self, name: &str, id: &SessionId, one: Option<&Arc<Outbox>>) -> bool {
        let topic = match self.topics.get_mut(name) {
            Some(topic) => topic,
            None => return false,
        };
        let (left, gone) = match (topic.members.get_mut(id), one) {
            (None, _) => return false,
            (Some(_), None) => (true, true),
            (Some(part), Some(one)) => {
                let before = part.some.len();
                part.some.retain(|outbox| !Arc::ptr_eq(outbox, one));
                (part.some.len() < before, !part.whole && part.some.is_empty())
            }
        };
        topic.audience = None;
        if gone {
            topic.members.remove(id);
            if topic.members.is_empty() {
                self.topics.remove(name);
            }
            if let Some(names) = self.of.get_mut(id) {
                names.retain(|known| **known != *name);
                if names.is_empty() {
                    self.of.remove(id);
                }
            }
        }
        left
    }

    /// Notes that a WebSocket has come to a session. Returns what it is to get first: what the
    /// session's topics keep.
    #[inline(never)]
    pub fn came(&mut self, id: &SessionId) -> Vec<Arc<Message>> {
        let mut first = Vec::new();
        for name in self.of.get(id).into_iter().flatten() {
            if let Some(topic) = self.topics.get_mut(name) {
                topic.audience = None;
                if topic.members.get(id).map_or(false, |part| part.whole) {
                    first.extend(topic.kept.iter().cloned());
                }
            }
        }
        first
    }

    /// Notes that a WebSocket of a session has gone; the `last` one takes the session along.
    pub fn went(&mut self, id: &SessionId, outbox: &Arc<Outbox>, last: bool) {
        if last {
            return self.gone(id);
        }
        for name in self.of.get(id).cloned().unwrap_or_default() {
            if let Some(topic) = self.topics.get_mut(&name) {
                topic.audience = None;
            }
            self.leave(&name, id, Some(outbox));
        }
    }

    /// Takes a session out of all its topics.
    pub fn gone(&mut self, id: &SessionId) {
        for name in self.of.get(id).cloned().unwrap_or_default() {
            self.leave(&name, id, None);
        }
    }

    /// Returns whether a session is in a topic, with all that it has.
    pub fn has(&self, name: &str, id: &SessionId) -> bool {
        let topic = self.topics.get(name);
        topic.and_then(|topic| topic.members.get(id)).map_or(false, |part| part.whole)
    }

    /// Returns who gets a message, and keeps it if the topic keeps any; `None` is nobody.
    pub fn send(
        &mut self,
        name: &str,
        message: &Arc<Message>,
        keep: Option<usize>,
        sessions: &Sessions,
    ) -> Option<Audience> {
        let topic = self.topics.get_mut(name)?;
        topic.keep_so_many(keep);
        if topic.keep > 0 {
            topic.octets += message.as_bytes().len();
            topic.kept.push_back(Arc::clone(message));
            topic.trim();
        }
        let Topic { members, audience, .. } = topic;
        let all = || members.iter().map(|(id, part)| part.present(id, sessions)).collect();
        Some(Arc::clone(audience.get_or_insert_with(all)))
    }

    /// Returns the sessions that are in a topic, in no order.
    pub fn members(&self, name: &str) -> Vec<SessionId> {
        self.topics.get(name).map_or(Vec::new(), |topic| topic.members.keys().cloned().collect())
    }

    /// Returns how many sessions are in a topic.
    pub fn len_of(&self, name: &str) -> usize {
        self.topics.get(name).map_or(0, |topic| topic.members.len())
    }

    /// Returns how many topics there are.
    pub fn len(&self) -> usize {
        self.topics.len()
    }
}

impl Part {
    fn present(&self, id: &SessionId, sessions: &Sessions) -> (SessionId, Members) {
        let members = match sessions.get(id) {
            Some(all) if self.whole => Arc::clone(all),
            Some(all) => all.iter().filter(|member| self.has(&member.outbox)).cloned().collect(),
            None => Vec::new().into(),
        };
        (id.clone(), members)
    }
}

impl Topic {
    fn keep_so_many(&mut self, keep: Option<usize>) {
        self.keep = keep.unwrap_or(self.keep);
        self.trim();
    }

    fn trim(&mut self) {
        while self.kept.len() > self.keep || self.octets > TOPIC_KEEPS {
            let oldest = self.kept.pop_front();
            self.octets -= oldest.map_or(0, |message| message.as_bytes().len());
        }
    }
}
