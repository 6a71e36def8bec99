//! Turns what one process sends to the others into bytes, and back: version 1 of the format.
//!
//! ```text
//! byte 0       version: 1
//!       1       content: 1 text, 2 binary, 3 close, 4 ended login, 5 ended logins,
//!              0x81 text and 0x82 binary that must not be compressed
//!       2       target: 1 a session, 2 everybody, 3 a topic
//!       3       session: 0 none, 1 a guest, 2 a user; the recipient of target 1, or else left out
//!       4..20   node: the process that sends it
//!       20..    session: nothing, 16 bytes of a guest, or 8 of a user's number
//!       ..      topic, of target 3 only: length in 2 bytes, then that many bytes of UTF-8
//!       ..      length of the content in 4 bytes, then that many bytes:
//!                 text, binary   the message
//!                 close          code in 2 bytes, reason
//!                 ended login    login in 16 bytes, its issue time in 8, reason
//!                 ended logins   issue time in 8 bytes up to which the user's logins end, reason
//! ```
//!
//! Numbers are big-endian, texts are UTF-8, a reason has at most 123 bytes, and times are
//! milliseconds since 1970. Ended logins go to a session. Everything else is refused: half an
//! envelope must not look like a whole one.

use crate::ground::limits::ENVELOPE;
use crate::relay::channel::{Bits, Channel, SessionName};
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::message::{Message, Outgoing};
use std::fmt;

const VERSION: u8 = 1;

/// What one process sends to the others by a channel of the engine between them.
///
/// ```
/// use sockling::relay::{Bits, Content, Envelope, SessionName, Target};
///
/// let bytes = b"\x01\x01\x01\x02nodenodenodenode\0\0\0\0\0\0\0\x07\0\0\0\x03hey";
/// let envelope = Envelope::parse(bytes).unwrap();
/// assert_eq!(envelope.node, Bits(*b"nodenodenodenode"));
/// assert_eq!(envelope.target, Target::Session(SessionName::User(7)));
/// assert_eq!(envelope.content, Content::Text("hey"));
/// assert_eq!(envelope.channel(), "u.7");
/// assert_eq!(envelope.to_bytes().unwrap(), bytes);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The process that sends it, which thereby recognizes its own envelopes.
    pub node: Bits,
    /// The recipients.
    pub target: Target<'a>,
    /// What they get.
    pub content: Content<'a>,
}

/// The recipients of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// All WebSockets of a session.
    Session(SessionName),
    /// All WebSockets.
    Everybody {
        /// Except those of this session.
        except: Option<SessionName>,
    },
    /// The WebSockets of a topic's members.
    Topic {
        /// The topic's name.
        name: &'a str,
        /// Except those of this session.
        except: Option<SessionName>,
    },
}

/// The content of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A text message that [must not be compressed](crate::websocket::Message::uncompressed).
    UncompressedText(&'a str),
    /// A binary message that must not be compressed.
    UncompressedBinary(&'a [u8]),
    /// A Close frame.
    Close {
        /// The close code.
        code: CloseCode,
        /// The reason, of at most 123 bytes.
        reason: &'a str,
    },
    /// The end of logins of the session: their cookies are no longer accepted, and their WebSockets
    /// are closed with 1008.
    Ended {
        /// The login, or the bits of a guest; `None` for every login of the user that was issued up
        /// to `issued`.
        login: Option<Bits>,
        /// The issue time of the login, in milliseconds since 1970.
        issued: u64,
        /// The reason in the Close frame.
        reason: &'a str,
    },
}

impl<'a> From<&'a Message> for Content<'a> {
    fn from(message: &'a Message) -> Content<'a> {
        match message {
            Message::Text(text) => Content::Text(text),
            Message::Binary(bytes) => Content::Binary(bytes),
        }
    }
}

impl<'a> From<&'a Outgoing> for Content<'a> {
    fn from(outgoing: &'a Outgoing) -> Content<'a> {
        match Content::from(&outgoing.message) {
            Content::Text(text) if !outgoing.compresses => Content::UncompressedText(text),
            Content::Binary(bytes) if !outgoing.compresses => Content::UncompressedBinary(bytes),
            content => content,
        }
    }
}

impl Content<'_> {
    /// Returns the message, if the content is one.
    pub(crate) fn message(&self) -> Option<Message> {
        match *self {
            Content::Text(text) | Content::UncompressedText(text) => Some(text.into()),
            Content::Binary(bytes) | Content::UncompressedBinary(bytes) => Some(bytes.into()),
            Content::Close { .. } | Content::Ended { .. } => None,
        }
    }

    /// Returns whether the content may be compressed.
    pub(crate) fn compresses(&self) -> bool {
        matches!(self, Content::Text(_) | Content::Binary(_))
    }
}

