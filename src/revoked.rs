//! Logins that were ended before their cookies expire. Cookies are not stored, so this is what keeps
//! one from being taken again.

use crate::limits::{REVOKED, SESSION_LIFE};
use crate::session::{Session, SessionId};
use std::collections::{HashSet, VecDeque};

/// Guests and users apart, since anybody can become a guest and be ended, again and again.
#[derive(Default)]
pub(crate) struct Revoked {
    guests: List,
    users: List,
}

/// Logins, and until when their cookies would last, in seconds since 1970; oldest first.
#[derive(Default)]
struct List {
    logins: HashSet<[u8; 16]>,
    until: VecDeque<(u64, [u8; 16])>,
}

impl Revoked {
    /// Ends a login.
    pub fn add(&mut self, session: &Session, now: u64) {
        self.list(session).add(session.login, now);
    }

    /// Returns whether the login was ended.
    pub fn has(&mut self, session: &Session) -> bool {
        self.list(session).logins.contains(&session.login)
    }

    fn list(&mut self, session: &Session) -> &mut List {
        match session.id {
            SessionId::Guest(_) => &mut self.guests,
            SessionId::Authenticated(_) => &mut self.users,
        }
    }
}

impl List {
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
