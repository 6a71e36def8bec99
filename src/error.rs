//! The error type of the library, which turns an error into the status or the close code that the
//! client receives.
//!
//! Each codec has a small error type of its own, which this one wraps. An error never contains the
//! content of a client's message.

use crate::ground::peer::Peer;
use crate::ground::system::contained;
use crate::http::body::BodyError;
use crate::http::chunked::ChunkedError;
use crate::http::head::HeadError;
use crate::http::response::{Response, ResponseError};
use crate::websocket::close::{CloseCode, CloseError, CloseFrame};
use crate::websocket::handshake::Refusal;
use crate::websocket::message::Violation;
use std::fmt::{self, Write};
use std::io;

/// An error of the library or of a handler. `sockling::Error`, the prelude's `Error` and `http::Error`
/// are one type.
///
/// In a handler, `?` converts I/O errors and strings; [`Error::other`] converts all others.
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
    /// The client sent an invalid request head.
    Head(HeadError),
    /// The client sent an invalid chunked body.
    Chunked(ChunkedError),
    /// The body of the request cannot be read. In a handler, `?` makes it of the I/O errors of a
    /// [`BodyReader`](crate::http::BodyReader).
    Body(BodyError),
    /// The client asked for a WebSocket, and the server refused it.
    Refusal(Refusal),
    /// The client violated the WebSocket protocol or a limit.
    Violation(Violation),
    /// The application tried to send an invalid Close frame.
    Close(CloseError),
    /// The application returned a response that must not be sent.
    Response(ResponseError),
    /// No receiver took the message, because the client does not read.
    Full {
        /// The client, or one of them if there are several.
        peer: Peer,
        /// The number of bytes that were waiting for the client when the message was refused.
        waiting: usize,
        /// Whether the client was cut off.
        closed: bool,
    },
    /// A topic's name is longer than [`Limits::topic_name`](crate::limits::Limits::topic_name), so
    /// the message was not sent. The client receives 400 or 1008, since in most applications it is
    /// the client that names the topic.
    TopicName {
        /// The length of the name, in bytes.
        bytes: usize,
        /// The longest name that is allowed, in bytes.
        most: usize,
    },
    /// A response that a handler returns as an error, for `?`: the client receives it as if the
    /// handler had returned it as `Ok`. A status of 500 or more is logged and sets no session cookie.
    /// In a WebSocket's conversation, it closes with 1011, and any other one with 1008.
    Answer(Box<Response>),
    /// A Close frame that a WebSocket's conversation returns as an error: it closes with that, or
    /// with 1011 if the code must not be sent (RFC 6455, 7.4.1). From an HTTP handler, 500.
    Closed(CloseFrame),
    /// The connection to which a message was sent has ended. Returned from the conversation over that
    /// connection, it closes nothing and is not logged. Where the connection is open, it is an error
    /// like any other.
    Gone,
    /// The route's pattern has no parameter with this name.
    Parameter(String),
    /// A text is not a session token, or none of the keys signed it. 400.
    Token,
    /// There is no session key, or one is shorter than 20 bytes.
    Key,
    /// The system's source of random numbers failed, so no session could be created.
    Entropy(io::Error),
    /// A setting is invalid: a route's pattern, a route that an earlier one hides, the cookie's name,
    /// or a relay that was set too late or without session keys.
    Setting(String),
    /// The server could not listen on an address.
    Bind {
        /// The address.
        address: String,
        /// The system's error.
        source: io::Error,
    },
    /// A socket or a file failed.
    Io(io::Error),
    /// An error of the application.
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Converts any error or string into an error of the application.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Other(error.into())
    }

    /// Returns the status code that the client of a request receives.
    pub fn status(&self) -> u16 {
        match self {
            Error::Head(error) => error.status(),
            Error::Chunked(error) => error.status(),
            Error::Body(error) => error.status(),
            Error::Refusal(refusal) => refusal.status(),
            Error::Answer(response) => response.status(),
            Error::Token | Error::TopicName { .. } => 400,
            _ => 500,
        }
    }

    /// Returns the text and drops the error. Both may run the application's code, which may fail or
    /// panic: then the text says so.
    #[inline(never)]
    pub(crate) fn into_text(self) -> String {
        let mut text = String::new();
        let shown = contained(|| write!(text, "{}", self).is_ok());
        // Apart from that: a panic while another one unwinds would abort the process.
        let dropped = contained(|| drop(self));
        if (shown, dropped) != (Some(true), Some(())) {
            text.push_str(" (the error itself has failed)");
        }
        text
    }

    /// Returns the Close frame that the client of a WebSocket receives.
    pub(crate) fn close_frame(&self) -> CloseFrame {
        // The fields of a Close frame are public, so it may be one that must not be sent.
        let own = match self {
            Error::Closed(close) => CloseFrame::new(close.code, &close.reason).ok(),
            _ => None,
        };
        own.unwrap_or(CloseFrame { code: self.close_code(), reason: String::new() })
    }

    /// Returns the close code that the client of a WebSocket receives.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Error::Violation(violation) => violation.close_code(),
            Error::Closed(close) if close.code.is_sendable() => close.code,
            Error::Answer(response) if response.status() < 500 => CloseCode::POLICY_VIOLATION,
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
            Error::Body(error) => error.fmt(out),
            Error::Refusal(refusal) => refusal.fmt(out),
            Error::Violation(violation) => write!(out, "the client sent {}", violation),
            Error::Close(error) => write!(out, "cannot send {}", error),
            Error::Response(error) => error.fmt(out),
            Error::Full { peer, waiting, closed } => {
                let end = if *closed { "it was cut off" } else { "the message was dropped" };
                write!(out, "{} does not read and has {} bytes waiting; {}", peer, waiting, end)
            }
            Error::TopicName { bytes, most } => {
                write!(out, "the topic name has {} bytes, more than the limit of {}", bytes, most)
            }
            Error::Answer(response) => write!(out, "the answer is {}", response.status()),
            Error::Closed(close) => {
                write!(out, "the handler closes with {}: {:?}", close.code, close.reason)
            }
            Error::Gone => out.write_str("the connection has ended"),
            Error::Parameter(name) => write!(out, "the route has no parameter {:?}", name),
            Error::Token => {
                out.write_str("the session token is invalid or signed with another key")
            }
            Error::Key => out.write_str("a session key of at least 20 bytes is required"),
            Error::Entropy(error) => {
                write!(out, "cannot get random numbers for sessions: {}", error)
            }
            Error::Setting(text) => out.write_str(text),
            Error::Bind { address, source } => {
                write!(out, "cannot listen on {}: {}", address, source)
            }
            Error::Io(error) => error.fmt(out),
            Error::Other(error) => error.fmt(out),
        }
    }
}

