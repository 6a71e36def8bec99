//! The registry of connections: the one map of the process, from a session to its open WebSockets.
//!
//! # What the lock protects
//!
//! One mutex holds the map and, behind a hook that exists once a program has used them, topics and
//! receivers. So each of these is one step that no thread sees half done: a WebSocket joins its
//! session and gets what the session's topics keep; the last WebSocket of a session leaves, and the
//! session leaves its topics; a session subscribes and gets what was kept before anything newer.
//!
//! Inside, a thread looks up, clones `Arc`s, and appends to outboxes what topics keep. It never
//! writes to a socket, waits for a client or runs user code, since one stuck client must not stop
//! the rest. The locks that may be taken inside are those of an outbox, a mailbox, `revoked`,
//! `process` and `stats`; none of these takes the registry's. A relay is told what changed after
//! the lock was released, since it may ask back.
//!
//! # A login that ends while its WebSocket opens
//!
//! ```text
//! opening   lock { has the login been ended? ── insert }
//! ending    add the login to the list ── lock { collect the session's WebSockets } ── close them
//! ```
//!
//! If `ending` collects first, the login was on the list before `opening` asked, which refuses the
//! WebSocket. If `opening` comes first, `ending` collects the WebSocket and closes it. So
//! `opening` must ask inside the lock, and the collection must not use the look-up cache.
//!
//! # The look-up cache
//!
//! A handler mostly answers the client whose message it handles, so each thread remembers the
//! session that it looked up last, and the count of changes at that time. A thread that changes the
//! map raises the count first, under the lock; a thread that reads the same count again may use
//! what it remembers without the lock. The result is as if it had sent before the change.
//!
//! # What keeps an outbox alive
//!
//! The conversation does; so do the map, until the WebSocket leaves, and a list that was handed to
//! a sender, for the length of its send. Everything that is remembered for later is weak (the
//! cache, handles) or dropped at the next change (the list of everyone, the lists of topics), so
//! nothing holds the socket of a client that has gone.

use crate::comms::interests::{Hook, Interests, Members};
use crate::comms::mailbox::Mailbox;
use crate::comms::process::{is_relayed, relay};
use crate::comms::stats;
use crate::comms::topics::{Outboxes, Sessions, Topics};
use crate::ground::limits::has_room;
use crate::ground::logger::log_line;
use crate::net::outbox::Outbox;
use crate::net::queue::Counts;
use crate::relay::channel::Channel;
use crate::relay::envelope::Content;
use crate::session::id::SessionId;
use crate::session::revoked::is_ended;
use std::cell::RefCell;
use std::mem::take;
use std::slice::from_ref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

static GLOBAL: Global = Global {
    registry: Mutex::new(None),
    changes: AtomicUsize::new(0),
    receivers: AtomicUsize::new(0),
};

struct Global {
    registry: Mutex<Option<Registry>>,
    /// Counts the changes of the map. Raised under the lock, read without it.
    changes: AtomicUsize,
    /// How many receivers there are. Changed under the lock, read without it.
    receivers: AtomicUsize,
}

thread_local! {
    static LAST: RefCell<Option<LookUp>> = const { RefCell::new(None) };
}

/// What a thread looked up last, and at which count of changes.
struct LookUp {
    changes: usize,
    id: SessionId,
    outboxes: Weak<[Arc<Outbox>]>,
}

#[derive(Default)]
struct Registry {
    sessions: Sessions,
    /// All open WebSockets, from the first broadcast after a change until the next change.
    everyone: Option<Outboxes>,
    /// Topics and receivers, once there are any.
    interests: Option<Box<dyn Hook>>,
    /// Sessions that came or went and that the relay has not been told of.
    changed: Vec<SessionId>,
}

impl Registry {
    /// Returns the map to change it.
    fn change(&mut self) -> &mut Sessions {
        GLOBAL.changes.fetch_add(1, Ordering::Release);
        self.everyone = None;
        &mut self.sessions
    }

