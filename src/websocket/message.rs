//! Turns a client's frames, in pieces of any size, into messages (RFC 6455, 5.4 and 5.5).
//!
//! The assembler unmasks, counts, and checks payload bytes as they arrive. It refuses a message
//! that would exceed the limit at the frame header that announces the excess, and text that is not
//! UTF-8 in the piece with the first invalid byte, rather than at the end of the message.

use super::close::{CloseCode, CloseError, CloseFrame};
use super::frame::{apply_mask, Frame, FrameError, FrameHeader, OpCode};
use crate::ground::limits::Limits;
use std::borrow::Cow;
use std::fmt;

/// A message, text or binary, which the other side receives whole.
///
/// ```
/// use sockling::prelude::*;
///
/// assert_eq!(Message::from("hey"), Message::Text("hey".to_string()));
/// assert_eq!(Message::from(&b"\x00\x01"[..]), Message::Binary(vec![0, 1]));
/// assert_eq!(Message::from("hey").as_bytes(), b"hey");
/// assert_eq!(Message::from(vec![0, 1]).as_text(), None);
///
/// // Whatever holds text or bytes is sent as it is.
/// let (text, bytes) = ("hey".to_string(), 7_u32.to_be_bytes());
/// assert_eq!(Message::from(&text), Message::from(String::from_utf8_lossy(b"hey")));
/// assert_eq!(Message::from(bytes), Message::from(b"\0\0\0\x07"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text in UTF-8.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Message {
    /// Returns the text, or `None` if the message is binary.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// Returns the payload: the bytes of the text, or the binary data.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// Returns the message as a single frame.
    pub(crate) fn frame(&self) -> Frame<'_> {
        let opcode = match self {
            Message::Text(_) => OpCode::Text,
            Message::Binary(_) => OpCode::Binary,
        };
        Frame::new(opcode, self.as_bytes())
    }
}

macro_rules! contents {
    ($($kind:ident: $($content:ty),+;)+) => {$($(
        impl From<$content> for Message {
            fn from(content: $content) -> Message {
                Message::$kind(content.into())
            }
        }
    )+)+};
}

