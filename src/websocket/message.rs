//! Turns a client's frames, in pieces of any size, into messages (RFC 6455, 5.4 and 5.5).
//!
//! The assembler unmasks, counts, and checks payload bytes as they arrive. It refuses a message
//! that would exceed the limit at the frame header that announces the excess, and text that is not
//! UTF-8 in the piece with the first invalid byte, rather than at the end of the message. A message
//! that is compressed (RFC 7692) is inflated on the way, and then checked in the same way.

use super::close::{CloseCode, CloseError, CloseFrame};
use super::forms::Forms;
use super::frame::{apply_mask, Frame, FrameError, FrameHeader, OpCode};
#[cfg(feature = "deflate")]
use super::inflate::{most_compressed, Fault, Inflater, CREDIT};
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

    /// Returns the message marked to be sent as it is, even to clients with which compression was
    /// negotiated. This is for a secret beside text that somebody else chooses, since the length after
    /// compression would tell of the secret (see the page *Compression* of the
    /// [`guide`](crate::guide)). Everything that sends a message takes the result, topics keep the
    /// mark, and a relay carries it.
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// let token = Message::from("token=5f2c, and what you searched for");
    /// Comms::websocket(7).send(token.uncompressed())?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn uncompressed(self) -> Outgoing {
        Outgoing { message: self, compresses: false }
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

/// What is sent: a message, or one that [must not be compressed](Message::uncompressed).
///
/// ```
/// use sockling::prelude::*;
/// use sockling::websocket::Outgoing;
///
/// /// Takes whatever `send` takes.
/// fn tell(user: i64, news: impl Into<Outgoing>) -> Result<usize, Error> {
///     Comms::websocket(user).send(news)
/// }
/// assert_eq!(tell(7, "hey")? + tell(7, Message::from("a secret").uncompressed())?, 0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub(crate) message: Message,
    pub(crate) compresses: bool,
}

impl<M: Into<Message>> From<M> for Outgoing {
    fn from(message: M) -> Outgoing {
        Outgoing { message: message.into(), compresses: true }
    }
}

impl Outgoing {
    /// Returns the message as a single frame, which may be sent in one of these forms.
    pub(crate) fn frame<'a>(&'a self, forms: &'a Forms) -> Frame<'a> {
        let mut frame = self.message.frame();
        frame.set_forms(forms, self.compresses);
        frame
    }
}

/// A message that a topic keeps, with its compressed forms.
#[derive(Debug)]
pub(crate) struct KeptMessage {
    pub message: Message,
    compresses: bool,
    pub forms: Forms,
}

impl KeptMessage {
    pub fn new(message: Message, compresses: bool) -> KeptMessage {
        KeptMessage { message, compresses, forms: Forms::default() }
    }

