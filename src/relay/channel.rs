//! The names of the channels between processes: one for each session, one for each topic, one for
//! everybody. Names are turned into text that any engine takes, and back.
//!
//! ```text
//! all               everybody, and logins that ended
//! u.7               the user with this number
//! g.<22 letters>    a guest: 128 bits in URL-safe base64
//! t.room%2F7        a topic: what is no ASCII letter, digit, - or _ stands as % and two digits
//! ```

use crate::http::target::percent_decode;
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

/// What a channel is for.
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
            Channel::Session(session) => session.text(),
            Channel::Topic(topic) => topic.bytes().fold("t.".to_string(), |mut name, octet| {
                match is_plain(octet) {
                    true => name.push(char::from(octet)),
                    false => name.push_str(&format!("%{:02X}", octet)),
                }
                name
            }),
        }
    }

    /// Returns what a name is for; `None` when [`name`](Channel::name) returns no such text.
    pub fn parse(name: &str) -> Option<Channel> {
        let channel = match name.split_once('.') {
            None => Channel::Everybody,
            Some(("t", topic)) => {
                Channel::Topic(String::from_utf8(percent_decode(topic).ok()?).ok()?)
            }
            Some((kind, id)) => Channel::Session(SessionName::parse(kind, id)?),
        };
        // What could be written in two ways is one in one of them only.
        Some(channel).filter(|channel| channel.name() == name)
    }
}

fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_'
}