    /// Notes for the relay that this process may have begun or ceased to want a session's messages.
    fn tell_relay(&mut self, id: &SessionId) {
        if is_relayed() {
            self.changed.push(*id);
        }
    }
}

/// Runs on the registry. See above for what `look` may do.
fn with<T>(look: impl FnOnce(&mut Registry) -> T) -> T {
    let mut registry = GLOBAL.registry.lock().unwrap_or_else(PoisonError::into_inner);
    let result = look(registry.get_or_insert_with(Registry::default));
    unlock(registry);
    result
}

/// Unlocks the registry, and then tells the relay which sessions and topics came or went.
#[inline(never)]
fn unlock(mut registry: MutexGuard<'_, Option<Registry>>) {
    let Registry { changed, interests, .. } = match &mut *registry {
        Some(registry) if is_relayed() => registry,
        _ => return,
    };
    let topics = interests.as_mut().map_or(Vec::new(), |interests| interests.take_changed());
    let sessions = take(changed);
    drop(registry);
    if sessions.is_empty() && topics.is_empty() {
        return;
    }
    if let Some(relay) = relay() {
        relay.changed(&sessions, &topics);
    }
}

/// A WebSocket's place in the map, until it leaves. Its counts go to the sums when this is dropped.
pub(crate) struct Registration(Arc<Outbox>);

/// Why a WebSocket cannot join its session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotJoined {
    /// The session has as many as it may.
    TooMany,
    /// The login was ended after its cookie was read.
    Revoked,
}

impl std::fmt::Display for NotJoined {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.write_str(match self {
            NotJoined::TooMany => {
                "its session has as many as it may (Limits::connections_per_session)"
            }
            NotJoined::Revoked => "its login was ended",
        })
    }
}

/// Puts a WebSocket into the map, if its session has fewer than `most` (0: no ceiling).
pub(crate) fn join(outbox: &Arc<Outbox>, most: usize) -> Result<Registration, NotJoined> {
    let session = &outbox.session;
    with(|registry| {
        // Inside the lock: see above.
        if is_ended(session) {
            return Err(NotJoined::Revoked);
        }
        #[cfg(test)]
        crate::inside::pauses::at("asked whether the login has ended");
        let known = registry.sessions.get(&session.id).map_or(&[][..], |outboxes| outboxes);
        if !has_room(most, known.len()) {
            return Err(NotJoined::TooMany);
        }
        let first = known.is_empty();
        let outboxes = [known, from_ref(outbox)].concat();
        if first {
            registry.tell_relay(&session.id);
        }
        registry.change().insert(session.id, outboxes.into());
        // Behind the 101, which is the first thing in the outbox.
        if let Some(interests) = &mut registry.interests {
            outbox.give(&interests.joined(&session.id));
        }
        Ok(Registration(Arc::clone(outbox)))
    })
}

impl Registration {
    /// Removes the WebSocket from the map, if it is still there.
    pub fn leave(&self) {
        let outbox = &self.0;
        let id = &outbox.session.id;
        with(|registry| {
            let known = registry.sessions.get(id).map_or(&[][..], |outboxes| outboxes);
            let is_own = |other: &Arc<Outbox>| Arc::ptr_eq(other, outbox);
            if !known.iter().any(is_own) {
                return;
            }
            let mut left = known.to_vec();
            left.retain(|one| !is_own(one));
            // One that is not served yet may fail to open; then no handler would see the last
            // leave.
            outbox.leave(!left.iter().any(|one| one.is_served()));
            // Inside the lock, so that a census finds the counts exactly once.
            stats::leaving(outbox);
            let gone = left.is_empty();
            match gone {
                true => registry.change().remove(id),
                false => registry.change().insert(*id, left.into()),
            };
            let interests = registry.interests.as_mut();
            let received = interests.map_or(false, |interests| interests.left(outbox, gone));
            if gone && !received {
                registry.tell_relay(id);
            }
        });
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.leave();
        stats::ended(&self.0);
    }
}

