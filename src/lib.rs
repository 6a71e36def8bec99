//! A tiny, blocking HTTP/1.1 and WebSocket server: a thread per connection, and any thread can
//! send to any client.
//!
//! In scope: HTTP/1.1 requests and responses, WebSockets (RFC 6455), sessions in a signed cookie,
//! and [`Comms`], which sends to a session from anywhere. Out of scope: TLS, HTTP/2, compression,
//! clients, and everything that a web framework adds.
//!
//! ```no_run
//! use sockling::prelude::*;
//!
//! struct Shout;
//!
//! impl WebsocketController for Shout {
//!     fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
//!         Comms::websocket(client).send(message.as_text().unwrap_or("?").to_uppercase())?;
//!         Ok(())
//!     }
//! }
//!
//! impl Controller for Shout {
//!     fn handle(&self, request: &Request) -> Result<Response, Error> {
//!         WebsocketController::handle(self, request)
//!     }
//! }
//!
//! fn main() -> Result<(), Error> {
//!     Server::new(vec![Handler::new("/websocket", Shout)]).launch()
//! }
//! ```
//!
//! With the feature `macros`, on by default, a derive writes the `Controller`.
//!
//! # Where to begin
//!
//! [`prelude`] has what most files need; [`controller`] the two traits; [`http::Server`] the
//! settings; [`limits::Limits`] every bound with its reason; [`guide::sending`] topics, presence and
//! slow clients; [`guide::beyond_one_host`] several processes; [`guide::reliability`] what is promised
//! when things go wrong. The codecs are public functions over bytes: [`http::Head::parse`],
//! [`http::Chunked`], [`websocket::FrameHeader`], [`websocket::Assembler`]. From a section of an RFC to
//! its function and its test: [`guide::map`].
//!
//! # The tour: from bytes to handler
//!
//! The source is a house of eight rooms, each a folder with a front file beside it that says what the
//! room is for. A file names only files of rooms above its own in this list, and of its own room only
//! those before it, so the source can be read from top to bottom; a test holds that.
//!
//! ```text
//! ground/     limits log system logger
//! http/       headers target head origin chunked cookie response forwarded
//! websocket/  close frame message handshake
//!             error
//! session/    keys id cookie revoked
//! net/        stream reader timer queue outbox waits batch
//! relay/      channel envelope adapter
//! comms/      mailbox process topics interests stats registry dispatch inbound receiver topic
//!             websocket broadcast handles
//! server/     connections request pace conversation controller route connection acceptor launch
//! ```
//!
//! One client connects, opens a WebSocket, sends `Hello` and gets it back. These are its bytes and
//! the functions that they pass.
//!
//! 1. *A thread waits in `accept`.* `Acceptor::accept_and_serve` in `server/acceptor.rs` takes the
//!    connection, starts another thread there if it was the last one, and asks
//!    `Connections::admit` (`server/connections.rs`) whether there is room. Then the thread is this connection's.
//! 2. *Bytes.* `Connection::read_head` in `server/connection.rs` reads through `Socket::fill`
//!    (`net/reader.rs`), which knows the deadline of the whole head.
//!
//!    ```text
//!    GET /websocket HTTP/1.1           Upgrade: websocket
//!    Host: localhost                   Connection: Upgrade
//!    Sec-WebSocket-Version: 13         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
//!    ```
//! 3. *Bytes to a head.* `HeadParser::advance` (`http/head.rs`) judges each byte once, whatever the
//!    pieces; `decode_path` (`http/target.rs`) takes the path, `Headers::push_line`
//!    (`http/headers.rs`) each field. `check_host` looks whether the Host is one of ours; there is no
//!    body to read.
//! 4. *Head to request.* `Connection::next_request` packs head, body and the socket itself into a
//!    [`http::Request`] (`server/request.rs`), `Router::find` (`server/route.rs`) picks the controller, and
//!    [`Controller::handle`](controller::Controller::handle) is called.
//! 5. *Request to 101.* [`WebsocketController::handle`](controller::WebsocketController::handle)
//!    calls `open` in `server/conversation.rs`. `accept` (`websocket/handshake.rs`) checks version,
//!    key and origin; `Request::session` finds the cookie's session or draws a new one
//!    (`session/cookie.rs`, `session/keys.rs`). Now the socket is taken out of the request.
//!
//!    ```text
//!    HTTP/1.1 101 Switching Protocols  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
//!    Upgrade: websocket                Set-Cookie: sockling_session=v2.g...
//!    Connection: Upgrade               Date: ...
//!    ```
//! 6. *The 101 leaves.* It is put into a new `Outbox` (`net/outbox.rs`), `registry::join` writes the
//!    outbox into the session map (`comms/registry.rs`), `Slot::upgrade` shows it to a shutdown
//!    (`server/connections.rs`), `Outbox::open` (`net/outbox.rs`) writes it to the socket. From here any thread
//!    can reach the client. `handle_connection` is called.
//! 7. *Bytes to a frame.* `Conversation::read` waits, and pings when the client is silent. The
//!    frame `81 85 37 fa 21 3d 7f 9f 4d 51 58` comes. `FrameHeader::parse` (`websocket/frame.rs`)
//!    reads: final, text, masked, 5 bytes, key `37 fa 21 3d`.
//! 8. *Frame to message.* [`Assembler::read`](websocket::Assembler::read) (`websocket/message.rs`)
//!    has `Assembler::take` unmask each piece with `apply_mask`, checks the UTF-8, joins fragments:
//!    `Message::Text("Hello")`. The application's `handle_message` is called.
//! 9. *Message to bytes.* `Websocket::send` (`comms/websocket.rs`) calls `dispatch::send`
//!    (`comms/dispatch.rs`), which looks up the outboxes of the session, makes one frame, `81 05 48 65 6c 6c 6f`, and `deliver_all` (`net/batch.rs`)
//!    gives it to each: written at once, or, when the client's next frame is already there, at the
//!    end of the batch, which the clock does not let take longer than 10 ms. One thread at
//!    a time has the role of writing, which `Outbox::send` (`net/outbox.rs`) takes or leaves.
//! 10. *The end.* The client sends `88 82 ..`; `Conversation::run` takes the client off the map,
//!     `close_connection` answers with its code and lets it read that, and `handle_disconnection` is
//!     called. The thread accepts again, or ends when enough others do.
//!
//! The same, run:
//!
//! ```
//! use sockling::prelude::*;
//! use std::io::{Read, Write};
//!
//! struct Echo;
//!
//! impl WebsocketController for Echo {
//!     fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
//!         Comms::websocket(client).send(message)?;
//!         Ok(())
//!     }
//! }
//!
//! impl Controller for Echo {
//!     fn handle(&self, request: &Request) -> Result<Response, Error> {
//!         WebsocketController::handle(self, request)
//!     }
//! }
//!
//! let listening = Server::new(vec![Handler::new("/websocket", Echo)]).bind("127.0.0.1:0")?;
//! let (address, handle) = (listening.address(), listening.handle());
//! std::thread::spawn(move || listening.serve());
//!
//! let mut client = std::net::TcpStream::connect(address)?;
//! client.write_all(
//!     b"GET /websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
//!       Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
//!       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
//! )?;
//! let mut head = Vec::new();
//! while !head.ends_with(b"\r\n\r\n") {
//!     let mut byte = [0];
//!     client.read_exact(&mut byte)?;
//!     head.push(byte[0]);
//! }
//! let head = String::from_utf8_lossy(&head).into_owned();
//! assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
//! assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
//!
//! client.write_all(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")?;
//! let mut frame = [0; 7];
//! client.read_exact(&mut frame)?;
//! assert_eq!(&frame, b"\x81\x05Hello");
//!
//! client.write_all(b"\x88\x82\0\0\0\0\x03\xe8")?;
//! let mut rest = Vec::new();
//! client.read_to_end(&mut rest)?;
//! assert_eq!(rest, b"\x88\x02\x03\xe8");
//! drop(client);
//! handle.shutdown();
//! # Ok::<(), Error>(())
//! ```
//!
//! # Connection, thread, map, outbox
//!
//! ```text
//!   socket A ◀──reads── thread A ──calls──▶ controller ──▶ Comms::websocket(id).send(..)
//!      ▲                                                            │ looks up, clones
//!      │ writes, one thread at a time          registry: id ──▶ [ outbox A, outbox B ]
//!   outbox A ◀──────────────────────────────────────────────────────┘
//! ```
//!
//! A sender takes two locks, one after the other: the registry's to look up and clone, an outbox's
//! to append and take. Neither is held while anything is written or a handler runs.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
// No input and no state may end a thread from here; `expect` states a proof.
#![warn(clippy::unwrap_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![warn(clippy::unreachable)]

