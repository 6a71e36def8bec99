//! Who is here: the one global map, from a session to its open WebSockets.
//!
//! The lock is held to look up and to clone `Arc`s: never while anything is written, user code
//! runs or another lock is taken. One stuck client must not stop the rest.

use crate::error::Error;
use crate::keys::SessionKeys;
use crate::limits::{REVOKED, SESSION_LIFE};
use crate::outbox::Outbox;
use crate::session::{Session, SessionId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The open WebSockets of one session. A new list is made when one comes or goes, so who sends
/// clones one `Arc` and unlocks.
pub(crate) type Members = Arc<[Member]>;

#[derive(Clone)]
pub(crate) struct Member {
    pub outbox: Arc<Outbox>,
    /// The login (or guest) whose cookie opened it.
    login: [u8; 16],
}

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

#[derive(Default)]
struct Registry {
    sessions: HashMap<SessionId, Members>,
    /// Guests and users that were ended before their cookies expire. Apart, since anybody can
    /// become a guest and be ended, again and again.
    revoked: [Revoked; 2],
    keys: Option<SessionKeys>,
}

/// Logins that were ended, and until when their cookies would last, in seconds since 1970; oldest
/// first.
#[derive(Default)]
struct Revoked {
    logins: HashSet<[u8; 16]>,
    until: VecDeque<(u64, [u8; 16])>,
}

impl Revoked {
    fn add(&mut self, login: [u8; 16], now: u64) {
        if self.logins.insert(login) {
            self.until.push_back((now + SESSION_LIFE, login));
        }
        let past = |(until, _): &(u64, [u8; 16])| *until <= now;
        while self.until.len() > REVOKED || self.until.front().map_or(false, past) {
            self.until.pop_front().map(|(_, login)| self.logins.remove(&login));
        }
    }
}

impl Registry {
    fn revoked(&mut self, session: &Session) -> &mut Revoked {
        let [guests, users] = &mut self.revoked;
        match session.id {
            SessionId::Guest(_) => guests,
            SessionId::Authenticated(_) => users,
        }
    }
}

/// Runs on the map. Nothing in `look` may block or lock.
fn with<T>(look: impl FnOnce(&mut Registry) -> T) -> T {
    let mut registry: MutexGuard<_> = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    look(registry.get_or_insert_with(Registry::default))
}

/// A WebSocket's place in the map; dropping it leaves.
pub(crate) struct Membership {
    id: SessionId,
    outbox: Arc<Outbox>,
}

/// Why a WebSocket cannot join its session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotJoined {
    /// The session has as many as it may.
    TooMany,
    /// The session was ended since its cookie was read.
    Revoked,
}

/// Puts a WebSocket into the map, if its session has less than `most` (0: no ceiling).
pub(crate) fn join(
    session: &Session,
    outbox: &Arc<Outbox>,
    most: usize,
) -> Result<Membership, NotJoined> {
    with(|registry| {
        if registry.revoked(session).logins.contains(&session.login) {
            return Err(NotJoined::Revoked);
        }
        let known = registry.sessions.get(&session.id).map_or(&[][..], |members| members);
        if most > 0 && known.len() >= most {
            return Err(NotJoined::TooMany);
        }
        let member = Member { outbox: Arc::clone(outbox), login: session.login };
        let members = known.iter().cloned().chain([member]).collect();
        registry.sessions.insert(session.id.clone(), members);
        Ok(Membership { id: session.id.clone(), outbox: Arc::clone(outbox) })
    })
}

impl Drop for Membership {
    fn drop(&mut self) {
        with(|registry| {
            let left: Vec<Member> = match registry.sessions.get(&self.id) {
                Some(members) => {
                    let others = |member: &&Member| !Arc::ptr_eq(&member.outbox, &self.outbox);
                    members.iter().filter(others).cloned().collect()
                }
                None => return,
            };
            match left.is_empty() {
                true => registry.sessions.remove(&self.id),
                false => registry.sessions.insert(self.id.clone(), left.into()),
            };
        });
    }
}

/// Returns the open WebSockets of a session, or `None`. Asking for nobody leaves no trace.
pub(crate) fn members(id: &SessionId) -> Option<Members> {
    with(|registry| registry.sessions.get(id).cloned())
}

/// Returns the open WebSockets of all sessions but one.
pub(crate) fn everyone(except: Option<&SessionId>) -> Vec<Members> {
    with(|registry| {
        let sessions = registry.sessions.iter();
        sessions
            .filter(|(id, _)| Some(*id) != except)
            .map(|(_, members)| Arc::clone(members))
            .collect()
    })
}

/// Ends a login before its cookie expires, and returns its open WebSockets, which the caller
/// closes.
pub(crate) fn revoke(session: &Session, now: u64) -> Vec<Arc<Outbox>> {
    with(|registry| {
        registry.revoked(session).add(session.login, now);
        let members = registry.sessions.get(&session.id).map_or(&[][..], |members| members);
        let of_login = |member: &&Member| member.login == session.login;
        members.iter().filter(of_login).map(|member| Arc::clone(&member.outbox)).collect()
    })
}

/// Returns whether the login was ended.
pub(crate) fn is_revoked(session: &Session) -> bool {
    with(|registry| registry.revoked(session).logins.contains(&session.login))
}

/// Returns the keys of servers that were given none: random, and the same for the whole process.
pub(crate) fn process_keys() -> Result<SessionKeys, Error> {
    // Made before the lock is taken: the system is asked for random numbers.
    let fresh = SessionKeys::random()?;
    Ok(with(|registry| registry.keys.get_or_insert(fresh).clone()))
}
