//! The members of each topic, and the messages that a topic keeps for later members. This file has
//! no lock and no socket: the registry has the lock, and senders write.
//!
//! ```text
//! topic ─▶ session ─▶ all its WebSockets, those that open later included
//!                  or some of them, each for as long as it is open
//! ```
//!
//! A topic exists while it has a member, and a session can be a member while it has a WebSocket or
//! a receiver. Nothing remains of a session that has gone.

use crate::comms::mailbox::weight;
use crate::comms::process::{bounds, is_relayed};
use crate::ground::limits::TOPIC_KEEPS;
use crate::net::outbox::Outbox;
use crate::relay::envelope::Content;
use crate::session::id::SessionId;
use crate::websocket::message::KeptMessage;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Open WebSockets: of a session, of a topic's members, of everybody. Lists are shared and never
/// changed, so a sender clones one `Arc` under the registry's lock.
pub(crate) type Outboxes = Arc<[Arc<Outbox>]>;
/// The sessions of this process, each with its open WebSockets.
pub(crate) type Sessions = HashMap<SessionId, Outboxes>;

#[derive(Default)]
pub(crate) struct Topics {
    topics: HashMap<Arc<str>, Topic>,
    /// The topics of which a session, or a WebSocket of it, is a member.
    topics_of: HashMap<SessionId, HashSet<Arc<str>>>,
    /// Topics that began or ended and that the relay has not been told of.
    pub changed: Vec<Arc<str>>,
    /// The number and topic of every kept message, oldest first.
    kept: VecDeque<(u64, Arc<str>)>,
    /// How many of these entries stand for a message that is no longer kept.
    stale: usize,
    /// What all kept messages count for, in bytes.
    bytes: usize,
    /// The number of the next message to keep.
    next: u64,
}

#[derive(Default)]
struct Topic {
    members: HashMap<SessionId, Membership>,
    /// The members' WebSockets: collected by the first send after a change.
    recipients: Option<Outboxes>,
    /// How many messages to keep.
    keep: usize,
    /// The messages that are kept, oldest first.
    kept: VecDeque<Kept>,
    /// What they count for, in bytes.
    bytes: usize,
}

/// A message that was sent to all members, or to all but one session.
struct Kept {
    number: u64,
    message: Arc<KeptMessage>,
    except: Option<SessionId>,
}

/// Which WebSockets of a session are in a topic.
#[derive(Default)]
struct Membership {
    /// All of them.
    whole: bool,
    /// Those that joined one by one.
    some: Vec<Arc<Outbox>>,
}

/// The result of joining a topic.
#[derive(Default)]
pub(crate) struct Joined {
    /// The session's WebSockets that were not in the topic before.
    pub new: Vec<Arc<Outbox>>,
    /// Whether the session as a whole was not in it before.
    pub whole: bool,
    /// The messages that they get first.
    pub kept: Vec<Arc<KeptMessage>>,
}

