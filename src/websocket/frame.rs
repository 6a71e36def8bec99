//! Turns bytes into a frame header, and back; masks and unmasks (RFC 6455, 5.2 and 5.3).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| length      | 16 bits of length, if 126;    |
//! |I|S|S|S|  (4)  |A|  (7)        | 64 bits of length, if 127     |
//! |N|V|V|V|       |S|             |                               |
//! | |1|2|3|       |K|             |                               |
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! | masking key, 32 bits, if MASK | payload ...                   |
//! +-------------------------------+-------------------------------+
//! ```
//!
//! Each bit is judged as soon as it is there. Refused: reserved bits and opcodes, control frames
//! that are long or in pieces, and a length in a longer form than it needs.

use std::fmt;

/// What a frame is (RFC 6455, 5.2).
///
/// ```
/// use sockling::websocket::OpCode;
///
/// assert!(OpCode::Ping.bits() == 9 && OpCode::Ping.is_control() && !OpCode::Text.is_control());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpCode {
    /// 0: more of the message before.
    Continuation,
    /// 1: text, in UTF-8.
    Text,
    /// 2: bytes.
    Binary,
    /// 8: the end.
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

/// Longest payload of a control frame, in bytes (5.5).
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
pub struct FrameHeader {
    /// Whether this frame is the last of its message.
    pub fin: bool,
    /// What the frame is.
    pub opcode: OpCode,
    /// The masking key, if the payload is masked.
    pub masking_key: Option<[u8; 4]>,
    /// Bytes of payload.
    pub length: u64,
}

impl FrameHeader {
    /// Returns the header and its length in bytes (2 to 14), or `None` when more bytes are
    /// needed. Error: no peer may send it (RFC 6455, 5.2 and 5.5). One without a mask is no error
    /// here; the [`Assembler`](crate::websocket::Assembler) refuses it.
    pub fn parse(bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, FrameError> {
        let first = match bytes.first() {
            Some(first) => *first,
            None => return Ok(None),
        };
        // No extension was agreed on, so none may use these bits (5.2).
        if first & 0x70 != 0 {
            return Err(FrameError::ReservedBits);
        }
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
        let mut header = FrameHeader { fin, opcode, masking_key: None, length };
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

    /// Appends the header to `bytes`, its length in the shortest form. It is not judged: one that
    /// no peer may send is written too.
    ///
    /// ```
    /// use sockling::websocket::{FrameHeader, OpCode};
    ///
    /// let header = FrameHeader { fin: true, opcode: OpCode::Binary, masking_key: None, length: 256 };
    /// let mut bytes = Vec::new();
    /// header.write(&mut bytes);
    /// assert_eq!(bytes, [0x82, 126, 1, 0]);
    /// ```
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let (header, length) = self.encode();
        bytes.extend_from_slice(&header[..length]);
    }

    fn encode(&self) -> ([u8; 14], usize) {
        let mut header = [0; 14];
        let mask = if self.masking_key.is_some() { 0x80 } else { 0 };
        header[0] = if self.fin { 0x80 } else { 0 } | self.opcode.bits();
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

/// Returns the length and the bytes that its longer forms take.
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
    // The minimal form must be used (5.2).
    if length <= shorter {
        return Err(FrameError::LengthForm);
    }
    Ok(Some((length, used)))
}

/// A whole frame without a mask, as a server sends it (5.1): a header, and a payload that is not
/// copied until somebody has to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    header: [u8; 14],
    header_length: usize,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    pub fn new(opcode: OpCode, payload: &'a [u8]) -> Frame<'a> {
        let length = payload.len() as u64;
        let (header, header_length) =
            FrameHeader { fin: true, opcode, masking_key: None, length }.encode();
        Frame { header, header_length, payload }
    }

    /// Returns the bytes of the header and those of the payload.
    pub fn parts(&self) -> [&[u8]; 2] {
        [&self.header[..self.header_length], self.payload]
    }

    /// Returns whether it is a message, and no ping, pong or Close.
    #[inline]
    pub fn is_message(&self) -> bool {
        self.header[0] & 8 == 0
    }

    /// Returns the bytes of both.
    pub fn len(&self) -> usize {
        self.header_length + self.payload.len()
    }
}

/// Masks the payload, or unmasks it: each byte XOR the byte of the key at its place modulo 4
/// (RFC 6455, 5.3). The first byte meets `key[0]`; for a later piece of a payload the key is
/// rotated.
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

/// What is wrong with a frame header. The client is told 1002.
///
/// ```
/// use sockling::websocket::{FrameError, FrameHeader};
///
/// assert_eq!(FrameHeader::parse(b"\xc1"), Err(FrameError::ReservedBits));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// A reserved bit is set; no extension was agreed on (RFC 6455, 5.2).
    ReservedBits,
    /// The opcode is reserved (5.2).
    Opcode,
    /// A control frame says that more of it follows (5.5).
    ControlFragment,
    /// A control frame has more than 125 bytes (5.5).
    ControlLength,
    /// The top bit of a 64-bit length is set (5.2).
    LengthTopBit,
    /// The length is in a longer form than it needs (5.2).
    LengthForm,
}

impl fmt::Display for FrameError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            FrameError::ReservedBits => "a frame with a reserved bit set",
            FrameError::Opcode => "a frame with a reserved opcode",
            FrameError::ControlFragment => "a control frame in fragments",
            FrameError::ControlLength => "a control frame of more than 125 bytes",
            FrameError::LengthTopBit => "a frame length with its top bit set",
            FrameError::LengthForm => "a frame length that is not in its shortest form",
        })
    }
}

impl std::error::Error for FrameError {}
