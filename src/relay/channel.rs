//! The names of the channels between processes: one for each session, one for each topic, and one
//! for everybody. A name is text that any engine takes, and says what the channel is for.
//!
//! ```text
//! all               everybody, and logins that ended
//! u.7               the user with this number
//! g.<22 letters>    a guest: 128 bits in URL-safe base64
//! t.room%2F7        a topic: bytes other than ASCII letters, digits, - and _ are percent-encoded
//! ```

use crate::http::target::percent_decode;
use crate::session::id::{GuestId, SessionId};
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use base64::Engine;
use std::fmt;

/// 128 bits that identify a process, a guest or a login. `Debug` does not show them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bits(pub [u8; 16]);

impl fmt::Debug for Bits {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("128 bits")
    }
}

/// What a [`SessionId`](crate::SessionId) holds, as processes name it to each other.
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
    /// A client that has not logged in. Knowing the bits is enough to send to the guest, not to be
    /// it: the cookie has a signature too.
    Guest(Bits),
    /// The user with this number.
    User(i64),
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

/// The purpose of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Everybody,
    Session(SessionName),
    Topic(String),
}

impl Channel {
    /// Returns the name.
    pub fn name(&self) -> String {
        match self {
            Channel::Everybody => "all".to_string(),
            Channel::Session(SessionName::Guest(bits)) => ["g", &BASE64.encode(bits.0)].join("."),
            Channel::Session(SessionName::User(user)) => ["u", &user.to_string()].join("."),
            Channel::Topic(topic) => topic.bytes().fold("t.".to_string(), |mut name, byte| {
                match is_plain(byte) {
                    true => name.push(char::from(byte)),
                    false => name.push_str(&format!("%{:02X}", byte)),
                }
                name
            }),
        }
    }

    /// Returns the channel with this name, or `None` when [`name`](Channel::name) never returns
    /// such a text.
    pub fn parse(name: &str) -> Option<Channel> {
        let channel = match name.split_once('.') {
            None => Channel::Everybody,
            Some(("t", topic)) => Channel::Topic(percent_decode(topic)?),
            Some(("g", bits)) => {
                let bits = BASE64.decode(bits).ok()?.try_into().ok()?;
                Channel::Session(SessionName::Guest(Bits(bits)))
            }
            Some(("u", user)) => Channel::Session(SessionName::User(user.parse().ok()?)),
            Some(_) => return None,
        };
        // Of several spellings only the one that `name` returns is valid.
        Some(channel).filter(|channel| channel.name() == name)
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}
