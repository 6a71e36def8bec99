//! Who is in which topic, and what a topic keeps. No lock and no socket is here; the registry has the
//! lock, and those who send have the sockets.
//!
//! ```text
//! topic ─▶ session ─▶ all its WebSockets, also those that open later
//!                  or some, each for as long as it is open
//! ```
//!
//! A topic is there while it has a member, and a session while it has a WebSocket or is listened to:
//! nothing stays of those who have gone.

use crate::audience::{Audience, Member, Members};
use crate::limits::{KEPT_EACH, TOPIC_KEEPS};
use crate::outbox::Outbox;
use crate::session::SessionId;
use crate::websocket::message::Message;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// The sessions that are here, each with its open WebSockets.
pub(crate) type Sessions = HashMap<SessionId, Members>;

#[derive(Default)]
pub(crate) struct Topics {
    topics: HashMap<Arc<str>, Topic>,
    /// The topics that a session, or a WebSocket of it, is in.
    of: HashMap<SessionId, HashSet<Arc<str>>>,
    /// Those that came to be or ended, if somebody asks for them.
    pub changed: Option<Vec<Arc<str>>>,
}

#[derive(Default)]
struct Topic {
    members: HashMap<SessionId, Part>,
    /// Who gets what is sent: made by the first send after somebody came or went.
    audience: Option<Audience>,
    /// How many messages are kept, and they, oldest first.
    keep: usize,
    kept: VecDeque<Kept>,
    octets: usize,
}

/// A message that was sent to all members, or to all but one session.
struct Kept {
    message: Arc<Message>,
    except: Option<SessionId>,
}

/// What of a session is in a topic.
#[derive(Default)]
struct Part {
    whole: bool,
    /// WebSockets that are in it for themselves.
    some: Vec<Arc<Outbox>>,
}

/// What comes of joining.
#[derive(Default)]
pub(crate) struct Joined {
    /// Those of the session's WebSockets that were not in the topic.
    pub new: Vec<Arc<Outbox>>,
    /// Whether the session as a whole was not.
    pub whole: bool,
    /// What they are to get first.
    pub kept: Vec<Arc<Message>>,
}

impl Topics {
    /// Puts a session, or one WebSocket of it, into a topic.
    pub fn join(
        &mut self,
        name: &Arc<str>,
        id: &SessionId,
        members: &[Member],
        one: Option<&Arc<Outbox>>,
        keep: Option<usize>,
    ) -> Joined {
        if !self.topics.contains_key(name) {
            self.changed.iter_mut().for_each(|changed| changed.push(Arc::clone(name)));
        }
        let topic = self.topics.entry(Arc::clone(name)).or_default();
        topic.keep_so_many(keep);
        let part = topic.members.entry(id.clone()).or_default();
        let wanted = |outbox: &&Arc<Outbox>| match one {
            Some(one) => Arc::ptr_eq(outbox, one) && !part.has(outbox),
            None => !part.has(outbox),
        };
        let all = members.iter().map(|member| &member.outbox);
        let new: Vec<_> = all.filter(wanted).cloned().collect();
        let whole = one.is_none() && !part.whole;
        if new.is_empty() && !whole {
            return Joined::default();
        }
        match one {
            None => part.whole = true,
            Some(_) => part.some.extend(new.iter().cloned()),
        }
        topic.audience = None;
        self.of.entry(id.clone()).or_default().insert(Arc::clone(name));
        Joined { new, whole, kept: topic.kept_for(id) }
    }

