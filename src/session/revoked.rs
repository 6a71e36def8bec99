//! The list of logins that were ended before their cookies expire. Cookies are not stored, so this
//! list is what keeps the cookie of an ended login from being accepted again. The list is bounded
//! and fails closed: when it drops an entry of a user, it ends more logins than it was asked to,
//! never fewer.
//!
//! ```text
//! guest   the guest's bits; the oldest entry is dropped first, since an accepted cookie of a guest
//!         gives no more than a guest has
//! user    up to 8 single logins, then a mark: every login issued up to the latest of them
//! all     a floor: every user's login issued up to the last entry that had to be dropped
//! ```
//!
//! Two orders keep an ended login from slipping through: the thread that ends a login adds it here
//! and then collects the open WebSockets; the thread that registers a WebSocket asks here while it
//! holds the registry's lock, which the collection needs too. So one of the two always sees the
//! other.

use crate::ground::limits::{REVOKED, REVOKED_PER_USER, SESSION_LIFE};
use crate::ground::system::unix_millis;
use crate::session::cookie::Session;
use crate::session::id::SessionId;
use std::collections::VecDeque;
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
    /// Returns whether this login of the session is among what was ended.
    pub fn covers(&self, session: &Session) -> bool {
        match self {
            Ended::Login(ended, _) => *ended == session.login,
            Ended::UpTo(time) => session.issued <= *time,
        }
    }
}

/// Ends logins of a session. Returns what has ended: more than was asked for when the user had too
/// many single entries.
pub(crate) fn end(id: &SessionId, ended: Ended) -> Ended {
    with(|revoked| revoked.end(id, ended, unix_millis()))
}

/// Returns whether the login has been ended.
#[inline(never)]
pub(crate) fn is_ended(session: &Session) -> bool {
    lock().as_ref().map_or(false, |revoked| revoked.has(session))
}

/// Returns the issue time of a new login, in milliseconds since 1970: now, or later if logins
/// issued now count as ended.
pub(crate) fn issue_time(user: i64) -> u64 {
    with(|revoked| revoked.issue_time(user, unix_millis()))
}

fn with<T>(look: impl FnOnce(&mut Revoked) -> T) -> T {
    look(lock().get_or_insert_with(Revoked::default))
}

fn lock() -> MutexGuard<'static, Option<Revoked>> {
    REVOKED_LOGINS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Guests and users are kept apart, because anybody can become a guest and log out, again and
/// again.
#[derive(Default)]
pub(crate) struct Revoked {
    /// Ended guests, sorted, for binary search.
    guests: Vec<Login>,
    /// The same guests, oldest first, each with the time at which its cookie has expired.
    guests_until: VecDeque<(u64, Login)>,
    /// Ended logins of users, sorted by the user's number.
    users: Vec<Entry>,
    floor: u64,
}

/// What has ended of a user, and until when a cookie of it could be valid.
struct Entry {
    user: i64,
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
    /// Ends logins of a session; `now` is in milliseconds since 1970.
    pub fn end(&mut self, id: &SessionId, ended: Ended, now: u64) -> Ended {
        // A cookie that was renewed just now is valid until then.
        let until = now.saturating_add(SESSION_LIFE * 1000);
        match (id, ended) {
            (SessionId::Guest(_), Ended::Login(login, _)) => self.end_guest(login, until, now),
            (SessionId::Guest(_), Ended::UpTo(_)) => {}
            (SessionId::Authenticated(user), _) => {
                return self.end_user(Entry { user: *user, ended, until }, now)
            }
        }
        ended
    }

    fn end_guest(&mut self, login: Login, until: u64, now: u64) {
        if let Err(place) = self.guests.binary_search(&login) {
            self.guests.insert(place, login);
            self.guests_until.push_back((until, login));
        }
        let past = |(until, _): &(u64, Login)| *until <= now;
        while self.guests.len() > REVOKED || self.guests_until.front().map_or(false, past) {
            let oldest = self.guests_until.pop_front();
            let place = oldest.and_then(|(_, login)| self.guests.binary_search(&login).ok());
            place.map(|place| self.guests.remove(place));
        }
    }

    fn end_user(&mut self, new: Entry, now: u64) -> Ended {
        let (user, until, mut ended) = (new.user, new.until, new.ended);
        let covers = |old: &Entry| match old.ended {
            Ended::UpTo(time) => new.issued() <= time,
            same => same == ended,
        };
        let known = self.of(user);
        if known.iter().any(covers) {
            return ended;
        }
        let single = |entry: &&Entry| matches!(entry.ended, Ended::Login(..));
        if single(&&new) && known.iter().filter(single).count() == REVOKED_PER_USER {
            let latest = known.iter().map(Entry::issued).max().unwrap_or(0);
            ended = Ended::UpTo(latest.max(new.issued()));
        }
        if let Ended::UpTo(time) = ended {
            // The mark replaces everything that it covers; no cookie of that is valid for longer.
            self.users.retain(|entry| entry.user != user || entry.issued() > time);
        }
        let place = self.users.partition_point(|entry| entry.user < user);
        self.users.insert(place, Entry { user, ended, until });
        if self.users.len() > REVOKED {
            self.make_room(now);
        }
        ended
    }

    /// Drops expired entries, or else the entry that was issued first. The floor then rises to its
    /// issue time, so that what it ended stays ended.
    fn make_room(&mut self, now: u64) {
        self.users.retain(|entry| entry.until > now);
        if self.users.len() > REVOKED {
            let first = self.users.iter().map(Entry::issued).min().unwrap_or(0);
            self.floor = self.floor.max(first);
            self.users.retain(|entry| entry.issued() > first);
        }
    }

    /// Returns the entries of a user.
    fn of(&self, user: i64) -> &[Entry] {
        let from = self.users.partition_point(|entry| entry.user < user);
        let count = self.users[from..].partition_point(|entry| entry.user == user);
        &self.users[from..from + count]
    }

    /// Returns whether the login has been ended.
    pub fn has(&self, session: &Session) -> bool {
        match &session.id {
            SessionId::Guest(_) => self.guests.binary_search(&session.login).is_ok(),
            SessionId::Authenticated(user) => {
                let covers = |entry: &Entry| entry.ended.covers(session);
                session.issued <= self.floor || self.of(*user).iter().any(covers)
            }
        }
    }

    /// Returns the issue time of a new login: the later of now and one millisecond past the user's
    /// mark. So a login works in the millisecond of a logout, and after the clock was set back.
    pub fn issue_time(&self, user: i64, now: u64) -> u64 {
        let mark = |entry: &Entry| match entry.ended {
            Ended::UpTo(time) => Some(time),
            Ended::Login(..) => None,
        };
        let latest = self.of(user).iter().filter_map(mark).max().unwrap_or(0).max(self.floor);
        now.max(latest.saturating_add(1))
    }
}