/// Returns the open WebSockets of a session, or `None` when it has none; asking leaves no trace.
pub(crate) fn outboxes(id: &SessionId) -> Option<Outboxes> {
    let changes = GLOBAL.changes.load(Ordering::Acquire);
    let known = LAST.try_with(|last| match &*last.borrow() {
        Some(last) if last.changes == changes && last.id == *id => last.outboxes.upgrade(),
        _ => None,
    });
    known.ok().flatten().or_else(|| look_up(id))
}

/// Returns the open WebSockets of a session under the lock, not from the cache: for logins that end
/// (see above).
///
/// Not inlined: what it needs would lie beneath every write of a sender.
#[inline(never)]
pub(crate) fn look_up(id: &SessionId) -> Option<Outboxes> {
    let (changes, outboxes) = with(|registry| {
        (GLOBAL.changes.load(Ordering::Relaxed), registry.sessions.get(id).cloned())
    });
    let look_up = |outboxes| LookUp { changes, id: *id, outboxes: Arc::downgrade(outboxes) };
    let last = outboxes.as_ref().map(look_up);
    // Fails while the thread ends: then nothing is remembered.
    let _ = LAST.try_with(|slot| *slot.borrow_mut() = last);
    outboxes
}

/// Returns the open WebSockets of all sessions.
pub(crate) fn everyone() -> Outboxes {
    with(|registry| {
        let Registry { sessions, everyone, .. } = registry;
        let all = || {
            let mut all = Vec::new();
            sessions.values().for_each(|outboxes| all.extend_from_slice(outboxes));
            all.into()
        };
        Arc::clone(everyone.get_or_insert_with(all))
    })
}

/// Returns the sessions that have an open WebSocket, in no order.
pub(crate) fn sessions() -> Vec<SessionId> {
    with(|registry| registry.sessions.keys().copied().collect())
}

/// Returns all outboxes whose counts are not in the sums, the sums, and the numbers of WebSockets,
/// sessions and topics.
pub(crate) fn census() -> (Vec<Arc<Outbox>>, Counts, [usize; 3]) {
    with(|registry| {
        let Registry { sessions, interests, .. } = registry;
        let (mut outboxes, sums) = stats::past();
        let leaving = outboxes.len();
        sessions.values().for_each(|open| outboxes.extend_from_slice(open));
        let topics = interests.as_ref().map_or(0, |interests| interests.topics());
        let numbers = [outboxes.len() - leaving, sessions.len(), topics];
        (outboxes, sums, numbers)
    })
}

/// Runs on topics and receivers, with the sessions of this process.
fn with_interests<T>(look: impl FnOnce(&mut Interests, &Sessions) -> T) -> T {
    with(|registry| {
        let Registry { interests, sessions, .. } = registry;
        let interests = interests.get_or_insert_with(|| Box::new(Interests::default()));
        look(interests.interests(), sessions)
    })
}

/// Runs on the topics, with the sessions of this process.
pub(crate) fn with_topics<T>(look: impl FnOnce(&mut Topics, &Sessions) -> T) -> T {
    with_interests(|interests, sessions| look(&mut interests.topics, sessions))
}