impl<'a> Envelope<'a> {
    /// Returns the envelope in these bytes. Error: the bytes are not exactly one envelope of this
    /// version.
    pub fn parse(bytes: &'a [u8]) -> Result<Envelope<'a>, EnvelopeError> {
        if bytes.len() > ENVELOPE {
            return Err(EnvelopeError::TooLong);
        }
        let mut rest = bytes;
        let [version, content, target, session] = take(&mut rest)?;
        if version != VERSION {
            return Err(EnvelopeError::Version);
        }
        let node = Bits(take(&mut rest)?);
        let session = match session {
            0 => None,
            1 => Some(SessionName::Guest(Bits(take(&mut rest)?))),
            2 => Some(SessionName::User(i64::from_be_bytes(take(&mut rest)?))),
            _ => return Err(EnvelopeError::Kind),
        };
        let target = match (target, session) {
            (1, Some(session)) => Target::Session(session),
            (2, except) => Target::Everybody { except },
            (3, except) => {
                let length = u16::from_be_bytes(take(&mut rest)?);
                Target::Topic { name: text(split(&mut rest, length.into())?)?, except }
            }
            _ => return Err(EnvelopeError::Kind),
        };
        let length = u32::from_be_bytes(take(&mut rest)?);
        if usize::try_from(length) != Ok(rest.len()) {
            return Err(EnvelopeError::Length);
        }
        Ok(Envelope { node, target, content: parse_content(content, &target, rest)? })
    }

    /// Returns the bytes. Error: [`EnvelopeError::TooLong`]; anything else that
    /// [`parse`](Envelope::parse) refuses is written as it is.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EnvelopeError> {
        let (code, time);
        let (content, parts): (u8, [&[u8]; 3]) = match &self.content {
            Content::Text(text) => (1, [text.as_bytes(), &[], &[]]),
            Content::Binary(bytes) => (2, [bytes, &[], &[]]),
            Content::UncompressedText(text) => (0x81, [text.as_bytes(), &[], &[]]),
            Content::UncompressedBinary(bytes) => (0x82, [bytes, &[], &[]]),
            Content::Close { code: CloseCode(number), reason } => {
                code = number.to_be_bytes();
                (3, [&code, reason.as_bytes(), &[]])
            }
            Content::Ended { login, issued, reason } => {
                time = issued.to_be_bytes();
                match login {
                    Some(Bits(login)) => (4, [login, &time, reason.as_bytes()]),
                    None => (5, [&time, reason.as_bytes(), &[]]),
                }
            }
        };
        let (target, session, topic) = match &self.target {
            Target::Session(session) => (1, Some(session), None),
            Target::Everybody { except } => (2, except.as_ref(), None),
            Target::Topic { name, except } => (3, except.as_ref(), Some(name)),
        };
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let most = HEAD + topic.map_or(0, |name| name.len());
        if most.saturating_add(length) > ENVELOPE {
            return Err(EnvelopeError::TooLong);
        }
        let (kind, session) = session_part(session);
        let mut bytes = Vec::with_capacity(most + length);
        bytes.extend_from_slice(&[VERSION, content, target, kind]);
        bytes.extend_from_slice(&self.node.0);
        bytes.extend_from_slice(&session);
        if let Some(name) = topic {
            let length = u16::try_from(name.len()).map_err(|_| EnvelopeError::TooLong)?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(name.as_bytes());
        }
        let length = u32::try_from(length).map_err(|_| EnvelopeError::TooLong)?;
        bytes.extend_from_slice(&length.to_be_bytes());
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        Ok(bytes)
    }