mod ground;

#[cfg(feature = "log")]
pub use ::log;
pub use ground::limits;
#[cfg(not(feature = "log"))]
pub use ground::log;

/// HTTP/1.1 (RFC 9110, RFC 9112): from bytes to requests, from responses to bytes, and the server.
pub mod http {
    pub(crate) mod headers;
    pub(crate) mod target;
    pub(crate) mod head;
    pub(crate) mod origin;
    pub(crate) mod chunked;
    pub(crate) mod cookie;
    pub(crate) mod response;
    pub(crate) mod forwarded;

    pub use self::chunked::{Chunked, ChunkedError};
    pub use self::cookie::cookies;
    pub use self::head::{BodyLength, Head, HeadError, Method};
    pub use self::headers::Headers;
    pub use self::response::{Response, ResponseError};
    pub use crate::error::Error;
    pub use crate::server::launch::{Listening, Server, ServerHandle, Stuck};
    pub use crate::server::request::Request;
    pub use crate::server::route::Handler;
    pub use crate::session::keys::hmac_sha1;
}

/// WebSocket (RFC 6455): from bytes to frames to messages, and back.
pub mod websocket {
    pub(crate) mod close;
    pub(crate) mod frame;
    pub(crate) mod message;
    pub(crate) mod handshake;