impl Topics {
    /// Adds a session, or one WebSocket of it, to a topic. Error: the reason why it is refused.
    pub fn join(
        &mut self,
        name: &Arc<str>,
        id: &SessionId,
        members: &[Arc<Outbox>],
        one: Option<&Arc<Outbox>>,
        keep: Option<usize>,
    ) -> Result<Joined, &'static str> {
        let bounds = bounds();
        if name.len() > bounds.name {
            return Err("the name is too long (Limits::topic_name)");
        }
        let of = self.topics_of.get(id);
        let most = bounds.per_session;
        if of.map_or(most == 0, |of| of.len() >= most && !of.contains(name)) {
            return Err(
                "its session is in as many topics as it may be (Limits::topics_per_session)",
            );
        }
        if !self.topics.contains_key(name) {
            self.tell_relay(Arc::clone(name));
        }
        self.topics.entry(Arc::clone(name)).or_default();
        self.set_keep(name, keep);
        let topic = self.topics.entry(Arc::clone(name)).or_default();
        let membership = topic.members.entry(*id).or_default();
        let wanted = |outbox: &&Arc<Outbox>| match one {
            Some(one) => Arc::ptr_eq(outbox, one) && !membership.has(outbox),
            None => !membership.has(outbox),
        };
        let new: Vec<_> = members.iter().filter(wanted).cloned().collect();
        let whole = one.is_none() && !membership.whole;
        if new.is_empty() && !whole {
            return Ok(Joined::default());
        }
        match one {
            None => membership.whole = true,
            Some(_) => membership.some.extend(new.iter().cloned()),
        }
        topic.recipients = None;
        self.topics_of.entry(*id).or_default().insert(Arc::clone(name));
        Ok(Joined { new, whole, kept: in_order(topic.kept_for(id).collect()) })
    }

    /// Removes a session from a topic with all its WebSockets, or one WebSocket that joined by
    /// itself. Returns whether it was a member.
    pub fn leave(&mut self, name: &str, id: &SessionId, one: Option<&Arc<Outbox>>) -> bool {
        let membership = self.topics.get_mut(name).and_then(|topic| topic.members.get_mut(id));
        let (left, gone) = match (membership, one) {
            (None, _) => return false,
            (Some(_), None) => (true, true),
            (Some(membership), Some(one)) => {
                let before = membership.some.len();
                membership.some.retain(|outbox| !Arc::ptr_eq(outbox, one));
                (membership.some.len() < before, !membership.whole && membership.some.is_empty())
            }
        };
        if left {
            self.forget_recipients(name);
        }
        if gone {
            self.take_out(name, id);
            let names = self.topics_of.get_mut(id);
            if names.map_or(false, |names| names.remove(name) && names.is_empty()) {
                self.topics_of.remove(id);
            }
        }
        left
    }

    /// Notes that a WebSocket has joined a session. Returns what it gets first: what the session's
    /// topics keep.
    #[inline(never)]
    pub fn joined(&mut self, id: &SessionId) -> Vec<Arc<KeptMessage>> {
        for name in self.topics_of.get(id).into_iter().flatten() {
            if let Some(topic) = self.topics.get_mut(name).filter(|topic| topic.has(id)) {
                topic.recipients = None;
            }
        }
        let topics =
            self.topics_of.get(id).into_iter().flatten().filter_map(|name| self.topics.get(name));
        let kept = topics.filter(|topic| topic.has(id)).flat_map(|topic| topic.kept_for(id));
        in_order(kept.collect())
    }

    /// Notes that a WebSocket has left its session, and perhaps the session has gone with it.
    pub fn left(&mut self, outbox: &Arc<Outbox>, session_too: bool) {
        let id = &outbox.session.id;
        if session_too {
            return self.remove(id);
        }
        for name in self.topics_of.get(id).cloned().unwrap_or_default() {
            // A list that has it because the session is a member would keep the socket open too.
            self.forget_recipients(&name);
            self.leave(&name, id, Some(outbox));
        }
    }

    /// Removes a session from all its topics.
    pub fn remove(&mut self, id: &SessionId) {
        for name in self.topics_of.remove(id).unwrap_or_default() {
            self.forget_recipients(&name);
            self.take_out(&name, id);
        }
    }

    /// Notes for the relay that a topic began or ended.
    fn tell_relay(&mut self, name: Arc<str>) {
        if is_relayed() {
            self.changed.push(name);
        }
    }

    fn forget_recipients(&mut self, name: &str) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.recipients = None;
        }
    }

    fn take_out(&mut self, name: &str, id: &SessionId) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.members.remove(id);
            if topic.members.is_empty() {
                // The entries of what it kept stay until the list is swept.
                self.bytes -= topic.bytes;
                self.stale += topic.kept.len();
                if let Some((name, _)) = self.topics.remove_entry(name) {
                    self.tell_relay(name);
                }
                self.sweep();
            }
        }
    }

    /// Returns whether a session is in a topic as a whole.
    pub fn has(&self, name: &str, id: &SessionId) -> bool {
        self.topics.get(name).map_or(false, |topic| topic.has(id))
    }

    /// Returns the WebSockets of a topic's members, and the message if the topic keeps any; `None`
    /// when there is no such topic.
    pub fn send(
        &mut self,
        name: &str,
        content: Content,
        except: Option<SessionId>,
        sessions: &Sessions,
    ) -> Option<(Outboxes, Option<Arc<KeptMessage>>)> {
        let topic = self.topics.get_mut(name)?;
        let (keeps, recipients) = (topic.keep > 0, topic.recipients(sessions));
        let kept = if keeps { self.keep(name, content, except) } else { None };
        Some((recipients, kept))
    }

    /// Keeps a message in a topic. It is copied, so it has no memory in reserve that would not be
    /// counted.
    fn keep(
        &mut self,
        name: &str,
        content: Content,
        except: Option<SessionId>,
    ) -> Option<Arc<KeptMessage>> {
        let (key, _) = self.topics.get_key_value(name)?;
        let (key, message) = (Arc::clone(key), content.message()?);
        let topic = self.topics.get_mut(name)?;
        let (number, bytes) = (self.next, weight(&message));
        self.next += 1;
        topic.bytes += bytes;
        self.bytes += bytes;
        let message = Arc::new(KeptMessage::new(message, content.compresses()));
        topic.kept.push_back(Kept { number, message: Arc::clone(&message), except });
        self.kept.push_back((number, key));
        self.trim(name);
        Some(message)
    }

    /// Changes how many messages a topic keeps, if `keep` says anything and there is such a topic.
    pub fn set_keep(&mut self, name: &str, keep: Option<usize>) {
        if let (Some(topic), Some(keep)) = (self.topics.get_mut(name), keep) {
            topic.keep = keep;
            self.trim(name);
        }
    }

    /// Drops the oldest messages of a topic beyond its own bounds, then those of all topics beyond
    /// theirs.
    fn trim(&mut self, name: &str) {
        if let Some(topic) = self.topics.get_mut(name) {
            while topic.kept.len() > topic.keep || topic.bytes > TOPIC_KEEPS {
                self.bytes -= topic.drop_oldest();
                self.stale += 1;
            }
        }
        let most = bounds().keep;
        while self.bytes > most {
            match self.kept.pop_front() {
                Some((number, name)) => match self.topics.get_mut(&name) {
                    Some(topic) if topic.keeps(number) => self.bytes -= topic.drop_oldest(),
                    _ => self.stale -= 1,
                },
                None => break,
            }
        }
        self.sweep();
    }

    /// Removes stale entries from the list once they are many: to remove one, it would have to be
    /// searched for.
    fn sweep(&mut self) {
        if self.stale > 64 && self.stale > self.kept.len() / 2 {
            let Topics { kept, topics, .. } = self;
            kept.retain(|(number, name)| topics.get(name).map_or(false, |one| one.keeps(*number)));
            self.stale = 0;
        }
    }

    /// Returns the sessions in a topic, in no particular order.
    pub fn members(&self, name: &str) -> Vec<SessionId> {
        self.topics.get(name).map_or(Vec::new(), |topic| topic.members.keys().copied().collect())
    }

    /// Returns the number of sessions in a topic.
    pub fn len_of(&self, name: &str) -> usize {
        self.topics.get(name).map_or(0, |topic| topic.members.len())
    }

    /// Returns the names of all topics, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.topics.keys()
    }

    /// Returns whether a topic has a member.
    pub fn exists(&self, name: &str) -> bool {
        self.topics.contains_key(name)
    }

    /// Returns the number of topics.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// Returns whether a session has left any trace.
    #[cfg(test)]
    pub fn knows(&self, id: &SessionId) -> bool {
        self.topics_of.contains_key(id)
            || self.topics.values().any(|topic| topic.members.contains_key(id))
    }
}

