//! Turns bytes into a frame header, and back, and masks and unmasks payloads (RFC 6455, 5.2 and
//! 5.3).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| payload len | 16 bits of length, if 126;    |
//! |I|S|S|S|  (4)  |A|  (7)        | 64 bits of length, if 127     |
//! |N|V|V|V|       |S|             |                               |
//! | |1|2|3|       |K|             |                               |
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! | masking key, 32 bits, if MASK | payload ...                   |
//! +-------------------------------+-------------------------------+
//! ```
//!
//! The parser checks each bit as soon as it arrives. It refuses reserved bits and opcodes, control
//! frames that are fragmented or longer than 125 bytes, and a length that is not in its shortest
//! form. RSV1 says that a message is compressed (RFC 7692, 6), and is refused unless that was
//! negotiated.

use super::forms::Forms;
use std::fmt;

/// The opcode of a frame, which says how to interpret its payload (RFC 6455, 5.2).
///
/// ```
/// use sockling::websocket::OpCode;
///
/// assert!(OpCode::Ping.bits() == 9 && OpCode::Ping.is_control() && !OpCode::Text.is_control());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpCode {
    /// 0: a further fragment of the message in progress.
    Continuation,
    /// 1: a text message in UTF-8, or its first fragment.
    Text,
    /// 2: a binary message, or its first fragment.
    Binary,
    /// 8: begins or answers the closing handshake.
    Close,
    /// 9: asks for a pong.
    Ping,
    /// 10: answers a ping.
    Pong,
}

impl OpCode {
    /// Returns whether the frame is a control frame (5.5).
    pub fn is_control(self) -> bool {
        self.bits() & 8 != 0
    }

    /// Returns the four bits of the opcode.
    pub fn bits(self) -> u8 {
        match self {
            OpCode::Continuation => 0,
            OpCode::Text => 1,
            OpCode::Binary => 2,
            OpCode::Close => 8,
            OpCode::Ping => 9,
            OpCode::Pong => 10,
        }
    }

    fn from_bits(bits: u8) -> Option<OpCode> {
        Some(match bits {
            0 => OpCode::Continuation,
            1 => OpCode::Text,
            2 => OpCode::Binary,
            8 => OpCode::Close,
            9 => OpCode::Ping,
            10 => OpCode::Pong,
            _ => return None,
        })
    }
}

/// The longest payload of a control frame, in bytes (5.5).
const CONTROL_PAYLOAD: u64 = 125;

/// The header of a frame.
///
/// ```
/// use sockling::websocket::{apply_mask, FrameHeader, OpCode};
///
/// // A masked "Hello" (RFC 6455, 5.7).
/// let mut bytes = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
/// let (header, used) = FrameHeader::parse(&bytes).unwrap().unwrap();
/// assert_eq!((header.fin, header.opcode, header.length, used), (true, OpCode::Text, 5, 6));
///
/// apply_mask(&mut bytes[used..], header.masking_key.unwrap());
/// assert_eq!(&bytes[used..], b"Hello");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameHeader {
    /// Whether this is the last fragment of its message.
    pub fin: bool,
    /// Whether this begins a compressed message (RFC 7692, 6).
    pub rsv1: bool,
    /// The opcode.
    pub opcode: OpCode,
    /// The masking key, if the payload is masked.
    pub masking_key: Option<[u8; 4]>,
    /// The length of the payload, in bytes.
    pub length: u64,
}

impl FrameHeader {
    /// Returns the header of a whole message or control frame, unmasked and not compressed, with a
    /// payload of this many bytes.
    ///
    /// ```
    /// use sockling::websocket::{FrameHeader, OpCode};
    ///
    /// // The first fragment of a masked text.
    /// let mut header = FrameHeader::new(OpCode::Text, 3);
    /// header.fin = false;
    /// header.masking_key = Some([1, 2, 3, 4]);
    /// let mut bytes = Vec::new();
    /// header.write(&mut bytes);
    /// assert_eq!(bytes, b"\x01\x83\x01\x02\x03\x04");
    /// ```
    pub const fn new(opcode: OpCode, length: u64) -> FrameHeader {
        FrameHeader { fin: true, rsv1: false, opcode, masking_key: None, length }
    }

