//! Who is here: the one global map, from a session to its open WebSockets.
//!
//! The lock is held to look up and to clone `Arc`s: never while anything is written or user code
//! runs. One stuck client must not stop the rest. Under it only an outbox's lock is taken: to append
//! what a topic keeps, so that nothing newer can come before, and to sum up its counts.

use crate::comms::interests::{Hook, Interests};
use crate::comms::mailbox::Mailbox;
use crate::comms::recipients::Members;
use crate::comms::topics::{Bounds, Sessions, Topics};
use crate::error::Error;
use crate::ground::limits::{has_room, Limits};
use crate::ground::logger::log_line;
use crate::net::outbox::Outbox;
use crate::net::queue::Counts;
use crate::relay::adapter::{Link, Outward, Passed, Relay, Relayed};
use crate::relay::channel::Channel;
use crate::relay::envelope::{Content, Target};
use crate::session::id::SessionId;
use crate::session::keys::SessionKeys;
use crate::session::name::Bits;
use crate::session::revoked::{is_ended, Ended};
use std::cell::RefCell;
use std::mem::take;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

static GLOBAL: Global = Global {
    registry: Mutex::new(None),
    changes: AtomicUsize::new(0),
    listeners: AtomicUsize::new(0),
    relayed: AtomicBool::new(false),
};

struct Global {
    registry: Mutex<Option<Registry>>,
    /// Counts who came and went. Changed under the lock, read without it.
    changes: AtomicUsize,
    /// How many listen in. Changed under the lock, read without it.
    listeners: AtomicUsize,
    /// Whether there is a relay. Changed under the lock, read without it.
    relayed: AtomicBool,
}

thread_local! {
    /// The session that this thread looked up last, and at which count: a handler mostly answers
    /// the client whose message it handles. Weak, so that nobody is kept who has gone.
    static LAST: RefCell<Option<LookUp>> = const { RefCell::new(None) };
}

struct LookUp {
    changes: usize,
    id: SessionId,
    members: Weak<[Arc<Outbox>]>,
}

#[derive(Default)]
struct Registry {
    sessions: Sessions,
    /// All of them, from the first broadcast after somebody came or went until the next does.
    everyone: Option<Members>,
    /// Topics and receivers, once there are any, and what topics may take.
    interests: Option<Box<dyn Hook>>,
    bounds: Bounds,
    /// Those that have left and whose conversations are not over, and what has passed on those before.
    leaving: Vec<Arc<Outbox>>,
    passed: Counts,
    keys: Option<SessionKeys>,
    relay: Option<Arc<dyn Outward>>,
    /// Sessions that came or went, with a relay that has not been told yet.
    news: Vec<SessionId>,
    /// Whether a server was bound.
    bound: bool,
}

impl Registry {
    /// Notes that the sessions are about to change.
    fn change(&mut self) -> &mut Sessions {
        GLOBAL.changes.fetch_add(1, Ordering::Release);
        self.everyone = None;
        &mut self.sessions
    }

    /// Notes that a session came or went, for the relay.
    fn note(&mut self, id: &SessionId) {
        if self.relay.is_some() {
            self.news.push(*id);
        }
    }
}

/// Runs on the map. Nothing in `look` may block, or lock anything but an outbox.
fn with<T>(look: impl FnOnce(&mut Registry) -> T) -> T {
    let mut registry = GLOBAL.registry.lock().unwrap_or_else(PoisonError::into_inner);
    let result = look(registry.get_or_insert_with(Registry::default));
    unlock(registry);
    result
}

/// Unlocks the map, and then tells the relay who came and went: it may ask back.
#[inline(never)]
fn unlock(mut registry: MutexGuard<'_, Option<Registry>>) {
    let Registry { relay, news, interests, .. } = match &mut *registry {
        Some(registry) if registry.relay.is_some() => registry,
        _ => return,
    };
    let topics = interests.as_mut().map_or(Vec::new(), |interests| interests.changed());
    let sessions = take(news);
    let relay = relay.clone().filter(|_| !sessions.is_empty() || !topics.is_empty());
    drop(registry);
    if let Some(relay) = relay {
        relay.changed(&sessions, &topics);
    }
}

/// A WebSocket's place in the map, until it leaves. What passes on it is counted until this is dropped.
pub(crate) struct Registration(Arc<Outbox>);

