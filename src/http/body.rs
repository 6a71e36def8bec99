//! Turns the bytes that follow a request's head into the content of its body (RFC 9112, 6), piece by
//! piece, and knows how much of it is left.

use super::chunked::{Chunked, ChunkedError};
use super::head::BodyLength;
use crate::ground::limits::Limits;
use std::fmt;
use std::ops::Range;

/// A body in progress.
pub(crate) struct Body {
    framing: Framing,
    /// The bytes of content so far.
    passed: u64,
}

enum Framing {
    /// The bytes that are left of an announced length.
    Known(u64),
    Chunked(Box<Chunked>),
}

impl Body {
    pub fn new(length: BodyLength) -> Body {
        let framing = match length {
            BodyLength::Known(length) => Framing::Known(length),
            BodyLength::Chunked => Framing::Chunked(Box::default()),
        };
        Body { framing, passed: 0 }
    }

    /// Finds the next content in `bytes`, at most `most` bytes of it, and returns its place; all up
    /// to the end of that place is consumed. The place is empty where `bytes` has no content, or the
    /// body has ended. Error: a chunk makes the content larger than `limit`, or the framing is
    /// invalid.
    pub fn advance(
        &mut self,
        bytes: &[u8],
        most: usize,
        limit: u64,
        limits: &Limits,
    ) -> Result<Range<usize>, BodyError> {
        let place = match &mut self.framing {
            Framing::Known(left) => {
                let end = (bytes.len().min(most) as u64).min(*left);
                *left -= end;
                0..end as usize
            }
            Framing::Chunked(chunked) => {
                let room = limit.saturating_sub(self.passed);
                let place = chunked.advance(bytes, most, room, limits);
                place.map_err(|error| match error {
                    ChunkedError::TooLarge => BodyError::TooLarge,
                    error => BodyError::Chunked(error),
                })?
            }
        };
        self.passed += place.len() as u64;
        Ok(place)
    }

    /// Returns the bytes of content so far.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Returns how many bytes are left; `None` in a chunked body, where only the end tells.
    pub fn left(&self) -> Option<u64> {
        match &self.framing {
            Framing::Known(left) => Some(*left),
            Framing::Chunked(chunked) => chunked.is_done().then_some(0),
        }
    }

    pub fn is_done(&self) -> bool {
        self.left() == Some(0)
    }
}

/// Why the body of a request cannot be read, or cannot be read further.
///
/// From a [`BodyReader`](super::BodyReader), it is inside of the [`std::io::Error`], and `?` in a
/// handler turns that into an [`Error`](super::Error) with this error's status. After each of them
/// the connection ends behind the answer.
///
/// ```
/// use sockling::http::BodyError;
/// use sockling::prelude::*;
/// use std::io::Read;
///
/// fn store(request: &Request) -> Result<Response, Error> {
///     let mut bytes = Vec::new();
///     request.reader(4)?.read_to_end(&mut bytes)?;
///     Ok(Response::new().body(bytes))
/// }
/// assert_eq!(store(&Request::post("/", "hey"))?.content(), b"hey");
/// let error = store(&Request::post("/", "hello")).unwrap_err();
/// assert!(matches!(error, Error::Body(BodyError::TooLarge)));
/// assert_eq!((error.status(), BodyError::CutShort.status()), (413, 400));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// The body is larger than the route or the handler allows. 413.
    TooLarge,
    /// The chunks of the body are invalid. The status is that of the [`ChunkedError`].
    Chunked(ChunkedError),
    /// The body did not arrive within [`Limits::body_timeout`], to which the bytes that have arrived
    /// add what they take at [`Limits::min_rate`]. 408.
    Late,
    /// The client ended its side, or has gone, before the end of the body. 400.
    CutShort,
    /// The connection was asked to end, by a shutdown or by a newcomer to a full server, and the rest
    /// of the body has not arrived. Also what ends a streamed answer at a shutdown. 503.
    Closing,
    /// The client waits for `100 Continue`, and the handler reads the body after it has begun to
    /// send the answer, with which the client no longer sends it. 500.
    Unasked,
}

impl BodyError {
    /// Returns the status code of the answer.
    pub fn status(self) -> u16 {
        match self {
            BodyError::TooLarge => 413,
            BodyError::Chunked(error) => error.status(),
            BodyError::Late => 408,
            BodyError::CutShort => 400,
            BodyError::Closing => 503,
            BodyError::Unasked => 500,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            BodyError::TooLarge => "the body is larger than allowed",
            BodyError::Chunked(error) => return error.fmt(out),
            BodyError::Late => "the request body took too long",
            BodyError::CutShort => "the client ended within the request body",
            BodyError::Closing => "this connection is about to end; another one may have room",
            BodyError::Unasked => "the body is read after the answer, and its client never sent it",
        })
    }
}

impl std::error::Error for BodyError {}