contents! {
    Text: &str, String, &String, Cow<'_, str>;
    Binary: &[u8], Vec<u8>;
}

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(bytes: &[u8; N]) -> Message {
        Message::Binary(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Message {
    fn from(bytes: [u8; N]) -> Message {
        Message::Binary(bytes.into())
    }
}

/// A message or a control frame that a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A whole message.
    Message(Message),
    /// A ping with its payload, which the pong must repeat (5.5.3).
    Ping(Vec<u8>),
    /// A pong with its payload.
    Pong(Vec<u8>),
    /// The Close frame, after which everything is ignored (5.5.1).
    Close(CloseFrame),
}

/// Assembles a client's frames into messages.
///
/// ```
/// use sockling::limits::Limits;
/// use sockling::websocket::{Assembler, Received};
///
/// let mut bytes = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x89";
/// let (used, received) = Assembler::default().read(&mut bytes, &Limits::default()).unwrap();
/// assert_eq!((used, received), (11, Some(Received::Message("Hello".into()))));
/// ```
#[derive(Debug, Default)]
pub struct Assembler {
    /// The frame whose payload is in progress, and the number of payload bytes still to come.
    frame: Option<(FrameHeader, u64)>,
    /// The opcode of the message in progress: Text or Binary.
    kind: Option<OpCode>,
    message: Vec<u8>,
    /// The number of bytes of `message` that are known to be whole characters.
    checked: usize,
    fragments: usize,
    /// The payload of the control frame in progress.
    control: Vec<u8>,
    /// Whether messages are skipped.
    skips: bool,
    /// The number of bytes that were consumed in front of the frame header that was refused.
    before: usize,
}

impl Assembler {
    /// Consumes bytes from the front of `bytes` up to the end of the first message or control
    /// frame. Returns the number of bytes consumed and what was received, or `None` if more bytes
    /// are needed. Payloads are unmasked in place. The caller passes the bytes that were not
    /// consumed again, with new ones appended, and answers pings.
    ///
    /// # Errors
    ///
    /// Returns the client's violation. The assembler cannot be used after that.
    // Not inlined: otherwise its locals would take stack below every call of a handler.
    #[inline(never)]
    pub fn read(
        &mut self,
        bytes: &mut [u8],
        limits: &Limits,
    ) -> Result<(usize, Option<Received>), Violation> {
        let mut used = 0;
        loop {
            let (header, remaining) = match self.frame {
                Some(frame) => frame,
                None => match FrameHeader::parse(&bytes[used..]).map_err(Violation::Frame)? {
                    None => return Ok((used, None)),
                    Some((header, length)) => {
                        if let Err(violation) = self.start(&header, limits) {
                            self.before = used;
                            return Err(violation);
                        }
                        used += length;
                        (header, header.length)
                    }
                },
            };
            let piece = (bytes.len() - used).min(usize::try_from(remaining).unwrap_or(usize::MAX));
            self.take(&header, &mut bytes[used..used + piece], remaining)?;
            used += piece;
            let remaining = remaining - piece as u64;
            if remaining > 0 {
                self.frame = Some((header, remaining));
                return Ok((used, None));
            }
            self.frame = None;
            if let Some(received) = self.end_frame(&header)? {
                return Ok((used, Some(received)));
            }
        }
    }

    /// Makes `read` skip messages, the one in progress included, and return control frames only.
    /// That works after a violation, too, if [`Violation::keeps_framing`]. Returns the number of
    /// bytes that the failed call had consumed.
    pub(crate) fn skip(&mut self) -> usize {
        self.skips = true;
        self.message = Vec::new();
        std::mem::take(&mut self.before)
    }

    /// Returns the number of bytes that are still to come of the frame in progress.
    pub(crate) fn frame_rest(&self) -> usize {
        self.frame.map_or(0, |(_, rest)| usize::try_from(rest).unwrap_or(usize::MAX))
    }

    /// Returns the number of bytes that have come of the message in progress.
    pub(crate) fn progress(&self) -> usize {
        self.message.len()
    }

    /// Returns whether a frame or a message has begun and not ended.
    pub fn in_progress(&self) -> bool {
        self.frame.is_some() || self.kind.is_some()
    }

    /// Checks a frame by its header, before any of its payload is kept.
    fn start(&mut self, header: &FrameHeader, limits: &Limits) -> Result<(), Violation> {
        // A client must mask every frame (5.1).
        if header.masking_key.is_none() {
            return Err(Violation::Unmasked);
        }
        if header.opcode.is_control() || self.skips {
            return Ok(());
        }
        match (header.opcode, self.kind) {
            (OpCode::Continuation, None) => return Err(Violation::ContinuationFirst),
            (OpCode::Continuation, Some(_)) => {}
            (_, Some(_)) => return Err(Violation::DataInsideFragments),
            (kind, None) => self.kind = Some(kind),
        }
        self.fragments += 1;
        if self.fragments > limits.fragments {
            return Err(Violation::TooManyFragments);
        }
        match (self.message.len() as u64).checked_add(header.length) {
            Some(sum) if sum <= limits.message as u64 => Ok(()),
            _ => Err(Violation::TooBig),
        }
    }

    /// Unmasks and keeps the next piece of a payload. `remaining` counts the payload bytes still to
    /// come, this piece included.
    fn take(
        &mut self,
        header: &FrameHeader,
        piece: &mut [u8],
        remaining: u64,
    ) -> Result<(), Violation> {
        if let Some(mut key) = header.masking_key {
            key.rotate_left(((header.length - remaining) % 4) as usize);
            apply_mask(piece, key);
        }
        if header.opcode.is_control() {
            self.control.extend_from_slice(piece);
            return Ok(());
        }
        if self.skips {
            return Ok(());
        }
        if self.message.capacity() - self.message.len() < piece.len() {
            // Room for the piece, and at most as much again as has arrived, within what the frame
            // announces. So memory follows the bytes that arrived, not the length that the client
            // claimed.
            let room = piece.len().max(self.message.len()) as u64;
            self.message.reserve_exact(room.min(remaining) as usize);
        }
        self.message.extend_from_slice(piece);
        // The end of a message is checked as a whole in `end_frame`.
        let all = header.fin && piece.len() as u64 == remaining;
        if self.kind == Some(OpCode::Text) && !all {
            self.check_text()?;
        }
        Ok(())
    }

    /// Checks the bytes of a text that arrived since the last check. An incomplete character at the
    /// end may still be completed (8.1).
    fn check_text(&mut self) -> Result<(), Violation> {
        match std::str::from_utf8(&self.message[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Violation::NotUtf8),
        }
        Ok(())
    }

    /// Returns what the end of this frame completes.
    fn end_frame(&mut self, header: &FrameHeader) -> Result<Option<Received>, Violation> {
        if header.opcode.is_control() {
            let payload = std::mem::take(&mut self.control);
            return Ok(Some(match header.opcode {
                OpCode::Ping => Received::Ping(payload),
                OpCode::Pong => Received::Pong(payload),
                _ => Received::Close(CloseFrame::parse(&payload).map_err(Violation::Close)?),
            }));
        }
        if !header.fin || self.skips {
            return Ok(None);
        }
        let bytes = std::mem::take(&mut self.message);
        self.checked = 0;
        self.fragments = 0;
        Ok(Some(Received::Message(match self.kind.take() {
            Some(OpCode::Text) => {
                Message::Text(String::from_utf8(bytes).map_err(|_| Violation::NotUtf8)?)
            }
            _ => Message::Binary(bytes),
        })))
    }
}

/// A violation of RFC 6455 or of a limit by a client. The server closes the WebSocket with
/// [`close_code`](Violation::close_code).
///
/// ```
/// use sockling::websocket::{Assembler, CloseCode, Violation};
///
/// // Half of a frame, and then an unmasked frame.
/// let mut assembler = Assembler::default();
/// assembler.read(&mut *b"\x81\x81\0\0\0\0".to_vec(), &Default::default())?;
/// assert!(assembler.in_progress());
/// let error = Assembler::default().read(&mut *b"\x81\0".to_vec(), &Default::default());
/// assert_eq!(error, Err(Violation::Unmasked));
/// assert_eq!(Violation::NotUtf8.close_code(), CloseCode::INVALID_PAYLOAD);
/// # Ok::<(), Violation>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A frame header is invalid. 1002.
    Frame(FrameError),
    /// A frame is not masked (5.1). 1002.
    Unmasked,
    /// A continuation frame has no message to continue (5.4). 1002.
    ContinuationFirst,
    /// A message begins before the previous one has ended (5.4). 1002.
    DataInsideFragments,
    /// A message has more fragments than [`Limits::fragments`]. 1008.
    TooManyFragments,
    /// A message is larger than [`Limits::message`]. 1009.
    TooBig,
    /// A text message is not UTF-8 (8.1). 1007.
    NotUtf8,
    /// A Close frame is invalid. 1002, or 1007 if its reason is not UTF-8.
    Close(CloseError),
    /// A message was not whole within [`Limits::message_timeout`]. 1008.
    TooSlow,
    /// The client sent more than [`Limits::messages_per_second`]. 1008.
    TooMany,
    /// Nothing came within [`Limits::pong_timeout`] after a ping. 1011.
    Silent,
}