/// Why a WebSocket cannot join its session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotJoined {
    /// The session has as many as it may.
    TooMany,
    /// The session was ended since its cookie was read.
    Revoked,
}

impl std::fmt::Display for NotJoined {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.write_str(match self {
            NotJoined::TooMany => "its session has as many as it may",
            NotJoined::Revoked => "its session was ended",
        })
    }
}

/// Puts a WebSocket into the map, if its session has less than `most` (0: no ceiling).
pub(crate) fn join(outbox: &Arc<Outbox>, most: usize) -> Result<Registration, NotJoined> {
    let session = &outbox.session;
    with(|registry| {
        // Asked under the lock that `connections_of` needs: see `revoked`.
        if is_ended(session) {
            return Err(NotJoined::Revoked);
        }
        #[cfg(test)]
        crate::inside::pauses::at("asked whether the login has ended");
        let known = registry.sessions.get(&session.id).map_or(&[][..], |members| members);
        if !has_room(most, known.len()) {
            return Err(NotJoined::TooMany);
        }
        let first = known.is_empty();
        let members = known.iter().chain([outbox]).cloned().collect();
        if first {
            registry.note(&session.id);
        }
        registry.change().insert(session.id, members);
        // Behind the 101, which is the first thing in the outbox.
        if let Some(interests) = &mut registry.interests {
            outbox.give(&interests.came(&session.id));
        }
        Ok(Registration(Arc::clone(outbox)))
    })
}

impl Registration {
    /// Takes the WebSocket off the map, if it is there.
    pub fn leave(&self) {
        let outbox = &self.0;
        let id = &outbox.session.id;
        with(|registry| {
            let members = registry.sessions.get(id).map_or(&[][..], |members| members);
            let is_own = |other: &Arc<Outbox>| Arc::ptr_eq(other, outbox);
            if !members.iter().any(is_own) {
                return;
            }
            let left: Members = members.iter().filter(|one| !is_own(one)).cloned().collect();
            // One that is not served yet may fail to open, and then nobody would be told.
            outbox.leave(!left.iter().any(|one| one.is_served()));
            registry.leaving.push(Arc::clone(outbox));
            let gone = left.is_empty();
            match gone {
                true => registry.change().remove(id),
                false => registry.change().insert(*id, left),
            };
            let interests = registry.interests.as_mut();
            let listened_to = interests.map_or(false, |all| all.went(id, outbox, gone));
            if gone && !listened_to {
                registry.note(id);
            }
        });
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.leave();
        with(|registry| {
            registry.leaving.retain(|one| !Arc::ptr_eq(one, &self.0));
            registry.passed += self.0.counts();
        });
    }
}

/// Returns the open WebSockets of a session, or `None`. Asking for nobody leaves no trace.
pub(crate) fn members(id: &SessionId) -> Option<Members> {
    let changes = GLOBAL.changes.load(Ordering::Acquire);
    let known = LAST.try_with(|last| match &*last.borrow() {
        Some(last) if last.changes == changes && last.id == *id => last.members.upgrade(),
        _ => None,
    });
    known.ok().flatten().or_else(|| look_up(id))
}

/// Not inlined: what it needs would lie beneath every write of a sender.
#[inline(never)]
fn look_up(id: &SessionId) -> Option<Members> {
    let (changes, members) = with(|registry| {
        (GLOBAL.changes.load(Ordering::Relaxed), registry.sessions.get(id).cloned())
    });
    let look_up = |members| LookUp { changes, id: *id, members: Arc::downgrade(members) };
    let last = members.as_ref().map(look_up);
    // Fails near the end of the thread: then nothing is looked up again.
    let _ = LAST.try_with(|slot| *slot.borrow_mut() = last);
    members
}

/// Returns the open WebSockets of all sessions.
pub(crate) fn everyone() -> Members {
    with(|registry| {
        let Registry { sessions, everyone, .. } = registry;
        let all = || sessions.values().flat_map(|members| members.iter()).cloned().collect();
        Arc::clone(everyone.get_or_insert_with(all))
    })
}

/// Returns the sessions that have an open WebSocket, in no order.
pub(crate) fn sessions() -> Vec<SessionId> {
    with(|registry| registry.sessions.keys().copied().collect())
}

