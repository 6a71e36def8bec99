//! A tiny, blocking HTTP/1.1 and WebSocket server: a thread per connection, and any thread can
//! send to any client.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod limits;
#[cfg(not(feature = "log"))]
pub mod log;
#[cfg(feature = "log")]
pub use ::log;

/// HTTP/1.1 (RFC 9110, RFC 9112): from bytes to requests, from responses to bytes, and the server.
pub mod http {
    pub(crate) mod chunked;
    pub(crate) mod cookie;
    pub(crate) mod head;
    pub(crate) mod headers;
    pub(crate) mod request;
    pub(crate) mod response;
    pub(crate) mod target;

    pub use self::chunked::{Chunked, ChunkedError};
    pub use self::cookie::cookies;
    pub use self::head::{BodyLength, Head, HeadError, Method};
    pub use self::headers::Headers;
    pub use self::request::Request;
    pub use self::response::{Response, ResponseError};
    pub use crate::error::Error;
    pub use crate::keys::hmac_sha1;
    pub use crate::router::Handler;
    pub use crate::server::{Listening, Server, ServerHandle, Stuck};
}

/// WebSocket (RFC 6455): from bytes to frames to messages, and back.
pub mod websocket {
    pub(crate) mod close;
    pub(crate) mod conversation;
    pub(crate) mod frame;
    pub(crate) mod handshake;
    pub(crate) mod message;

    pub use self::close::{CloseCode, CloseError, CloseFrame};
    pub use self::frame::{apply_mask, FrameError, FrameHeader, OpCode};
    pub use self::handshake::{accept_key, Refusal};
    pub use self::message::{Assembler, Message, Received, Violation};
}

mod error;

mod clock;
mod delivery;
mod outbox;
mod roster;
mod socket;

mod comms;
mod keys;
mod registry;
mod session;

pub mod controller;
mod router;

mod connection;
mod server;

pub mod prelude;

pub use comms::{Broadcast, Comms, Websocket};
pub use error::Error;
pub use keys::SessionKeys;
pub use session::{GuestId, SessionId};

/// The derive: `#[derive(macros::WebsocketController)]`.
#[cfg(feature = "macros")]
pub mod macros {
    pub use sockling_macros::WebsocketController;
}

/// The README's code, compiled and run.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../README.md")]
pub struct Readme;