impl Violation {
    /// Returns the close code that the client receives.
    pub fn close_code(self) -> CloseCode {
        match self {
            Violation::TooManyFragments | Violation::TooSlow | Violation::TooMany => {
                CloseCode::POLICY_VIOLATION
            }
            Violation::Silent => CloseCode::INTERNAL_ERROR,
            Violation::TooBig => CloseCode::TOO_BIG,
            Violation::NotUtf8 | Violation::Close(CloseError::Reason) => CloseCode::INVALID_PAYLOAD,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// Returns whether it is clear where the next frame begins: only a limit was violated.
    pub(crate) fn keeps_framing(self) -> bool {
        !matches!(self.close_code(), CloseCode::PROTOCOL_ERROR | CloseCode::INVALID_PAYLOAD)
    }

    /// Returns the setting that decided, as a log line adds it.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Violation::TooManyFragments => " (Limits::fragments)",
            Violation::TooBig => " (Limits::message)",
            Violation::TooSlow => " (Limits::message_timeout)",
            Violation::TooMany => " (Limits::messages_per_second)",
            Violation::Silent => " (Limits::pong_timeout)",
            _ => "",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Violation::Frame(error) => return error.fmt(out),
            Violation::Unmasked => "an unmasked frame",
            Violation::ContinuationFirst => "a continuation frame without a message to continue",
            Violation::DataInsideFragments => "a new message before the end of the previous one",
            Violation::TooManyFragments => "a message of too many fragments",
            Violation::TooBig => "a message that is too large",
            Violation::NotUtf8 => "a text message that is not UTF-8",
            Violation::Close(error) => return error.fmt(out),
            Violation::TooSlow => "a message that took too long",
            Violation::TooMany => "too many messages",
            Violation::Silent => "no answer to a ping",
        })
    }
}

impl std::error::Error for Violation {}