/// Puts a session, or one WebSocket of it, into a topic that may be told how many messages to keep.
/// Returns whose outboxes got messages that are to be written, or `None` when the session, or the
/// WebSocket, is not here or may not be in it.
pub(crate) fn join_topic(
    name: &Arc<str>,
    id: &SessionId,
    one: Option<&Arc<Outbox>>,
    keep: Option<usize>,
) -> Option<Vec<Arc<Outbox>>> {
    let joined = with_interests(|Interests { topics, receivers }, sessions| {
        let members = match sessions.get(id) {
            Some(members) => members,
            // Who is only listened to may be in a topic too.
            None if receivers.contains_key(id) => &[][..],
            None => return None,
        };
        let is_one = |one| members.iter().any(|member| Arc::ptr_eq(member, one));
        if !one.map_or(true, is_one) {
            return None;
        }
        let joined = match topics.join(name, id, members, one, keep) {
            Ok(joined) => joined,
            Err(why) => return Some(Err(why)),
        };
        joined.new.iter().for_each(|outbox| outbox.give(&joined.kept));
        for mailbox in receivers.get(id).filter(|_| joined.whole).into_iter().flatten() {
            joined.kept.iter().for_each(|message| mailbox.give(message));
        }
        Some(Ok(if joined.kept.is_empty() { Vec::new() } else { joined.new }))
    })?;
    if let Err(why) = &joined {
        log_line!(Info, "{} does not get into the topic {:?}: {}", id, name, why);
    }
    joined.ok()
}

/// Runs on topics and receivers, and the sessions that are here.
fn with_interests<T>(look: impl FnOnce(&mut Interests, &Sessions) -> T) -> T {
    with(|registry| {
        let Registry { interests, bounds, sessions, .. } = registry;
        let interests = interests.get_or_insert_with(|| Box::new(Interests::default()));
        let interests = interests.interests();
        interests.topics.bounds = *bounds;
        look(interests, sessions)
    })
}

/// Runs on the topics and the sessions that are here.
pub(crate) fn with_topics<T>(look: impl FnOnce(&mut Topics, &Sessions) -> T) -> T {
    with_interests(|interests, sessions| look(&mut interests.topics, sessions))
}

/// Has a mailbox get what is sent to a session.
pub(crate) fn listen(id: &SessionId, mailbox: Mailbox) {
    with_interests(|Interests { receivers, .. }, _| {
        receivers.entry(*id).or_default().push(mailbox);
        GLOBAL.listeners.fetch_add(1, Ordering::Release);
    });
    with(|registry| registry.note(id));
}

/// Ends what `listen` began. A session that was only listened to leaves its topics.
pub(crate) fn unlisten(id: &SessionId, mailbox: &Mailbox) {
    with_interests(|Interests { topics, receivers }, sessions| {
        GLOBAL.listeners.fetch_sub(1, Ordering::Release);
        let mailboxes = receivers.entry(*id).or_default();
        mailboxes.retain(|other| !other.is(mailbox));
        if mailboxes.is_empty() {
            receivers.remove(id);
            if !sessions.contains_key(id) {
                topics.gone(id);
            }
        }
    });
    with(|registry| registry.note(id));
}

/// Returns who listens to a session.
pub(crate) fn listeners_of(id: &SessionId) -> Vec<Mailbox> {
    listeners(|interests| interests.receivers_of(id))
}

/// Returns who listens to any session but one.
pub(crate) fn listeners_but(except: Option<&SessionId>) -> Vec<Mailbox> {
    listeners(|interests| interests.receivers_but(except))
}

/// Returns who listens to those that are in a topic as a whole, but to one.
pub(crate) fn listeners_in(topic: &str, except: Option<&SessionId>) -> Vec<Mailbox> {
    listeners(|interests| {
        let Interests { topics, receivers } = interests.interests();
        let inside = |id: &SessionId| except != Some(id) && topics.has(topic, id);
        let wanted = receivers.iter().filter(|(id, _)| inside(id));
        wanted.flat_map(|(_, mailboxes)| mailboxes).cloned().collect()
    })
}

fn listeners(find: impl FnOnce(&mut dyn Hook) -> Vec<Mailbox>) -> Vec<Mailbox> {
    if GLOBAL.listeners.load(Ordering::Acquire) == 0 {
        return Vec::new();
    }
    with(|registry| registry.interests.as_mut().map_or(Vec::new(), |hook| find(&mut **hook)))
}

