//! The names of the channels between processes: one for each session, one for each topic, one for
//! everybody. Names are turned into text that any engine takes, and back.
//!
//! ```text
//! all               everybody, and logins that ended
//! u.7               the user with this number
//! g.<22 letters>    a guest: 128 bits in URL-safe base64
//! t.room%2F7        a topic: what is no ASCII letter, digit, - or _ stands as % and two digits
//! ```

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
            Channel::Session(SessionName::User(user)) => format!("u.{}", user),
            Channel::Session(SessionName::Guest(bits)) => format!("g.{}", BASE64.encode(bits.0)),
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
            Some(("u", user)) => Channel::Session(SessionName::User(user.parse().ok()?)),
            Some(("g", bits)) => {
                let bits = BASE64.decode(bits).ok()?.try_into().ok()?;
                Channel::Session(SessionName::Guest(Bits(bits)))
            }
            Some(("t", topic)) => Channel::Topic(plain(topic)?),
            Some(_) => return None,
        };
        // What could be written in two ways is one in one of them only.
        Some(channel).filter(|channel| channel.name() == name)
    }
}

fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_'
}

fn plain(escaped: &str) -> Option<String> {
    let mut parts = escaped.split('%');
    let mut octets = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2)?;
        octets.push(u8::from_str_radix(digits, 16).ok()?);
        octets.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(octets).ok()
}
