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
use crate::session::name::SessionName;

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
            Channel::Topic(topic) => topic.bytes().fold("t.".to_string(), |mut name, byte| {
                match is_plain(byte) {
                    true => name.push(char::from(byte)),
                    false => name.push_str(&format!("%{:02X}", byte)),
                }
                name
            }),
        }
    }

    /// Returns what a name is for; `None` when [`name`](Channel::name) returns no such text.
    pub fn parse(name: &str) -> Option<Channel> {
        let channel = match name.split_once('.') {
            None => Channel::Everybody,
            Some(("t", topic)) => Channel::Topic(percent_decode(topic)?),
            Some((kind, id)) => Channel::Session(SessionName::parse(kind, id)?),
        };
        // What could be written in two ways is one in one of them only.
        Some(channel).filter(|channel| channel.name() == name)
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}