    /// Returns the message as a single frame, which may be sent in one of its forms.
    pub fn frame(&self) -> Frame<'_> {
        let mut frame = self.message.frame();
        frame.set_forms(&self.forms, self.compresses);
        frame
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
    /// The number of bytes that were consumed in front of what was refused: a frame header, a piece
    /// of a payload, or the end of a frame.
    before: usize,
    /// Whether compression was negotiated.
    #[cfg(feature = "deflate")]
    inflates: bool,
    /// Inflates the message in progress, if that is compressed. Then `message` has room behind what is
    /// inflated.
    #[cfg(feature = "deflate")]
    inflater: Option<Inflater>,
    /// What the client has to pay for the blocks of its next compressed message.
    #[cfg(feature = "deflate")]
    credit: u32,
    /// The bytes of compressed messages so far, as they came and inflated.
    #[cfg(feature = "deflate")]
    inflated: (u64, u64),
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
                None => match self.parse_header(&bytes[used..]).map_err(Violation::Frame)? {
                    None => return Ok((used, None)),
                    Some((header, length)) => {
                        if let Err(violation) = self.start(&header, limits) {
                            return Err(self.refused(used, violation));
                        }
                        used += length;
                        (header, header.length)
                    }
                },
            };
            let piece = (bytes.len() - used).min(usize::try_from(remaining).unwrap_or(usize::MAX));
            let payload = &mut bytes[used..used + piece];
            if let Err(violation) = self.take(&header, payload, remaining, limits) {
                self.frame = Some((header, remaining));
                return Err(self.refused(used, violation));
            }
            used += piece;
            let remaining = remaining - piece as u64;
            if remaining > 0 {
                self.frame = Some((header, remaining));
                return Ok((used, None));
            }
            self.frame = None;
            match self.end_frame(&header, limits) {
                Ok(None) => {}
                Ok(received) => return Ok((used, received)),
                Err(violation) => return Err(self.refused(used, violation)),
            }
        }
    }

    /// Notes how many bytes were consumed in front of what is refused.
    fn refused(&mut self, used: usize, violation: Violation) -> Violation {
        self.before = used;
        violation
    }

    /// Makes `read` skip messages, the one in progress included, and return control frames only.
    /// That works after a violation, too, if [`Violation::keeps_framing`]. Returns the number of
    /// bytes that the failed call had consumed.
    pub(crate) fn skip(&mut self) -> usize {
        self.skips = true;
        self.message = Vec::new();
        #[cfg(feature = "deflate")]
        {
            self.inflater = None;
        }
        std::mem::take(&mut self.before)
    }

    /// Returns the number of bytes that are still to come of the frame in progress.
    pub(crate) fn frame_rest(&self) -> usize {
        self.frame.map_or(0, |(_, rest)| usize::try_from(rest).unwrap_or(usize::MAX))
    }

    /// Parses the frame header at the front of `bytes`, as the connection that was negotiated has it.
    pub(crate) fn parse_header(
        &self,
        bytes: &[u8],
    ) -> Result<Option<(FrameHeader, usize)>, FrameError> {
        #[cfg(feature = "deflate")]
        return FrameHeader::parse_with(bytes, self.inflates);
        #[cfg(not(feature = "deflate"))]
        FrameHeader::parse(bytes)
    }

    /// Returns the number of bytes that have come of the message in progress.
    pub(crate) fn progress(&self) -> usize {
        #[cfg(feature = "deflate")]
        if let Some(inflater) = &self.inflater {
            return inflater.taken() as usize;
        }
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
        #[cfg(feature = "deflate")]
        if header.rsv1 || self.inflater.is_some() {
            return self.start_compressed(header.length, limits);
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
        _limits: &Limits,
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
        #[cfg(feature = "deflate")]
        if self.inflater.is_some() {
            return self.inflate(Some(piece), _limits);
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
            self.check_text(self.message.len())?;
        }
        Ok(())
    }

    /// Checks the bytes of a text that arrived since the last check, up to `end`. An incomplete
    /// character at the end may still be completed (8.1).
    fn check_text(&mut self, end: usize) -> Result<(), Violation> {
        match std::str::from_utf8(&self.message[self.checked..end]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Violation::NotUtf8),
        }
        Ok(())
    }

    /// Returns what the end of this frame completes.
    fn end_frame(
        &mut self,
        header: &FrameHeader,
        _limits: &Limits,
    ) -> Result<Option<Received>, Violation> {
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
        #[cfg(feature = "deflate")]
        if self.inflater.is_some() {
            self.inflate(None, _limits)?;
            self.inflater = None;
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

#[cfg(feature = "deflate")]
impl Assembler {
    /// Returns an assembler for a connection on which compression was negotiated (RFC 7692), without
    /// context takeover by the client. It inflates the messages that are compressed, within
    /// [`Limits::message`].
    ///
    /// ```
    /// use sockling::limits::Limits;
    /// use sockling::websocket::{Assembler, Received};
    ///
    /// // "Hello" (RFC 7692, 7.2.3.1), masked with a key of zeros.
    /// let mut bytes = *b"\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\x00";
    /// let (_, received) = Assembler::inflating().read(&mut bytes, &Limits::default())?;
    /// assert_eq!(received, Some(Received::Message("Hello".into())));
    /// # Ok::<(), sockling::websocket::Violation>(())
    /// ```
    pub fn inflating() -> Assembler {
        Assembler { inflates: true, credit: CREDIT, ..Assembler::default() }
    }

    /// Checks a frame of a compressed message by its length. Like `inflate`, not inlined: what is not
    /// compressed does not pay for it.
    #[inline(never)]
    fn start_compressed(&mut self, length: u64, limits: &Limits) -> Result<(), Violation> {
        let inflater = self.inflater.get_or_insert_with(|| Inflater::new(self.credit));
        inflater.begin_frame();
        match inflater.taken().checked_add(length) {
            Some(sum) if sum <= most_compressed(limits.message) => Ok(()),
            _ => Err(Violation::TooBig),
        }
    }

    /// Inflates the next piece of a payload, or `None` at the end of a message.
    #[inline(never)]
    fn inflate(&mut self, piece: Option<&[u8]>, limits: &Limits) -> Result<(), Violation> {
        let inflater = self.inflater.get_or_insert_with(|| Inflater::new(self.credit));
        let inflated = match piece {
            Some(piece) => inflater.take(piece, &mut self.message, limits.message),
            None => inflater.end(&mut self.message, limits.message),
        };
        let filled = inflater.filled();
        if piece.is_none() {
            self.inflated.0 += inflater.taken();
            self.inflated.1 += filled as u64;
            self.credit = inflater.credit();
        }
        if self.kind == Some(OpCode::Text) {
            // First, because a fault lies behind it.
            self.check_text(filled)?;
        }
        Ok(inflated?)
    }

    /// Takes the number of bytes of compressed messages since the last call, as they came and
    /// inflated.
    pub(crate) fn take_inflated(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.inflated)
    }
}

#[cfg(feature = "deflate")]
impl From<Fault> for Violation {
    fn from(fault: Fault) -> Violation {
        match fault {
            Fault::TooBig => Violation::TooBig,
            Fault::TooManyBlocks => Violation::TooManyBlocks,
            Fault::Invalid => Violation::NotDeflated,
        }
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
    /// A compressed message cannot be inflated (RFC 7692, 7.2.2). 1007.
    #[cfg(feature = "deflate")]
    NotDeflated,
    /// Compressed messages have too many blocks: more than two for each frame and one for each 16
    /// bytes, by 1,024. 1008.
    #[cfg(feature = "deflate")]
    TooManyBlocks,
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
            #[cfg(feature = "deflate")]
            Violation::TooManyBlocks => CloseCode::POLICY_VIOLATION,
            #[cfg(feature = "deflate")]
            Violation::NotDeflated => CloseCode::INVALID_PAYLOAD,
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
            #[cfg(feature = "deflate")]
            Violation::NotDeflated => "a compressed message that cannot be inflated",
            #[cfg(feature = "deflate")]
            Violation::TooManyBlocks => "a compressed message of too many blocks",
            Violation::Close(error) => return error.fmt(out),
            Violation::TooSlow => "a message that took too long",
            Violation::TooMany => "too many messages",
            Violation::Silent => "no answer to a ping",
        })
    }
}

impl std::error::Error for Violation {}