/// Shows the same text as `Display`, because `main` prints the `Debug` form of an error it returns.
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
    Body(BodyError),
    Refusal(Refusal),
    Violation(Violation),
    Close(CloseError),
    Response(ResponseError),
    Other(Box<dyn std::error::Error + Send + Sync>),
}

/// An error of reading a request's body becomes [`Error::Body`], and keeps its status.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<BodyError>());
        inner.copied().map_or_else(|| Error::Io(error), Error::Body)
    }
}

/// So that `?` can answer: see [`Error::Answer`].
///
/// ```
/// use sockling::prelude::*;
///
/// fn find(number: &str) -> Option<&'static str> {
///     (number == "7").then_some("seven")
/// }
///
/// fn room(request: &Request) -> Result<Response, Error> {
///     let room = find(request.parameter("room")?).ok_or_else(Response::not_found)?;
///     Ok(Response::new().text(room))
/// }
/// assert_eq!(room(&Request::get("/").with_parameter("room", "8")).unwrap_err().status(), 404);
/// assert_eq!(room(&Request::get("/").with_parameter("room", "7"))?.content(), b"seven");
/// # Ok::<(), Error>(())
/// ```
impl From<Response> for Error {
    fn from(response: Response) -> Error {
        Error::Answer(Box::new(response))
    }
}

/// So that `?` can close a WebSocket with a code of the application's: see [`Error::Closed`].
///
/// ```
/// use sockling::prelude::*;
///
/// fn number(message: &Message) -> Result<u32, Error> {
///     let wrong = || CloseFrame::new(CloseCode(4000), "not a number");
///     match message.as_text().map(str::parse) {
///         Some(Ok(number)) => Ok(number),
///         _ => Err(wrong()?.into()),
///     }
/// }
/// assert_eq!(number(&"7".into())?, 7);
/// assert_eq!(number(&"x".into()).unwrap_err().close_code(), CloseCode(4000));
/// # Ok::<(), Error>(())
/// ```
impl From<CloseFrame> for Error {
    fn from(close: CloseFrame) -> Error {
        Error::Closed(close)
    }
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