    /// Parses the header at the front of `bytes`. Returns it with its length in bytes (2 to 14), or
    /// `None` if more bytes are needed.
    ///
    /// # Errors
    ///
    /// Returns an error for a header that no peer may send (RFC 6455, 5.2 and 5.5) where no
    /// extension was negotiated. A header without a mask is not an error here; the
    /// [`Assembler`](crate::websocket::Assembler) refuses it.
    pub fn parse(bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, FrameError> {
        FrameHeader::parse_with(bytes, false)
    }

    /// Parses like [`parse`](FrameHeader::parse), but where compression was negotiated: RSV1 may be
    /// set on the first frame of a message (RFC 7692, 6).
    ///
    /// ```
    /// use sockling::websocket::{FrameError, FrameHeader};
    ///
    /// let (header, _) = FrameHeader::parse_with_rsv1(b"\xc1\x07")?.unwrap();
    /// assert!(header.rsv1 && header.length == 7);
    /// assert_eq!(FrameHeader::parse_with_rsv1(b"\xc9"), Err(FrameError::Rsv1Inside)); // a ping
    /// # Ok::<(), FrameError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`parse`](FrameHeader::parse).
    #[cfg(feature = "deflate")]
    pub fn parse_with_rsv1(bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, FrameError> {
        FrameHeader::parse_with(bytes, true)
    }

    /// Parses a header. `compresses` says whether compression was negotiated.
    pub(crate) fn parse_with(
        bytes: &[u8],
        compresses: bool,
    ) -> Result<Option<(FrameHeader, usize)>, FrameError> {
        let first = match bytes.first() {
            Some(first) => *first,
            None => return Ok(None),
        };
        let rsv1 = first & 0x70 != 0 && is_compressed(first, compresses)?;
        let (fin, opcode) =
            (first & 0x80 != 0, OpCode::from_bits(first & 0x0f).ok_or(FrameError::Opcode)?);
        if opcode.is_control() && !fin {
            return Err(FrameError::ControlFragment);
        }
        let second = match bytes.get(1) {
            Some(second) => *second,
            None => return Ok(None),
        };
        if opcode.is_control() && u64::from(second & 0x7f) > CONTROL_PAYLOAD {
            return Err(FrameError::ControlLength);
        }
        let (length, at) = match parse_length(second & 0x7f, &bytes[2..])? {
            Some((length, used)) => (length, 2 + used),
            None => return Ok(None),
        };
        let mut header = FrameHeader { fin, rsv1, opcode, masking_key: None, length };
        if second & 0x80 == 0 {
            return Ok(Some((header, at)));
        }
        match bytes[at..] {
            [a, b, c, d, ..] => {
                header.masking_key = Some([a, b, c, d]);
                Ok(Some((header, at + 4)))
            }
            _ => Ok(None),
        }
    }

    /// Appends the header to `bytes`, with the length in its shortest form. The header is not
    /// checked: even one that no peer may send is written.
    ///
    /// ```
    /// use sockling::websocket::{FrameHeader, OpCode};
    ///
    /// let mut bytes = Vec::new();
    /// FrameHeader::new(OpCode::Binary, 256).write(&mut bytes);
    /// assert_eq!(bytes, [0x82, 126, 1, 0]);
    /// ```
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let (header, length) = self.encode();
        bytes.extend_from_slice(&header[..length]);
    }

    /// Returns a buffer with the header at its front, and the length of the header in bytes.
    fn encode(&self) -> ([u8; 14], usize) {
        let mut header = [0; 14];
        let mask = if self.masking_key.is_some() { 0x80 } else { 0 };
        header[0] = if self.fin { 0x80 } else { 0 } | self.opcode.bits();
        header[0] |= if self.rsv1 { 0x40 } else { 0 };
        let mut at = match self.length {
            short @ 0..=125 => {
                header[1] = mask | short as u8;
                2
            }
            medium @ 126..=0xffff => {
                header[1] = mask | 126;
                header[2..4].copy_from_slice(&(medium as u16).to_be_bytes());
                4
            }
            long => {
                header[1] = mask | 127;
                header[2..10].copy_from_slice(&long.to_be_bytes());
                10
            }
        };
        if let Some(key) = self.masking_key {
            header[at..at + 4].copy_from_slice(&key);
            at += 4;
        }
        (header, at)
    }
}

/// Returns the payload length and the number of bytes that its extended form takes, or `None` if
/// more bytes are needed.
fn parse_length(seven_bits: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, FrameError> {
    let (length, used, shorter) = match (seven_bits, bytes) {
        (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 2, 125),
        (127, [a, ..]) if a & 0x80 != 0 => return Err(FrameError::LengthTopBit),
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 8, 0xffff)
        }
        (126 | 127, _) => return Ok(None),
        (short, _) => return Ok(Some((u64::from(short), 0))),
    };
    // The minimal number of bytes must be used (5.2).
    if length <= shorter {
        return Err(FrameError::LengthForm);
    }
    Ok(Some((length, used)))
}

/// A whole unmasked frame, as a server sends it (5.1). It borrows its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    header: [u8; 14],
    header_length: usize,
    payload: &'a [u8],
    /// The compressed forms of the message, if it may be compressed.
    #[cfg(feature = "deflate")]
    forms: Option<&'a Forms>,
    /// In a compressed form, the length of the message in bytes, and otherwise 0: what is empty has no
    /// shorter form.
    #[cfg(feature = "deflate")]
    uncompressed: usize,
}

