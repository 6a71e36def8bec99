//! Turns frames into messages, in pieces of any size (RFC 6455, 5.4 and 5.5).
//!
//! Payload bytes are unmasked, counted and checked as they come: a message that will be too big is
//! refused at the header that makes it so, and text that stops being UTF-8 in the piece that was read
//! with it, not at the end of the message.

use super::close::{CloseCode, CloseError, CloseFrame};
use super::frame::{apply_mask, Frame, FrameError, FrameHeader, OpCode};
use crate::ground::limits::Limits;
use std::fmt;

/// A message: what one side sends and the other gets whole.
///
/// ```
/// use sockling::prelude::*;
///
/// assert_eq!(Message::from("hey"), Message::Text("hey".to_string()));
/// assert_eq!(Message::from(&b"\x00\x01"[..]), Message::Binary(vec![0, 1]));
/// assert_eq!(Message::from("hey").as_bytes(), b"hey");
/// assert_eq!(Message::from(vec![0, 1]).as_text(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text, in UTF-8.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Message {
    /// Returns the text, or `None` for bytes.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// Returns the bytes of either kind.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// Gives back memory that it has in reserve.
    pub(crate) fn shrink(&mut self) {
        match self {
            Message::Text(text) => text.shrink_to_fit(),
            Message::Binary(bytes) => bytes.shrink_to_fit(),
        }
    }

    /// Returns the message as one frame of a server.
    pub(crate) fn frame(&self) -> Frame<'_> {
        let opcode = match self {
            Message::Text(_) => OpCode::Text,
            Message::Binary(_) => OpCode::Binary,
        };
        Frame::new(opcode, self.as_bytes())
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Message {
        Message::Text(text.to_string())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Message {
        Message::Text(text)
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Message {
        Message::Binary(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Message {
        Message::Binary(bytes)
    }
}

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A whole message.
    Message(Message),
    /// A ping with its payload, which a pong must repeat (5.5.3).
    Ping(Vec<u8>),
    /// A pong with its payload.
    Pong(Vec<u8>),
    /// The Close frame; nothing after it counts (5.5.1).
    Close(CloseFrame),
}

/// Joins a client's frames into messages.
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
    /// The frame whose payload is coming, and how many bytes of it are missing.
    frame: Option<(FrameHeader, u64)>,
    /// The opcode of the message in progress: Text or Binary.
    kind: Option<OpCode>,
    message: Vec<u8>,
    /// Bytes of `message` that are known to be whole characters.
    checked: usize,
    fragments: usize,
    control: Vec<u8>,
}

impl Assembler {
    /// Uses the front of `bytes` until something was received or they end. Returns
    /// how many were used, and what was received; `None` when more bytes are needed. Payloads
    /// are unmasked in place. The used bytes are not shown to it again; whoever calls it answers
    /// pings. After an error the conversation is over.
    // Not inlined: its locals would lie beneath every call of a handler.
    #[inline(never)]
    pub fn read(
        &mut self,
        bytes: &mut [u8],
        limits: &Limits,
    ) -> Result<(usize, Option<Received>), Violation> {
        let mut used = 0;
        loop {
            let (header, missing) = match self.frame {
                Some(frame) => frame,
                None => match FrameHeader::parse(&bytes[used..]).map_err(Violation::Frame)? {
                    None => return Ok((used, None)),
                    Some((header, length)) => {
                        self.start(&header, limits)?;
                        used += length;
                        (header, header.length)
                    }
                },
            };
            let some = (bytes.len() - used).min(usize::try_from(missing).unwrap_or(usize::MAX));
            self.take(&header, &mut bytes[used..used + some], missing)?;
            used += some;
            let missing = missing - some as u64;
            if missing > 0 {
                self.frame = Some((header, missing));
                return Ok((used, None));
            }
            self.frame = None;
            if let Some(received) = self.end_frame(&header)? {
                return Ok((used, Some(received)));
            }
        }
    }

    /// Returns whether a part of a frame or of a message has come and the rest has not.
    pub fn in_progress(&self) -> bool {
        self.frame.is_some() || self.kind.is_some()
    }

    /// Judges a frame by its header, before any of its payload is kept.
    fn start(&mut self, header: &FrameHeader, limits: &Limits) -> Result<(), Violation> {
        // A client must mask every frame (5.1).
        if header.masking_key.is_none() {
            return Err(Violation::Unmasked);
        }
        if header.opcode.is_control() {
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

    /// Keeps the next piece of a payload, of which `missing` bytes are to come with this piece.
    fn take(
        &mut self,
        header: &FrameHeader,
        piece: &mut [u8],
        missing: u64,
    ) -> Result<(), Violation> {
        if let Some(mut key) = header.masking_key {
            key.rotate_left(((header.length - missing) % 4) as usize);
            apply_mask(piece, key);
        }
        if header.opcode.is_control() {
            self.control.extend_from_slice(piece);
            return Ok(());
        }
        if self.message.capacity() - self.message.len() < piece.len() {
            // Room for what came, and as much again when more is to come: memory follows the
            // bytes that arrived, not the length that was claimed.
            let room = piece.len().max(self.message.len()) as u64;
            self.message.reserve_exact(room.min(missing) as usize);
        }
        self.message.extend_from_slice(piece);
        let all = header.fin && piece.len() as u64 == missing;
        if self.kind == Some(OpCode::Text) && !all {
            self.check_text()?;
        }
        Ok(())
    }

    /// Checks the bytes that came since the last check; half a character at the end may still
    /// become whole (8.1).
    fn check_text(&mut self) -> Result<(), Violation> {
        match std::str::from_utf8(&self.message[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Violation::NotUtf8),
        }
        Ok(())
    }

    fn end_frame(&mut self, header: &FrameHeader) -> Result<Option<Received>, Violation> {
        if header.opcode.is_control() {
            let payload = std::mem::take(&mut self.control);
            return Ok(Some(match header.opcode {
                OpCode::Ping => Received::Ping(payload),
                OpCode::Pong => Received::Pong(payload),
                _ => Received::Close(CloseFrame::parse(&payload).map_err(Violation::Close)?),
            }));
        }
        if !header.fin {
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

/// How a client broke RFC 6455 or a limit. The client is told
/// [`close_code`](Violation::close_code) and the connection ends.
///
/// ```
/// use sockling::websocket::{Assembler, CloseCode, Violation};
///
/// // Half a frame, then one without a mask.
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
    /// A frame header is not valid. 1002.
    Frame(FrameError),
    /// A frame has no mask (5.1). 1002.
    Unmasked,
    /// A continuation came with nothing to continue (5.4). 1002.
    ContinuationFirst,
    /// A new message began inside another one (5.4). 1002.
    DataInsideFragments,
    /// A message has more fragments than [`Limits::fragments`]. 1008.
    TooManyFragments,
    /// A message is larger than [`Limits::message`]. 1009.
    TooBig,
    /// A text is not UTF-8 (8.1). 1007.
    NotUtf8,
    /// A Close frame is not valid. 1002, or 1007 when its reason is not UTF-8.
    Close(CloseError),
}

impl Violation {
    /// Returns the close code that the client is told.
    pub fn close_code(self) -> CloseCode {
        match self {
            Violation::TooManyFragments => CloseCode::POLICY_VIOLATION,
            Violation::TooBig => CloseCode::TOO_BIG,
            Violation::NotUtf8 | Violation::Close(CloseError::Reason) => CloseCode::INVALID_PAYLOAD,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Violation::Frame(error) => error.fmt(out),
            Violation::Unmasked => out.write_str("a frame without a mask"),
            Violation::ContinuationFirst => out.write_str("a continuation of nothing"),
            Violation::DataInsideFragments => out.write_str("a message inside another one"),
            Violation::TooManyFragments => out.write_str("a message of too many fragments"),
            Violation::TooBig => out.write_str("a message that is too big"),
            Violation::NotUtf8 => out.write_str("a text that is not UTF-8"),
            Violation::Close(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for Violation {}
