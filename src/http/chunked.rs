//! Turns a chunked body into its bytes (RFC 9112, 7.1).
//!
//! ```text
//! 5;ext=1 CRLF hello CRLF     chunk-size [ chunk-ext ] CRLF chunk-data CRLF
//! 0 CRLF                      the last chunk
//! X-Sum: 42 CRLF CRLF         trailer section, CRLF
//! ```
//!
//! Extensions are skipped and trailers are checked and dropped, both within limits. Any other
//! byte in the frame of a chunk is an error, also a space before `;` that RFC 9112 lets pass: what
//! follows could be read as another request.

use super::headers::Headers;
use crate::ground::limits::{Limits, CHUNK_EXTENSIONS, CHUNK_SIZE_DIGITS};
use std::fmt;

/// Where a chunked body stands.
///
/// ```
/// use sockling::http::Chunked;
/// use sockling::limits::Limits;
///
/// let (mut body, mut chunked) = (Vec::new(), Chunked::default());
/// let used = chunked.decode(b"5\r\nhello\r\n0\r\n\r\nGET", &mut body, &Limits::default()).unwrap();
/// assert_eq!((used, chunked.is_done(), body.as_slice()), (15, true, &b"hello"[..]));
/// ```
#[derive(Debug, Default)]
pub struct Chunked {
    state: State,
    /// Digits of the size so far, and its value.
    digits: usize,
    size: u64,
    extensions: usize,
    trailer: Vec<u8>,
    trailer_bytes: usize,
    trailers: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    SizeEnd,
    Data,
    DataEnd,
    DataEndLf,
    Trailer,
    TrailerEnd,
    Done,
}

impl Chunked {
    /// Appends the decoded content to `body` and returns how many of `bytes` were used: all,
    /// unless the body ended before. The next call gets those that follow. What `body` holds counts
    /// for its limit. Error: the bytes are no chunked body; nothing can be decoded after it.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        body: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<usize, ChunkedError> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            if self.state == State::Data {
                let some = (bytes.len() - at).min(usize::try_from(self.size).unwrap_or(usize::MAX));
                body.extend_from_slice(&bytes[at..at + some]);
                self.size -= some as u64;
                at += some;
                if self.size == 0 {
                    self.state = State::DataEnd;
                }
            } else {
                self.state = self.step(bytes[at], body.len(), limits)?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// Returns whether the body ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn step(&mut self, byte: u8, body: usize, limits: &Limits) -> Result<State, ChunkedError> {
        match (self.state, byte) {
            (State::Size, _) if byte.is_ascii_hexdigit() => {
                self.digits += 1;
                if self.digits > CHUNK_SIZE_DIGITS {
                    return Err(ChunkedError::Size);
                }
                self.size = self.size * 16 + u64::from((byte as char).to_digit(16).unwrap_or(0));
                Ok(State::Size)
            }
            (State::Size, b';') if self.digits > 0 => Ok(State::Extension),
            (State::Size, b'\r') if self.digits > 0 => Ok(State::SizeEnd),
            (State::Size, _) => Err(ChunkedError::Size),
            (State::Extension, b'\r') => Ok(State::SizeEnd),
            (State::Extension, _) => self.extension(byte),
            (State::SizeEnd, b'\n') => self.end_size(body, limits),
            (State::DataEnd, b'\r') => Ok(State::DataEndLf),
            (State::DataEndLf, b'\n') => Ok(State::Size),
            (State::Trailer, b'\r') => Ok(State::TrailerEnd),
            (State::Trailer, b'\n') => Err(ChunkedError::LineEnd),
            (State::Trailer, _) => {
                self.trailer.push(byte);
                self.count_trailer(1, limits)?;
                Ok(State::Trailer)
            }
            (State::TrailerEnd, b'\n') => self.end_trailer(limits),
            _ => Err(ChunkedError::LineEnd),
        }
    }

    fn extension(&mut self, byte: u8) -> Result<State, ChunkedError> {
        self.extensions += 1;
        if self.extensions > CHUNK_EXTENSIONS || (byte < b' ' && byte != b'\t') || byte == 0x7f {
            return Err(ChunkedError::Extension);
        }
        Ok(State::Extension)
    }

    fn end_size(&mut self, body: usize, limits: &Limits) -> Result<State, ChunkedError> {
        self.digits = 0;
        // Held against the limit before any of it is kept.
        if self.size > limits.body.saturating_sub(body) as u64 {
            return Err(ChunkedError::TooLarge);
        }
        Ok(if self.size == 0 { State::Trailer } else { State::Data })
    }

    fn count_trailer(&mut self, bytes: usize, limits: &Limits) -> Result<(), ChunkedError> {
        self.trailer_bytes += bytes;
        match self.trailer_bytes > limits.headers {
            true => Err(ChunkedError::TrailersTooLarge),
            false => Ok(()),
        }
    }

    fn end_trailer(&mut self, limits: &Limits) -> Result<State, ChunkedError> {
        if self.trailer.is_empty() {
            return Ok(State::Done);
        }
        self.count_trailer(2, limits)?; // its CRLF
        let mut field = Headers::new();
        field.push_line(&self.trailer).map_err(|_| ChunkedError::Trailer)?;
        // A trailer may not change how the message was read (RFC 9110, 6.5.1).
        let framing = ["content-length", "transfer-encoding", "host"];
        if framing.iter().any(|name| field.get(name).is_some()) {
            return Err(ChunkedError::Trailer);
        }
        self.trailer.clear();
        self.trailers += 1;
        if self.trailers > limits.header_count {
            return Err(ChunkedError::TrailersTooLarge);
        }
        Ok(State::Trailer)
    }
}

/// What is wrong with a chunked body. Each is answered with [`status`](ChunkedError::status) and
/// the connection is closed.
///
/// ```
/// use sockling::http::{Chunked, ChunkedError};
///
/// let error = Chunked::default().decode(b"5 \r\n", &mut Vec::new(), &Default::default()).unwrap_err();
/// assert_eq!((error, error.status()), (ChunkedError::Size, 400));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkedError {
    /// A chunk size is not 1 to 16 hexadecimal digits. 400.
    Size,
    /// A line, or the data of a chunk, is not followed by CRLF. 400.
    LineEnd,
    /// Chunk extensions have a control character, or are too long in all. 400.
    Extension,
    /// A trailer is not `name: value`, or is one that frames the message. 400.
    Trailer,
    /// There are more trailers, or bytes of trailers, than the limits allow. 431.
    TrailersTooLarge,
    /// The chunks together are larger than [`Limits::body`]. 413.
    TooLarge,
}

impl ChunkedError {
    /// Returns the status code that the client is told.
    pub fn status(self) -> u16 {
        match self {
            ChunkedError::TrailersTooLarge => 431,
            ChunkedError::TooLarge => 413,
            _ => 400,
        }
    }
}

impl fmt::Display for ChunkedError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            ChunkedError::Size => "a chunk size is not valid",
            ChunkedError::LineEnd => "a chunk does not end with CRLF",
            ChunkedError::Extension => "chunk extensions are not valid or too long",
            ChunkedError::Trailer => "a trailer is not valid",
            ChunkedError::TrailersTooLarge => "the trailers are too large or too many",
            ChunkedError::TooLarge => "the chunks are larger than the body limit",
        })
    }
}

impl std::error::Error for ChunkedError {}
