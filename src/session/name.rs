//! How a session, a login and a process are named: 128 random bits, or a user's number, and the text
//! that stands for them in cookies, tokens and channels.

use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use base64::Engine;
use std::fmt;

/// 128 bits that tell one process, guest or login from all others. `Debug` shows none of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bits(pub [u8; 16]);

impl fmt::Debug for Bits {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("128 bits")
    }
}

/// Which session: what a [`SessionId`](crate::SessionId) holds.
///
/// ```
/// use sockling::prelude::*;
/// use sockling::relay::{Bits, SessionName};
///
/// assert_eq!(SessionId::from(SessionName::User(7)), SessionId::from(7));
/// let guest = SessionName::Guest(Bits([1; 16]));
/// assert_eq!(format!("{:?}", guest), "Guest(128 bits)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionName {
    /// Somebody who did not log in. Who knows the bits can name the session, and not be it: its
    /// cookie has a signature too.
    Guest(Bits),
    /// The user with this number.
    User(i64),
}

impl Bits {
    /// Returns them as 22 letters.
    pub(crate) fn text(&self) -> String {
        BASE64.encode(self.0)
    }

    /// Returns what [`text`](Bits::text) made.
    pub(crate) fn parse(text: &str) -> Option<Bits> {
        Some(Bits(BASE64.decode(text).ok()?.try_into().ok()?))
    }
}

impl SessionName {
    /// Returns kind and id as text: `u.7`, or `g.` and 22 letters. Cookies and tokens have it too.
    pub(crate) fn text(&self) -> String {
        match self {
            SessionName::Guest(bits) => ["g", &bits.text()].join("."),
            SessionName::User(user) => ["u", &user.to_string()].join("."),
        }
    }

    /// Returns what [`text`](SessionName::text) made, taken apart at its point.
    pub(crate) fn parse(kind: &str, id: &str) -> Option<SessionName> {
        match kind {
            "g" => Some(SessionName::Guest(Bits::parse(id)?)),
            "u" => Some(SessionName::User(id.parse().ok()?)),
            _ => None,
        }
    }
}