    /// Returns the name of the envelope's channel. The end of a login goes to everybody, because
    /// its cookie may be presented to any process.
    pub fn channel(&self) -> String {
        let channel = match (&self.target, &self.content) {
            (_, Content::Ended { .. }) | (Target::Everybody { .. }, _) => Channel::Everybody,
            (Target::Session(session), _) => Channel::Session(*session),
            (Target::Topic { name, .. }, _) => Channel::Topic(name.to_string()),
        };
        channel.name()
    }
}

/// Largest size of an envelope without its topic and content, in bytes.
const HEAD: usize = 4 + 16 + 16 + 2 + 4;

/// Returns the kind and the bytes of a session, or of none.
fn session_part(session: Option<&SessionName>) -> (u8, Vec<u8>) {
    match session {
        None => (0, Vec::new()),
        Some(SessionName::Guest(bits)) => (1, bits.0.to_vec()),
        Some(SessionName::User(user)) => (2, user.to_be_bytes().to_vec()),
    }
}

/// Returns the content of this kind, which fills the rest of an envelope.
fn parse_content<'a>(
    kind: u8,
    target: &Target,
    mut rest: &'a [u8],
) -> Result<Content<'a>, EnvelopeError> {
    Ok(match (kind, target) {
        (1, _) => Content::Text(text(rest)?),
        (2, _) => Content::Binary(rest),
        (0x81, _) => Content::UncompressedText(text(rest)?),
        (0x82, _) => Content::UncompressedBinary(rest),
        (3, _) => {
            let code = CloseCode(u16::from_be_bytes(take(&mut rest)?));
            let reason = reason(rest)?;
            if !code.is_sendable() {
                return Err(EnvelopeError::Close);
            }
            Content::Close { code, reason }
        }
        (4, Target::Session(_)) => {
            let login = Some(Bits(take(&mut rest)?));
            let issued = u64::from_be_bytes(take(&mut rest)?);
            Content::Ended { login, issued, reason: reason(rest)? }
        }
        (5, Target::Session(SessionName::User(_))) => {
            let issued = u64::from_be_bytes(take(&mut rest)?);
            Content::Ended { login: None, issued, reason: reason(rest)? }
        }
        _ => return Err(EnvelopeError::Kind),
    })
}

fn split<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], EnvelopeError> {
    if rest.len() < length {
        return Err(EnvelopeError::Length);
    }
    let (part, after) = rest.split_at(length);
    *rest = after;
    Ok(part)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], EnvelopeError> {
    split(rest, N)?.try_into().map_err(|_| EnvelopeError::Length)
}

fn text(bytes: &[u8]) -> Result<&str, EnvelopeError> {
    std::str::from_utf8(bytes).map_err(|_| EnvelopeError::Text)
}

fn reason(bytes: &[u8]) -> Result<&str, EnvelopeError> {
    match bytes.len() <= CloseFrame::REASON {
        true => text(bytes),
        false => Err(EnvelopeError::Close),
    }
}

/// The reason why bytes are not an envelope, or an envelope cannot be written. It is dropped and
/// counted.
///
/// ```
/// use sockling::relay::{Envelope, EnvelopeError};
///
/// assert_eq!(Envelope::parse(b"\x02").err(), Some(EnvelopeError::Length));
/// assert_eq!(EnvelopeError::Text.to_string(), "an envelope with text that is not UTF-8");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The first byte is not this version's.
    Version,
    /// The content, target or session is unknown to this version, or they do not belong together.
    Kind,
    /// There are fewer bytes than the lengths say, or more.
    Length,
    /// A text is not UTF-8.
    Text,
    /// The close code must not be sent, or the reason is too long for a Close frame.
    Close,
    /// The envelope has more than [`ENVELOPE`](crate::limits::ENVELOPE) bytes, or its topic more
    /// than 65,535.
    TooLong,
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            EnvelopeError::Version => "an envelope of another version",
            EnvelopeError::Kind => "an envelope of an unknown kind",
            EnvelopeError::Length => "an envelope of the wrong length",
            EnvelopeError::Text => "an envelope with text that is not UTF-8",
            EnvelopeError::Close => "an envelope with a Close frame that must not be sent",
            EnvelopeError::TooLong => "an envelope that is too long",
        })
    }
}

impl std::error::Error for EnvelopeError {}