/// Returns what has passed on connections that have ended, those that have not, and how many
/// WebSockets, sessions and topics there are.
pub(crate) fn census() -> (Counts, Vec<Arc<Outbox>>, [usize; 3]) {
    with(|registry| {
        let Registry { sessions, interests, leaving, passed, .. } = registry;
        let connections = sessions.values().map(|members| members.len()).sum();
        let topics = interests.as_ref().map_or(0, |interests| interests.topics());
        let numbers = [connections, sessions.len(), topics];
        let outboxes = sessions.values().flat_map(|members| members.iter()).chain(leaving.iter());
        (*passed, outboxes.cloned().collect(), numbers)
    })
}

/// Returns the open WebSockets of what was ended of a session.
pub(crate) fn connections_of(id: &SessionId, ended: Ended) -> Vec<Arc<Outbox>> {
    with(|registry| {
        let members = registry.sessions.get(id).map_or(&[][..], |members| members);
        members.iter().filter(|member| ended.covers(&member.session)).cloned().collect()
    })
}

/// Returns the keys of servers that were given none: random, and the same for the whole process.
pub(crate) fn process_keys() -> Result<SessionKeys, Error> {
    // Made before the lock is taken: the system is asked for random numbers.
    let fresh = SessionKeys::random()?;
    let (keys, first) = with(|registry| {
        let first = registry.keys.is_none();
        (registry.keys.get_or_insert(fresh).clone(), first)
    });
    if first {
        log_line!(Info, "sessions end with this process; Server::session_keys makes them last");
    }
    Ok(keys)
}

/// Sets the relay and starts it.
pub(crate) fn start_relay(relay: Box<dyn Relay>) -> Result<(), Error> {
    let node = Bits(SessionKeys::random()?.draw());
    let relayed = Arc::new(Relayed::new(relay, node));
    with(|registry| {
        if registry.relay.is_some() {
            return Err(Error::Setting("there is a relay already".to_string()));
        }
        if registry.bound {
            return Err(Error::Setting("a relay is set before a server is bound".to_string()));
        }
        registry.relay = Some(Arc::clone(&relayed) as Arc<dyn Outward>);
        GLOBAL.relayed.store(true, Ordering::Release);
        Ok(())
    })?;
    with_topics(|topics, _| topics.changed = Some(Vec::new()));
    // After it is set, so that who comes meanwhile is told to it, or is in what it asks for.
    relayed.relay.start(Link(())).map_err(|error| {
        with(|registry| {
            registry.relay = None;
            GLOBAL.relayed.store(false, Ordering::Release);
        });
        with_topics(|topics, _| topics.changed = None);
        error
    })
}

/// Notes that a server is bound, and what it allows. Error: there is a relay, and its cookies would be good in this
/// process alone.
pub(crate) fn bind(has_keys: bool, limits: &Limits) -> Result<(), Error> {
    with(|registry| {
        if registry.relay.is_some() && !has_keys {
            let how = "with a relay a server needs Server::session_keys, the same on every process";
            return Err(Error::Setting(how.to_string()));
        }
        registry.bound = true;
        registry.bounds = registry.bounds.larger(limits);
        Ok(())
    })
}

/// Returns whether there is a relay.
pub(crate) fn is_relayed() -> bool {
    GLOBAL.relayed.load(Ordering::Relaxed)
}

/// Tells the other processes, if there is a relay.
pub(crate) fn publish(target: Target, content: Content) {
    if let Some(relay) = relay() {
        relay.publish(target, content);
    }
}

/// Returns the relay.
pub(crate) fn relay() -> Option<Arc<dyn Outward>> {
    with(|registry| registry.relay.clone())
}

/// Returns what has passed through the relay.
pub(crate) fn passed() -> Passed {
    relay().map_or(Passed::default(), |relay| *relay.relayed().passed())
}

/// Returns whether what comes on a channel is for somebody here.
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

/// Returns the channels for somebody here. A session that is also listened to stands there twice.
pub(crate) fn wanted() -> Vec<Channel> {
    with_interests(|Interests { topics, receivers }, sessions| {
        let ids = sessions.keys().chain(receivers.keys());
        let ids = ids.map(|id| Channel::Session(id.into()));
        let topics = topics.names().map(|name| Channel::Topic(name.to_string()));
        [Channel::Everybody].into_iter().chain(ids).chain(topics).collect()
    })
}