    pub use self::close::{CloseCode, CloseError, CloseFrame};
    pub use self::frame::{apply_mask, FrameError, FrameHeader, OpCode};
    pub use self::handshake::{accept_key, Refusal};
    pub use self::message::{Assembler, Message, Received, Violation};
}

mod error;

mod session;

mod net;

pub mod relay;

mod comms;

mod server;

pub mod prelude;

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[allow(clippy::unwrap_used, clippy::panic)]
#[path = "../tests/inside/mod.rs"]
pub mod inside;

pub use comms::broadcast::Broadcast;
pub use comms::handles::Comms;
pub use comms::receiver::Receiver;
pub use comms::stats::Stats;
pub use comms::topic::Topic;
pub use comms::websocket::Websocket;
pub use error::Error;
pub use server::controller;
pub use session::id::{GuestId, SessionId};
pub use session::keys::SessionKeys;

/// Longer pages.
pub mod guide {
    #[doc = include_str!("guide/beyond_one_host.md")]
    pub mod beyond_one_host {}

    #[doc = include_str!("guide/map.md")]
    pub mod map {}

    #[doc = include_str!("guide/reliability.md")]
    pub mod reliability {}

    #[doc = include_str!("guide/sending.md")]
    pub mod sending {}

    #[doc = include_str!("guide/small_host.md")]
    pub mod small_host {}
}

/// The derive: `#[derive(macros::WebsocketController)]`.
///
/// ```
/// use sockling::prelude::*;
///
/// /// Takes messages and answers none.
/// #[derive(Default, macros::WebsocketController)]
/// pub(crate) struct Quiet {
///     pub answers: Vec<String>,
/// }
///
/// impl WebsocketController for Quiet {}
///
/// assert_eq!(Controller::handle(&Quiet::default(), &Request::get("/"))?.status(), 426);
/// # Ok::<(), Error>(())
/// ```
///
/// A type with generics is refused with the lines to write instead:
///
/// ```compile_fail
/// use sockling::prelude::*;
///
/// #[derive(macros::WebsocketController)]
/// struct Either<T>(T);
///
/// impl<T: Send + Sync> WebsocketController for Either<T> {}
/// ```
#[cfg(feature = "macros")]
pub mod macros {
    pub use sockling_macros::WebsocketController;
}

/// The README's code, compiled and run.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../README.md")]
pub struct Readme;
