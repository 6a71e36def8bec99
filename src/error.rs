//! What can go wrong, and the table from a handler's error to what a peer is told.
//!
//! The codecs have small errors of their own, each with the status or close code of its faults; they
//! are wrapped here, upward. A message never sits inside an error.

use crate::http::chunked::ChunkedError;
use crate::http::head::HeadError;
use crate::http::response::ResponseError;
use crate::websocket::close::{CloseCode, CloseError};
use crate::websocket::handshake::Refusal;
use crate::websocket::message::Violation;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// An error of the library, or one that a handler returned.
///
/// Handlers may use `?` on I/O errors and on texts; for others there is [`Error::other`].
///
/// ```
/// use sockling::prelude::*;
///
/// fn age(text: &str) -> Result<u8, Error> {
///     text.parse().map_err(Error::other)
/// }
/// assert_eq!(age("300").unwrap_err().to_string(), "number too large to fit in target type");
/// assert_eq!(age("300").unwrap_err().status(), 500);
/// assert_eq!(age("300").unwrap_err().close_code(), CloseCode::INTERNAL_ERROR);
/// ```
#[non_exhaustive]
pub enum Error {
    /// The client sent a request head that is not valid.
    Head(HeadError),
    /// The client sent a chunked body that is not valid.
    Chunked(ChunkedError),
    /// The client asked for a WebSocket in a way that is refused.
    Refusal(Refusal),
    /// The client broke the WebSocket protocol, or a limit.
    Violation(Violation),
    /// The application gave a close code that may not stand in a Close frame.
    Close(CloseError),
    /// The application made a response that may not be sent.
    Response(ResponseError),
    /// The client does not read. The message was not taken.
    Full {
        /// The client; one of them, if there were several.
        peer: SocketAddr,
        /// Bytes that waited when the message was refused.
        waiting: usize,
        /// Whether the client's socket is shut for it.
        closed: bool,
    },
    /// A topic's name is longer than [`Limits::topic_name`](crate::limits::Limits::topic_name). The
    /// message was sent to nobody. 400, or 1008 where a WebSocket's handler returns it: mostly it is the
    /// client that named the topic.
    TopicName {
        /// Bytes of the name.
        bytes: usize,
        /// Most bytes of a name.
        most: usize,
    },
    /// The route's pattern has no parameter of this name.
    Parameter(String),
    /// A session token was not signed with one of the keys, or is no token. 400.
    Token,
    /// A session key is shorter than 20 bytes, or there is none.
    Key,
    /// The system's source of random numbers failed, so no session could be made.
    Entropy(io::Error),
    /// A setting is not valid: a route pattern, the cookie's name, or a relay that comes too late or
    /// finds no session keys.
    Setting(String),
    /// The address could not be listened on.
    Bind {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// A socket or another file failed.
    Io(io::Error),
    /// An error of the application.
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Returns an error of the application, from any error or text.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Other(error.into())
    }

    /// Returns the status code that an HTTP client is told.
    pub fn status(&self) -> u16 {
        match self {
            Error::Head(error) => error.status(),
            Error::Chunked(error) => error.status(),
            Error::Refusal(refusal) => refusal.status(),
            Error::Token | Error::TopicName { .. } => 400,
            _ => 500,
        }
    }

    /// Returns the close code that a WebSocket client is told.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Error::Violation(violation) => violation.close_code(),
            Error::TopicName { .. } => CloseCode::POLICY_VIOLATION,
            _ => CloseCode::INTERNAL_ERROR,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Head(error) => error.fmt(out),
            Error::Chunked(error) => error.fmt(out),
            Error::Refusal(refusal) => refusal.fmt(out),
            Error::Violation(violation) => write!(out, "the client sent {}", violation),
            Error::Close(error) => write!(out, "cannot send {}", error),
            Error::Response(error) => error.fmt(out),
            Error::Full { peer, waiting, closed } => {
                let end = if *closed { "it was cut off" } else { "the message was dropped" };
                write!(out, "{} does not read: {} bytes wait for it; {}", peer, waiting, end)
            }
            Error::TopicName { bytes, most } => {
                write!(out, "the topic's name has {} bytes, more than {}", bytes, most)
            }
            Error::Parameter(name) => write!(out, "the route has no parameter {:?}", name),
            Error::Token => out.write_str("the session token was not signed here"),
            Error::Key => out.write_str("a session key has at least 20 bytes"),
            Error::Entropy(error) => write!(out, "no random numbers for sessions: {}", error),
            Error::Setting(what) => out.write_str(what),
            Error::Bind { address, source } => {
                write!(out, "cannot listen on {}: {}", address, source)
            }
            Error::Io(error) => error.fmt(out),
            Error::Other(error) => error.fmt(out),
        }
    }
}

/// The same text as `Display`: `main` prints this one when it returns an error.
impl fmt::Debug for Error {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Entropy(error) | Error::Io(error) | Error::Bind { source: error, .. } => {
                Some(error)
            }
            Error::Other(error) => error.source(),
            _ => None,
        }
    }
}

macro_rules! wraps {
    ($($variant:ident($error:ty),)*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Error {
                Error::$variant(error)
            }
        }
    )*};
}

wraps! {
    Head(HeadError),
    Chunked(ChunkedError),
    Refusal(Refusal),
    Violation(Violation),
    Close(CloseError),
    Response(ResponseError),
    Io(io::Error),
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl From<&str> for Error {
    fn from(text: &str) -> Error {
        Error::other(text)
    }
}

impl From<String> for Error {
    fn from(text: String) -> Error {
        Error::other(text)
    }
}