impl Membership {
    fn has(&self, outbox: &Arc<Outbox>) -> bool {
        self.whole || self.some.iter().any(|one| Arc::ptr_eq(one, outbox))
    }

    /// Returns those of a session's WebSockets that are in the topic.
    fn present<'a>(
        &'a self,
        id: &SessionId,
        sessions: &'a Sessions,
    ) -> impl Iterator<Item = &'a Arc<Outbox>> {
        sessions.get(id).into_iter().flat_map(|all| all.iter()).filter(move |one| self.has(one))
    }
}

impl Topic {
    fn has(&self, id: &SessionId) -> bool {
        self.members.get(id).map_or(false, |membership| membership.whole)
    }

    fn recipients(&mut self, sessions: &Sessions) -> Outboxes {
        let Topic { members, recipients, .. } = self;
        let all = || {
            let present =
                members.iter().flat_map(|(id, membership)| membership.present(id, sessions));
            present.cloned().collect()
        };
        Arc::clone(recipients.get_or_insert_with(all))
    }

    fn kept_for<'a>(&'a self, id: &'a SessionId) -> impl Iterator<Item = &'a Kept> {
        self.kept.iter().filter(move |kept| kept.except.as_ref() != Some(id))
    }

    /// Returns whether the topic still keeps a message that it once kept.
    fn keeps(&self, number: u64) -> bool {
        self.kept.front().map_or(false, |oldest| oldest.number <= number)
    }

    /// Drops the oldest kept message. Returns what it counted for, in bytes.
    fn drop_oldest(&mut self) -> usize {
        let bytes = self.kept.pop_front().map_or(0, |oldest| weight(&oldest.message.message));
        self.bytes -= bytes;
        bytes
    }
}

/// Returns the messages of several topics in the order in which they were sent.
fn in_order(mut kept: Vec<&Kept>) -> Vec<Arc<KeptMessage>> {
    kept.sort_unstable_by_key(|kept| kept.number);
    kept.iter().map(|kept| Arc::clone(&kept.message)).collect()
}