impl<'a> Frame<'a> {
    pub fn new(opcode: OpCode, payload: &'a [u8]) -> Frame<'a> {
        Frame::with_header(FrameHeader::new(opcode, payload.len() as u64), payload)
    }

    fn with_header(header: FrameHeader, payload: &'a [u8]) -> Frame<'a> {
        let (header, header_length) = header.encode();
        Frame {
            header,
            header_length,
            payload,
            #[cfg(feature = "deflate")]
            forms: None,
            #[cfg(feature = "deflate")]
            uncompressed: 0,
        }
    }

    /// Lets the frame be sent in one of these compressed forms of its message, if `may`.
    #[inline]
    pub fn set_forms(&mut self, forms: &'a Forms, may: bool) {
        #[cfg(feature = "deflate")]
        {
            self.forms = may.then_some(forms);
        }
        let _ = (forms, may);
    }

    /// Returns the bytes of the header, and those of the payload.
    pub fn parts(&self) -> [&[u8]; 2] {
        [&self.header[..self.header_length], self.payload]
    }

    /// Returns whether the frame is a message rather than a control frame.
    #[inline]
    pub fn is_message(&self) -> bool {
        self.header[0] & 8 == 0
    }

    /// Returns the length of the whole frame, in bytes.
    pub fn len(&self) -> usize {
        self.header_length + self.payload.len()
    }
}

#[cfg(feature = "deflate")]
impl<'a> Frame<'a> {
    /// Returns the compressed forms of the message, if it may be compressed.
    #[inline]
    pub fn forms(&self) -> Option<&'a Forms> {
        self.forms
    }

    /// Returns the message in a compressed form, as a single frame: Safari 16 fails on fragments.
    pub fn compressed<'b>(&self, form: &'b [u8]) -> Frame<'b> {
        let opcode = OpCode::from_bits(self.header[0] & 0x0f).unwrap_or(OpCode::Binary);
        let mut header = FrameHeader::new(opcode, form.len() as u64);
        header.rsv1 = true;
        Frame { uncompressed: self.payload.len(), ..Frame::with_header(header, form) }
    }

    /// Returns the payload.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Returns the length of the message before compression and after it, if this is a compressed
    /// form, in bytes.
    #[inline]
    pub fn lengths(&self) -> Option<(usize, usize)> {
        (self.uncompressed > 0).then_some((self.uncompressed, self.payload.len()))
    }
}

/// Returns true for a first byte with RSV1 where that may be set, and an error for any other with a
/// reserved bit. Only a negotiated extension may use these (5.2), and the one that may be uses RSV1.
#[cold]
fn is_compressed(first: u8, _compresses: bool) -> Result<bool, FrameError> {
    match first & 0x70 {
        #[cfg(feature = "deflate")]
        0x40 if _compresses => match OpCode::from_bits(first & 0x0f) {
            Some(OpCode::Text | OpCode::Binary) => Ok(true),
            Some(_) => Err(FrameError::Rsv1Inside),
            None => Err(FrameError::Opcode),
        },
        0x40 => Err(FrameError::Rsv1),
        _ => Err(FrameError::ReservedBits),
    }
}

/// Masks or unmasks a payload in place: XORs byte `i` with `key[i % 4]` (RFC 6455, 5.3). For a
/// piece that does not begin the payload, the caller rotates the key to match, as
/// [`Assembler`](super::Assembler) (`message.rs`) does with each piece that arrives.
pub fn apply_mask(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = payload.chunks_exact_mut(8);
    for chunk in &mut words {
        let masked = u64::from_ne_bytes((&*chunk).try_into().expect("a chunk of 8"));
        chunk.copy_from_slice(&(masked ^ word).to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// An error in a frame header. The server closes the WebSocket with 1002.
///
/// ```
/// use sockling::websocket::{FrameError, FrameHeader};
///
/// assert_eq!(FrameHeader::parse(b"\xa1"), Err(FrameError::ReservedBits));
/// assert_eq!(FrameHeader::parse(b"\xc1"), Err(FrameError::Rsv1)); // nothing was negotiated
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// RSV2 or RSV3 is set, which no extension here uses (RFC 6455, 5.2).
    ReservedBits,
    /// RSV1 is set, although compression was not negotiated (RFC 7692, 6).
    Rsv1,
    /// RSV1 is set on a frame that does not begin a message (RFC 7692, 6.1).
    #[cfg(feature = "deflate")]
    Rsv1Inside,
    /// The opcode is reserved (5.2).
    Opcode,
    /// A control frame is fragmented (5.5).
    ControlFragment,
    /// A control frame has a payload of more than 125 bytes (5.5).
    ControlLength,
    /// The most significant bit of a 64-bit length is set (5.2).
    LengthTopBit,
    /// The length is not in its shortest form (5.2).
    LengthForm,
}

impl fmt::Display for FrameError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            FrameError::ReservedBits => "a frame with a reserved bit set",
            FrameError::Rsv1 => "a frame with RSV1 set, although compression was not negotiated",
            #[cfg(feature = "deflate")]
            FrameError::Rsv1Inside => "a frame with RSV1 set that does not begin a message",
            FrameError::Opcode => "a frame with a reserved opcode",
            FrameError::ControlFragment => "a fragmented control frame",
            FrameError::ControlLength => "a control frame of more than 125 bytes",
            FrameError::LengthTopBit => "a frame length with its top bit set",
            FrameError::LengthForm => "a frame length that is not in its shortest form",
        })
    }
}

impl std::error::Error for FrameError {}
