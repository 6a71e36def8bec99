//! Turns a chunked body into its content (RFC 9112, 7.1).
//!
//! ```text
//! 5;ext=1 CRLF hello CRLF     chunk-size [ chunk-ext ] CRLF chunk-data CRLF
//! 0 CRLF                      the last chunk
//! X-Sum: 42 CRLF CRLF         trailer section, CRLF
//! ```
//!
//! The decoder skips chunk extensions, and checks and drops trailer fields, both within limits. Any
//! other byte in the framing of a chunk is an error, even the whitespace before `;` that RFC 9112
//! tolerates: another recipient could read what follows it as a different request.

use super::headers::Headers;
use crate::ground::limits::{Limits, CHUNK_EXTENSIONS, CHUNK_SIZE_DIGITS};
use std::fmt;
use std::ops::Range;

/// A decoder of one chunked body.
///
/// ```
/// use sockling::http::Chunked;
/// use sockling::limits::Limits;
///
/// let (mut body, mut chunked) = (Vec::new(), Chunked::default());
/// let bytes = b"5\r\nhello\r\n0\r\n\r\nGET";
/// let used = chunked.decode(bytes, &mut body, &Limits::default()).unwrap();
/// assert_eq!((used, chunked.is_done(), body.as_slice()), (15, true, &b"hello"[..]));
/// ```
#[derive(Debug, Default)]
pub struct Chunked {
    state: State,
    /// The digits of the chunk size so far.
    digits: usize,
    /// The value of those digits, and then the bytes of chunk data that are still to come.
    size: u64,
    /// The bytes of all chunk extensions so far.
    extensions: usize,
    /// The trailer field line in progress.
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
    /// Appends the content in `bytes` to `body` and returns the number of bytes consumed, which is
    /// all of them unless the chunked body ended. The next call takes the bytes that follow. All
    /// bytes in `body`, earlier ones included, count against [`Limits::body`].
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are not a chunked body or exceed a limit. The decoder cannot
    /// be used after that.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        body: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<usize, ChunkedError> {
        let mut at = 0;
        while at < bytes.len() && !self.is_done() {
            let room = limits.body.saturating_sub(body.len()) as u64;
            let data = self.advance(&bytes[at..], usize::MAX, room, limits)?;
            body.extend_from_slice(&bytes[at..][data.clone()]);
            at += data.end;
        }
        Ok(at)
    }

    /// Finds the next content in `bytes`, at most `most` bytes of it, and returns its place. All up
    /// to the end of that place is consumed. The place is empty at the end of `bytes` or of the body.
    /// A chunk of more than `room` bytes is too large.
    pub(crate) fn advance(
        &mut self,
        bytes: &[u8],
        most: usize,
        room: u64,
        limits: &Limits,
    ) -> Result<Range<usize>, ChunkedError> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            if self.state == State::Data {
                // The room may have become less since the chunk began.
                if self.size > room {
                    return Err(ChunkedError::TooLarge);
                }
                let data = (bytes.len() - at).min(most) as u64;
                let end = at + data.min(self.size) as usize;
                self.size -= (end - at) as u64;
                if self.size == 0 {
                    self.state = State::DataEnd;
                }
                return Ok(at..end);
            }
            self.state = self.step(bytes[at], room, limits)?;
            at += 1;
        }
        Ok(at..at)
    }

    /// Returns whether the chunked body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Returns the state after one byte that is not chunk data.
    fn step(&mut self, byte: u8, room: u64, limits: &Limits) -> Result<State, ChunkedError> {
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
            (State::SizeEnd, b'\n') => self.end_size(room),
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

    fn end_size(&mut self, room: u64) -> Result<State, ChunkedError> {
        self.digits = 0;
        // Checked against the limit before any of the data is kept.
        if self.size > room {
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
        // A trailer field must not change the framing or the routing of a request that was already
        // read (RFC 9110, 6.5.1).
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

/// An error in a chunked body. The server answers with [`status`](ChunkedError::status) and closes
/// the connection.
///
/// ```
/// use sockling::http::{Chunked, ChunkedError};
///
/// let mut chunked = Chunked::default();
/// let error = chunked.decode(b"5 \r\n", &mut Vec::new(), &Default::default()).unwrap_err();
/// assert_eq!((error, error.status()), (ChunkedError::Size, 400));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkedError {
    /// A chunk size is not 1 to 16 hexadecimal digits. 400.
    Size,
    /// CRLF does not follow a line or the data of a chunk. 400.
    LineEnd,
    /// A chunk extension contains a control character, or the extensions of the body exceed
    /// [`CHUNK_EXTENSIONS`] bytes. 400.
    Extension,
    /// A trailer field line is not `name: value`, or is Content-Length, Transfer-Encoding, or Host.
    /// 400.
    Trailer,
    /// The trailer fields exceed [`Limits::header_count`] or [`Limits::headers`]. 431.
    TrailersTooLarge,
    /// The content is larger than [`Limits::body`], or than the route or the handler allows. 413.
    TooLarge,
}

impl ChunkedError {
    /// Returns the status code of the answer.
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
            ChunkedError::Size => "a chunk size is invalid",
            ChunkedError::LineEnd => "a chunk does not end with CRLF",
            ChunkedError::Extension => "the chunk extensions are invalid or too long",
            ChunkedError::Trailer => "a trailer field line is invalid",
            ChunkedError::TrailersTooLarge => "the trailer fields are too many or too large",
            ChunkedError::TooLarge => "the chunked body is too large",
        })
    }
}

impl std::error::Error for ChunkedError {}
