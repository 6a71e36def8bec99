//! Who a client is: a session id, and the signed cookie that carries it.
//!
//! ```text
//! v2.g.<id>.<issued>.<expiry>.<signature>             a guest: 128 random bits
//! v2.u.<user>.<login>.<issued>.<expiry>.<signature>   a user, and the login that it belongs to
//! ```
//!
//! `issued` is when the login was made, in milliseconds since 1970: a renewed cookie keeps it, so that
//! "every login issued up to then" covers all cookies of a login or none. `expiry` is in seconds. The
//! cookie holds everything, so nothing is stored on the server. An id that was not signed here is
//! never adopted: the client gets a fresh one.

use crate::channel::{Bits, SessionName};
use crate::error::Error;
use crate::http::cookie::{cookies, set_cookie};
use crate::http::headers::Headers;
use crate::keys::{SessionKeys, SIGNATURE};
use crate::limits::SESSION_LIFE;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use base64::Engine;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// The name of a session: what messages are sent to. A browser has one, all its tabs share it.
///
/// `Debug` and `Display` show six digits of a hash of a guest's name: enough to tell two apart in a
/// log, not enough to name one.
#[derive(Clone, PartialEq, Eq, Hash)]
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
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GuestId([u8; 16]);

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

    fn body(&self) -> String {
        SessionName::from(self).text()
    }

    fn parse(kind: Option<&str>, id: Option<&str>) -> Option<SessionId> {
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
        id.clone()
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
        fmt::Display::fmt(&SessionId::Guest(self.clone()), out)
    }
}

/// A session as a cookie carries it.
#[derive(Clone)]
pub(crate) struct Session {
    pub id: SessionId,
    /// What a logout ends: a guest's id, or one login of a user.
    pub login: [u8; 16],
    /// When the login was made, in milliseconds since 1970.
    pub issued: u64,
    /// Whether the client has no such cookie, or one that will expire soon.
    pub unsent: bool,
}

/// How a server's session cookie is named, signed and sent.
#[derive(Clone)]
pub(crate) struct SessionCookie {
    pub name: String,
    pub secure: bool,
    pub keys: SessionKeys,
}

impl SessionCookie {
    /// Returns the name on the wire. Browsers take `__Host-` only with Secure, from the host
    /// itself and for all its paths, so that no other host can set it.
    pub fn wire_name(&self) -> String {
        let prefix = if self.secure { "__Host-" } else { "" };
        format!("{}{}", prefix, self.name)
    }

    /// Returns the sessions of the cookies that were signed here and have not expired, in order. A
    /// cookie is renewed when less than half its life is left.
    pub fn sessions_of<'a>(
        &'a self,
        headers: &'a Headers,
        now: u64,
    ) -> impl Iterator<Item = Session> + 'a {
        let name = self.wire_name();
        cookies(headers)
            .filter(move |(known, _)| *known == name.as_bytes())
            .filter_map(move |(_, value)| self.open(std::str::from_utf8(value).ok()?, now))
    }

    /// Returns a fresh guest.
    pub fn guest(&self) -> Session {
        let login = self.keys.draw();
        let id = SessionId::Guest(GuestId(login));
        Session { id, login, issued: unix_millis(), unsent: true }
    }

    /// Returns a fresh login of a user, issued at this time in milliseconds since 1970.
    pub fn user(&self, user: i64, issued: u64) -> Session {
        let (id, login) = (SessionId::Authenticated(user), self.keys.draw());
        Session { id, login, issued, unsent: true }
    }

    /// Returns the Set-Cookie value that gives the session to the client for its whole life from
    /// now on.
    pub fn set(&self, session: &Session, now: u64) -> String {
        let mut body = session.id.body();
        if let SessionId::Authenticated(_) = session.id {
            body = [body, Bits(session.login).text()].join(".");
        }
        let body = [body, session.issued.to_string(), (now + SESSION_LIFE).to_string()].join(".");
        set_cookie(&self.wire_name(), &seal("v2", &body, &self.keys), SESSION_LIFE, self.secure)
    }

    fn open(&self, cookie: &str, now: u64) -> Option<Session> {
        let body = unseal("v2", cookie, &self.keys)?;
        let mut parts = body.split('.');
        let id = SessionId::parse(parts.next(), parts.next())?;
        let login = match &id {
            SessionId::Guest(id) => id.0,
            SessionId::Authenticated(_) => Bits::parse(parts.next()?)?.0,
        };
        let issued = parts.next()?.parse().ok()?;
        let expires: u64 = parts.next()?.parse().ok().filter(|&expires| expires > now)?;
        let unsent = expires - now < SESSION_LIFE / 2;
        parts.next().is_none().then_some(Session { id, login, issued, unsent })
    }
}

/// Returns `label.body.signature`. The label is signed too, so that a text made for one purpose is
/// no good for another.
fn seal(label: &str, body: &str, keys: &SessionKeys) -> String {
    let text = [label, body].join(".");
    let signature = BASE64.encode(keys.sign(text.as_bytes()));
    [text, signature].join(".")
}

/// Returns the body of a text that was sealed with one of the keys.
fn unseal<'a>(label: &str, sealed: &'a str, keys: &SessionKeys) -> Option<&'a str> {
    let (text, signature) = sealed.rsplit_once('.')?;
    let signature = BASE64.decode(signature).ok().filter(|octets| octets.len() == SIGNATURE)?;
    if !keys.verify(text.as_bytes(), &signature) {
        return None;
    }
    text.strip_prefix(label)?.strip_prefix('.')
}

/// Returns the seconds since 1970; 0 on a system whose clock is before.
pub(crate) fn unix_seconds() -> u64 {
    unix_millis() / 1000
}

/// Returns the milliseconds since 1970; 0 on a system whose clock is before.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}