/// Puts a session, or one WebSocket of it, into a topic, which keeps as many messages as `keep`
/// says, if it says anything. Returns the outboxes to which kept messages were appended, for the
/// caller to write, or `None` when the session, or the WebSocket, is not here or may not be in the
/// topic.
pub(crate) fn join_topic(
    name: &Arc<str>,
    id: &SessionId,
    one: Option<&Arc<Outbox>>,
    keep: Option<usize>,
) -> Option<Vec<Arc<Outbox>>> {
    let joined = with_interests(|Interests { topics, receivers }, sessions| {
        let outboxes = match sessions.get(id) {
            Some(outboxes) => outboxes,
            // A session that has only a receiver may be in a topic too.
            None if receivers.contains_key(id) => &[][..],
            None => return None,
        };
        let is_open = |one| outboxes.iter().any(|outbox| Arc::ptr_eq(outbox, one));
        if !one.map_or(true, is_open) {
            return None;
        }
        let joined = match topics.join(name, id, outboxes, one, keep) {
            Ok(joined) => joined,
            Err(why) => return Some(Err(why)),
        };
        joined.new.iter().for_each(|outbox| outbox.give(&joined.kept));
        for mailbox in receivers.get(id).filter(|_| joined.whole).into_iter().flatten() {
            joined.kept.iter().for_each(|kept| mailbox.give(&kept.message));
        }
        Some(Ok(if joined.kept.is_empty() { Vec::new() } else { joined.new }))
    })?;
    if let Err(why) = &joined {
        log_line!(Info, "{} cannot join the topic {:?}: {}", id, name, why);
    }
    joined.ok()
}

/// Returns the WebSockets and mailboxes of a topic's members, and has the topic keep the message if
/// it keeps any: in one step, so that a newcomer gets it once, from the topic or from the sender.
pub(crate) fn topic_members(name: &str, content: Content, except: Option<SessionId>) -> Members {
    with(|registry| {
        let Registry { interests, sessions, .. } = registry;
        let interests = interests.as_mut();
        interests.map_or_else(Default::default, |interests| {
            interests.send(name, content, except, sessions)
        })
    })
}

/// Has a mailbox get what is sent to a session.
pub(crate) fn add_receiver(id: &SessionId, mailbox: Mailbox) {
    with_interests(|Interests { receivers, .. }, _| {
        receivers.entry(*id).or_default().push(mailbox);
        GLOBAL.receivers.fetch_add(1, Ordering::Release);
    });
    with(|registry| registry.tell_relay(id));
}

/// Ends what `add_receiver` began. A session that has no other receiver and no WebSocket leaves its
/// topics.
pub(crate) fn remove_receiver(id: &SessionId, mailbox: &Mailbox) {
    with_interests(|Interests { topics, receivers }, sessions| {
        GLOBAL.receivers.fetch_sub(1, Ordering::Release);
        let mailboxes = receivers.entry(*id).or_default();
        mailboxes.retain(|other| !other.is(mailbox));
        if mailboxes.is_empty() {
            receivers.remove(id);
            if !sessions.contains_key(id) {
                topics.remove(id);
            }
        }
    });
    with(|registry| registry.tell_relay(id));
}

/// Returns whether there is any receiver, without the lock.
pub(crate) fn has_receivers() -> bool {
    GLOBAL.receivers.load(Ordering::Acquire) > 0
}

/// Returns the mailboxes of one session, or of all but one.
pub(crate) fn mailboxes(of: Option<SessionId>, except: Option<SessionId>) -> Vec<Mailbox> {
    with(|registry| {
        let interests = registry.interests.as_ref();
        interests.map_or(Vec::new(), |interests| interests.mailboxes(of, except))
    })
}

/// Returns whether what comes on a channel is for a session or a topic of this process.
pub(crate) fn wants(channel: &Channel) -> bool {
    with_interests(|Interests { topics, receivers }, sessions| match channel {
        Channel::Everybody => true,
        Channel::Session(name) => {
            let id = SessionId::from(*name);
            sessions.contains_key(&id) || receivers.contains_key(&id)
        }
        Channel::Topic(name) => topics.exists(name),
    })
}

/// Returns the channels that this process wants. The channel of a session with a WebSocket and a
/// receiver is listed twice.
pub(crate) fn wanted() -> Vec<Channel> {
    with_interests(|Interests { topics, receivers }, sessions| {
        let ids = sessions.keys().chain(receivers.keys());
        let ids = ids.map(|id| Channel::Session(id.into()));
        let topics = topics.names().map(|name| Channel::Topic(name.to_string()));
        [Channel::Everybody].into_iter().chain(ids).chain(topics).collect()
    })
}