    /// Takes a session out of a topic with all that it has there, or one WebSocket that is there for
    /// itself. Returns whether it was in it.
    pub fn leave(&mut self, name: &str, id: &SessionId, one: Option<&Arc<Outbox>>) -> bool {
        let part = self.topics.get_mut(name).and_then(|topic| topic.members.get_mut(id));
        let (left, gone) = match (part, one) {
            (None, _) => return false,
            (Some(_), None) => (true, true),
            (Some(part), Some(one)) => {
                let before = part.some.len();
                part.some.retain(|outbox| !Arc::ptr_eq(outbox, one));
                (part.some.len() < before, !part.whole && part.some.is_empty())
            }
        };
        if left {
            self.forget_audience(name);
        }
        if gone {
            self.take_out(name, id);
            let names = self.of.get_mut(id);
            if names.map_or(false, |names| names.remove(name) && names.is_empty()) {
                self.of.remove(id);
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
            match self.topics.get_mut(name) {
                Some(topic) if topic.has(id) => {
                    topic.audience = None;
                    first.extend(topic.kept_for(id));
                }
                _ => {}
            }
        }
        first
    }

    /// Notes that a WebSocket of a session has gone, and perhaps the session with it.
    pub fn went(&mut self, id: &SessionId, outbox: &Arc<Outbox>, session_too: bool) {
        if session_too {
            return self.gone(id);
        }
        for name in self.of.get(id).cloned().unwrap_or_default() {
            // Also a list that has it because its session is a member would hold it open.
            self.forget_audience(&name);
            self.leave(&name, id, Some(outbox));
        }
    }

    /// Takes a session out of all its topics.
    pub fn gone(&mut self, id: &SessionId) {
        for name in self.of.remove(id).unwrap_or_default() {
            self.forget_audience(&name);
            self.take_out(&name, id);
        }
    }

    fn forget_audience(&mut self, name: &str) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.audience = None;
        }
    }

    fn take_out(&mut self, name: &str, id: &SessionId) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.members.remove(id);
            if topic.members.is_empty() {
                let ended = self.topics.remove_entry(name).map(|(name, _)| name);
                self.changed.iter_mut().for_each(|changed| changed.extend(ended.clone()));
            }
        }
    }

    /// Returns whether a session is in a topic as a whole.
    pub fn has(&self, name: &str, id: &SessionId) -> bool {
        self.topics.get(name).map_or(false, |topic| topic.has(id))
    }

    /// Returns who gets a message, and keeps it if the topic keeps any; `None` is nobody.
    pub fn send(
        &mut self,
        name: &str,
        message: &Arc<Message>,
        except: Option<&SessionId>,
        keep: Option<usize>,
        sessions: &Sessions,
    ) -> Option<Audience> {
        let topic = self.topics.get_mut(name)?;
        topic.keep_so_many(keep);
        if topic.keep > 0 {
            topic.octets += weight(message);
            topic.kept.push_back(Kept { message: Arc::clone(message), except: except.cloned() });
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

    /// Returns the topics, in no order.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.topics.keys()
    }

    /// Returns whether there is a topic of this name.
    pub fn exists(&self, name: &str) -> bool {
        self.topics.contains_key(name)
    }

    /// Returns how many topics there are.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// Returns whether a session has left a trace.
    #[cfg(test)]
    pub fn knows(&self, id: &SessionId) -> bool {
        self.of.contains_key(id) || self.topics.values().any(|topic| topic.members.contains_key(id))
    }
}

impl Part {
    fn has(&self, outbox: &Arc<Outbox>) -> bool {
        self.whole || self.some.iter().any(|one| Arc::ptr_eq(one, outbox))
    }

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
    fn has(&self, id: &SessionId) -> bool {
        self.members.get(id).map_or(false, |part| part.whole)
    }

    fn kept_for(&self, id: &SessionId) -> Vec<Arc<Message>> {
        let wanted = self.kept.iter().filter(|kept| kept.except.as_ref() != Some(id));
        wanted.map(|kept| Arc::clone(&kept.message)).collect()
    }

    fn keep_so_many(&mut self, keep: Option<usize>) {
        self.keep = keep.unwrap_or(self.keep);
        self.trim();
    }

    fn trim(&mut self) {
        while self.kept.len() > self.keep || self.octets > TOPIC_KEEPS {
            let oldest = self.kept.pop_front();
            self.octets -= oldest.map_or(0, |kept| weight(&kept.message));
        }
    }
}

/// Returns what a kept message counts for: also an empty one takes memory.
fn weight(message: &Message) -> usize {
    message.as_bytes().len() + KEPT_EACH
}
