//! The name of a session: what messages are sent to, and the token that stands for it.

use crate::error::Error;
use crate::session::keys::{seal, unseal, SessionKeys};
use crate::session::name::{Bits, SessionName};
use std::fmt;

/// The name of a session: what messages are sent to. A browser has one, all its tabs share it.
///
/// `Debug` and `Display` show six digits of a hash of a guest's name: enough to tell two apart in a
/// log, not enough to name one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionId {
    /// Somebody who did not log in.
    Guest(GuestId),
    /// The user with this number; all their browsers together.
    Authenticated(i64),
}

/// The name of a guest: 128 random bits.
///
/// ```
/// use sockling::{prelude::*, GuestId};
///
/// fn name(guest: &GuestId) -> String {
///     format!("{:?}", guest)
/// }
/// match Request::get("/").session_id() {
///     SessionId::Guest(guest) => assert!(name(&guest).starts_with("guest-")),
///     SessionId::Authenticated(user) => unreachable!("user {}", user),
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct GuestId(pub(crate) [u8; 16]);

impl SessionId {
    /// Returns a text that stands for the session and can be stored: kind and id with a signature.
    /// It is no cookie: who reads it can name the session to this server, and not be it.
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// let keys = SessionKeys::random()?;
    /// let id = Request::get("/").session_id();
    /// let stored = id.to_token(&keys);
    /// assert_eq!(SessionId::from_token(&stored, &keys)?, id);
    /// assert!(SessionId::from_token(&stored, &SessionKeys::random()?).is_err());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn to_token(&self, keys: &SessionKeys) -> String {
        seal("id", &self.body(), keys)
    }

    /// Returns the session that a stored text stands for. Error: [`Error::Token`].
    pub fn from_token(token: &str, keys: &SessionKeys) -> Result<SessionId, Error> {
        let body = unseal("id", token, keys).ok_or(Error::Token)?;
        let mut parts = body.split('.');
        match (SessionId::parse(parts.next(), parts.next()), parts.next()) {
            (Some(id), None) => Ok(id),
            _ => Err(Error::Token),
        }
    }

    pub(crate) fn body(&self) -> String {
        SessionName::from(self).text()
    }

    pub(crate) fn parse(kind: Option<&str>, id: Option<&str>) -> Option<SessionId> {
        SessionName::parse(kind?, id?).map(SessionId::from)
    }
}

impl From<&SessionId> for SessionName {
    fn from(id: &SessionId) -> SessionName {
        match id {
            SessionId::Guest(id) => SessionName::Guest(Bits(id.0)),
            SessionId::Authenticated(user) => SessionName::User(*user),
        }
    }
}

impl From<SessionName> for SessionId {
    fn from(name: SessionName) -> SessionId {
        match name {
            SessionName::Guest(bits) => SessionId::Guest(GuestId(bits.0)),
            SessionName::User(user) => SessionId::Authenticated(user),
        }
    }
}

impl From<&SessionId> for SessionId {
    fn from(id: &SessionId) -> SessionId {
        *id
    }
}

impl From<i64> for SessionId {
    fn from(user: i64) -> SessionId {
        SessionId::Authenticated(user)
    }
}

impl From<i32> for SessionId {
    fn from(user: i32) -> SessionId {
        SessionId::Authenticated(user.into())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            SessionId::Guest(id) => {
                let [a, b, c, ..] = sha1_smol::Sha1::from(id.0).digest().bytes();
                write!(out, "guest-{:02x}{:02x}{:02x}", a, b, c)
            }
            SessionId::Authenticated(user) => write!(out, "user-{}", user),
        }
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl fmt::Debug for GuestId {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(&SessionId::Guest(*self), out)
    }
}
