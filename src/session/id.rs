//! The id of a session, which messages are sent to, and its text in cookies and tokens.

use crate::error::Error;
use crate::session::keys::{seal, unseal, SessionKeys};
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use base64::Engine;
use std::fmt;

/// The id of a session, to which messages are sent. A browser has one session, which all its tabs
/// share; for one tab, see [`Comms::here`](crate::Comms::here).
///
/// `Debug` and `Display` show a guest as six digits of a hash of the id: enough to tell two guests
/// apart in a log, but not enough to send to one.
///
/// Where a function takes `impl Into<SessionId>`, the number of a user is enough, and a reference to
/// an id, or to a reference, as an iterator may yield:
///
/// ```
/// use sockling::prelude::*;
///
/// let users = [SessionId::from(7), SessionId::from(8_u32), SessionId::from(9_i64)];
/// for user in users.iter().filter(|user| Comms::is_connected(user)) {
///     Comms::websocket(user).send("hey")?;
/// }
/// Comms::websocket(7).send("hey")?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionId {
    /// A client that has not logged in.
    Guest(GuestId),
    /// The user with this number, on all browsers.
    Authenticated(i64),
}

/// The id of a guest: 128 random bits.
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
    /// Returns a token that stands for the session and can be stored: its kind and id with a
    /// signature. It is not a cookie: with it a client can name the session to this server, but not
    /// act as the session.
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
        seal("id", &self.text(), keys)
    }

    /// Returns the session that a stored token stands for. Errors: [`Error::Token`] when the text
    /// is not a token or none of the keys signed it.
    pub fn from_token(token: &str, keys: &SessionKeys) -> Result<SessionId, Error> {
        let body = unseal("id", token, keys).ok_or(Error::Token)?;
        let mut parts = body.split('.');
        match (SessionId::parse(parts.next(), parts.next()), parts.next()) {
            (Some(id), None) => Ok(id),
            _ => Err(Error::Token),
        }
    }

    /// Returns the text in cookies and tokens: `u.` and the user's number, or `g.` and 22
    /// characters.
    pub(crate) fn text(&self) -> String {
        match self {
            SessionId::Guest(id) => format!("g.{}", encode(&id.0)),
            SessionId::Authenticated(user) => format!("u.{}", user),
        }
    }

    /// Returns the session whose [`text`](SessionId::text) has these two parts.
    pub(crate) fn parse(kind: Option<&str>, id: Option<&str>) -> Option<SessionId> {
        match kind? {
            "g" => Some(SessionId::Guest(GuestId(decode(id?)?))),
            "u" => Some(SessionId::Authenticated(id?.parse().ok()?)),
            _ => None,
        }
    }
}

/// Returns 128 bits as 22 characters of URL-safe base64.
pub(crate) fn encode(bits: &[u8; 16]) -> String {
    BASE64.encode(bits)
}

/// Returns the bits that [`encode`] was given.
pub(crate) fn decode(text: &str) -> Option<[u8; 16]> {
    let digits = URL_SAFE.as_str().as_bytes();
    let value = |digit| digits.iter().position(|known| *known == digit).map(|value| value as u128);
    // 22 digits have 132 bits. The first four go around, into the place of the last four, which are
    // 0; any other text has another spelling when it is encoded again.
    let append = |bits: u128, digit| Some(bits.rotate_left(6) | value(digit)?);
    let bits = text.bytes().try_fold(0, append)?.rotate_right(4).to_be_bytes();
    Some(bits).filter(|bits| encode(bits) == text)
}

impl From<&SessionId> for SessionId {
    fn from(id: &SessionId) -> SessionId {
        *id
    }
}

impl From<&&SessionId> for SessionId {
    fn from(id: &&SessionId) -> SessionId {
        **id
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

impl From<u32> for SessionId {
    fn from(user: u32) -> SessionId {
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
