//! Logins that were ended before their cookies expire. Cookies are not stored, so this list is what
//! keeps an ended one from being taken again. It is bounded, and it fails closed: when it forgets an
//! entry of a user, it ends more logins than it was asked to, never fewer.
//!
//! ```text
//! guest   the guest's bits; the oldest entry goes first: a guest's cookie that comes back is
//!         only a guest's
//! user    up to 8 single logins, then a mark: every login issued up to the latest of them
//! all     a floor: every user's login issued up to the last entry that had to be dropped
//! ```
//!
//! Two orders keep an ended login from slipping in: the thread that ends one adds it here and then
//! collects the open WebSockets, and the thread that registers one asks here while it holds the
//! registry's lock, which the collection needs too. So one of the two always sees the other.

use crate::limits::{REVOKED, REVOKED_PER_USER, SESSION_LIFE};
use crate::session::{unix_millis, Session, SessionId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

type Login = [u8; 16];

static REVOKED_LOGINS: Mutex<Option<Revoked>> = Mutex::new(None);

/// What was ended for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// One login, issued at this time, in milliseconds since 1970.
    Login(Login, u64),
    /// Every login of the user that was issued up to this time.
    UpTo(u64),
}

impl Ended {
    /// Returns whether a login of the session is among what was ended.
    pub fn covers(&self, login: &Login, issued: u64) -> bool {
        match self {
            Ended::Login(ended, _) => ended == login,
            Ended::UpTo(time) => issued <= *time,
        }
    }
}

/// Ends what is named of a session. Returns what is ended now: more than that when the user had too
/// many single entries.
pub(crate) fn end(id: &SessionId, ended: Ended) -> Ended {
    with(|revoked| revoked.end(id, ended, unix_millis()))
}

/// Returns whether the session's login was ended.
pub(crate) fn is_ended(session: &Session) -> bool {
    with(|revoked| revoked.has(session))
}

/// Returns the issue time of a new login: now, or later if logins issued now count as ended.
pub(crate) fn issue_time(user: i64) -> u64 {
    with(|revoked| revoked.issue_time(user, unix_millis()))
}

fn with<T>(look: impl FnOnce(&mut Revoked) -> T) -> T {
    let mut revoked: MutexGuard<_> = REVOKED_LOGINS.lock().unwrap_or_else(PoisonError::into_inner);
    look(revoked.get_or_insert_with(Revoked::default))
}

/// Guests and users apart, since anybody can become a guest and be ended, again and again.
#[derive(Default)]
pub(crate) struct Revoked {
    guests: HashSet<Login>,
    /// The same, oldest first, each with the time at which its cookie has expired.
    guests_until: VecDeque<(u64, Login)>,
    users: HashMap<i64, Vec<Entry>>,
    entries: usize,
    floor: u64,
}

/// What was ended of a user, and until when a cookie of it can be valid.
struct Entry {
    ended: Ended,
    until: u64,
}

impl Entry {
    fn issued(&self) -> u64 {
        match self.ended {
            Ended::Login(_, issued) | Ended::UpTo(issued) => issued,
        }
    }
}

impl Revoked {
    /// Ends what is named of a session, at this time in milliseconds since 1970.
    pub fn end(&mut self, id: &SessionId, ended: Ended, now: u64) -> Ended {
        // A cookie that was renewed just now lasts so long.
        let until = now.saturating_add(SESSION_LIFE * 1000);
        match (id, ended) {
            (SessionId::Guest(_), Ended::Login(login, _)) => self.end_guest(login, until, now),
            (SessionId::Guest(_), Ended::UpTo(_)) => {}
            (SessionId::Authenticated(user), _) => {
                return self.end_user(*user, Entry { ended, until }, now)
            }
        }
        ended
    }

    fn end_guest(&mut self, login: Login, until: u64, now: u64) {
        if self.guests.insert(login) {
            self.guests_until.push_back((until, login));
        }
        let past = |(until, _): &(u64, Login)| *until <= now;
        while self.guests.len() > REVOKED || self.guests_until.front().map_or(false, past) {
            self.guests_until.pop_front().map(|(_, login)| self.guests.remove(&login));
        }
    }

    fn end_user(&mut self, user: i64, new: Entry, now: u64) -> Ended {
        let entries = self.users.entry(user).or_default();
        let (before, mut ended) = (entries.len(), new.ended);
        let covered = |old: &Entry| match old.ended {
            Ended::UpTo(time) => new.issued() <= time,
            same => same == new.ended,
        };
        if entries.iter().any(covered) {
            return ended;
        }
        entries.push(new);
        let single = |entry: &&Entry| matches!(entry.ended, Ended::Login(..));
        if entries.iter().filter(single).count() > REVOKED_PER_USER {
            ended = Ended::UpTo(entries.iter().map(Entry::issued).max().unwrap_or(0));
        }
        if let Ended::UpTo(time) = ended {
            // The mark takes the place of all that it covers.
            let until = entries.iter().map(|entry| entry.until).max().unwrap_or(0);
            entries.retain(|entry| entry.issued() > time);
            entries.push(Entry { ended, until });
        }
        self.entries = self.entries + entries.len() - before;
        if self.entries > REVOKED {
            self.make_room(now);
        }
        ended
    }

    /// Drops what has expired, or else the entry that was issued first: then the floor rises to its
    /// issue time, so that what it ended stays ended. It looks at all entries, of which there are few
    /// enough.
    fn make_room(&mut self, now: u64) {
        self.users.retain(|_, entries| {
            entries.retain(|entry| entry.until > now);
            !entries.is_empty()
        });
        self.entries = self.users.values().map(Vec::len).sum();
        if self.entries <= REVOKED {
            return;
        }
        let first = self.users.values().flatten().map(Entry::issued).min().unwrap_or(0);
        self.floor = self.floor.max(first);
        let floor = self.floor;
        self.users.retain(|_, entries| {
            entries.retain(|entry| entry.issued() > floor);
            !entries.is_empty()
        });
        self.entries = self.users.values().map(Vec::len).sum();
    }

    /// Returns whether the session's login was ended.
    pub fn has(&self, session: &Session) -> bool {
        match &session.id {
            SessionId::Guest(_) => self.guests.contains(&session.login),
            SessionId::Authenticated(user) => {
                let covers = |entry: &Entry| entry.ended.covers(&session.login, session.issued);
                session.issued <= self.floor
                    || self.users.get(user).map_or(false, |entries| entries.iter().any(covers))
            }
        }
    }

    /// Returns the issue time of a new login: the later of now and one more than what was ended by
    /// time. So a login works in the millisecond of a logout, and after the clock went back.
    pub fn issue_time(&self, user: i64, now: u64) -> u64 {
        let mark = |entry: &Entry| match entry.ended {
            Ended::UpTo(time) => Some(time),
            Ended::Login(..) => None,
        };
        let marks = self.users.get(&user).into_iter().flatten().filter_map(mark);
        let latest = marks.max().unwrap_or(0).max(self.floor);
        now.max(latest.saturating_add(1))
    }
}
