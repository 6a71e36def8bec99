//! A tiny HTTP/1.1 and WebSocket server library: plain blocking code, and send to anyone from
//! anywhere. One thread serves one connection, and any thread can send to any client.
//!
//! In scope: HTTP/1.1 requests and responses, the files of a directory, WebSockets (RFC 6455),
//! sessions in a signed cookie, and [`Comms`], which sends to a session from any thread. Out of
//! scope: TLS, HTTP/2, clients, compressed answers, and everything else that a web framework adds.
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
//! With the default feature `macros`, a derive macro writes the `Controller`.
//!
//! # Where to begin
//!
//! - [`prelude`] exports what most files of an application need.
//! - [`controller`] holds the two traits that an application implements.
//! - [`http::Server`] has the settings, and [`limits::Limits`] every bound with its reason.
//! - [`testing`] is a browser without sockets, for the tests of an application.
//! - [`guide::sending`] explains topics, presence, and slow clients.
//! - [`guide::bodies`] takes and gives what does not fit into memory.
//! - The page *Compression* of the [`guide`], with the feature `deflate`, says when it helps.
//! - [`guide::beyond_one_host`] connects several processes.
//! - [`guide::writing`] follows a message to the socket, with the states of the write path.
//! - [`guide::reliability`] lists what the server promises when things go wrong.
//! - The codecs are public functions over bytes: [`http::Head::parse`], [`http::Chunked`],
//!   [`websocket::FrameHeader`], and [`websocket::Assembler`].
//! - [`guide::map`] leads from a section of an RFC to its function and its test.
//!
//! # The tour: from bytes to handler
//!
//! The source has eight rooms. Each is a folder, whose front file or module says what the room is
//! for. A file names only files of rooms above its own in this list, and in its own room only files
//! before it, which a test enforces. So the source can be read from top to bottom.
//!
//! ```text
//! ground/     limits system log logger peer
//! http/       headers target head origin chunked body cookie response representation forwarded
//! websocket/  close forms frame deflate inflate message extension handshake
//!             error
//! session/    keys id cookie revoked
//! net/        stream listener unix memory conformance reader timer queue compressors outbox waits batch
//! relay/      channel envelope adapter
//! comms/      mailbox process topics interests stats registry dispatch inbound global receiver
//!             websocket topic broadcast
//! server/     connections incoming request deflate body_reader body_writer pace conversation upgrade
//!             controller route connection acceptor launch files jar testing
//! ```
//!
//! The tour follows one client that connects, opens a WebSocket, sends `Hello`, and gets it back.
//! It names the functions that the bytes pass, each with its file.
//!
//! 1. *Accept.* A thread waits in `Acceptor::accept_and_serve` (`server/acceptor.rs`) and gets the
//!    connection. If no other thread is left waiting, it starts one. Then it asks
//!    `Connections::admit` (`server/connections.rs`) whether there is room, and from now on serves
//!    this connection.
//! 2. *Read.* `Connection::read_head` (`server/connection.rs`) reads through `Socket::fill`
//!    (`net/reader.rs`) with one deadline for the whole head.
//!
//!    ```text
//!    GET /websocket HTTP/1.1           Upgrade: websocket
//!    Host: localhost                   Connection: Upgrade
//!    Sec-WebSocket-Version: 13         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
//!    ```
//! 3. *From bytes to a head.* `HeadParser::advance` (`http/head.rs`) looks at each byte once,
//!    however the network cuts them. `decode_path` (`http/target.rs`) decodes the path, and
//!    `Headers::push_line` (`http/headers.rs`) takes each field line. `Connection::check_host`
//!    (`server/connection.rs`) compares Host with the server's names. There is no body to read.
//! 4. *From a head to a request.* `Connection::next_request` (`server/connection.rs`) puts the
//!    head, the body, and the socket itself into a [`http::Request`]. `Router::find`
//!    (`server/route.rs`) selects the controller, and `Connection::call_handler`
//!    (`server/connection.rs`) calls its [`handle`](controller::Controller::handle).
//! 5. *From a request to the 101.*
//!    [`WebsocketController::handle`](controller::WebsocketController::handle) calls `run`
//!    (`server/upgrade.rs`), as [`Request::upgrade`](http::Request::upgrade) does. `accept`
//!    (`websocket/handshake.rs`) checks the version, the key, and the origin. `Request::session`
//!    (`server/request.rs`) finds the session in the cookie or creates a new one. Then `open`
//!    (`server/upgrade.rs`) takes the socket out of the request.
//!
//!    ```text
//!    HTTP/1.1 101 Switching Protocols  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
//!    Upgrade: websocket                Set-Cookie: sockling_session=v2.g...
//!    Connection: Upgrade               Date: ...
//!    ```
//! 6. *Open.* The 101 is the first content of a new outbox. `join` (`comms/registry.rs`) puts the
//!    outbox into the session map, so that any thread can reach the client from here on.
//!    `Slot::upgrade` (`server/connections.rs`) makes it known to a shutdown, and
//!    `Outbox::open` (`net/outbox.rs`) writes the 101. The application's `handle_connection` runs.
//! 7. *From bytes to a frame.* `Connection::read` (`server/conversation.rs`) waits, and pings a
//!    silent client. The frame `81 85 37 fa 21 3d 7f 9f 4d 51 58` arrives. `FrameHeader::parse`
//!    (`websocket/frame.rs`) reads its header: final, text, masked, 5 bytes, masking key
//!    `37 fa 21 3d`.
//! 8. *From frames to a message.* `Assembler::read` (`websocket/message.rs`) has `Assembler::take`
//!    (`websocket/message.rs`) unmask each piece with `apply_mask` (`websocket/frame.rs`). It
//!    checks the UTF-8, joins fragments, and returns `Message::Text("Hello")`. The application's
//!    `handle_message` runs.
//! 9. *From a message to bytes.* `Comms::websocket` (`comms/websocket.rs`) returns a handle, and
//!    `Websocket::send` (`comms/websocket.rs`) calls `send` (`comms/dispatch.rs`) with the text as
//!    content, the form that a relay could carry too. It looks up the outboxes of the session and
//!    encodes one frame, `81 05 48 65 6c 6c 6f`. `deliver_all` (`net/batch.rs`) hands it to each
//!    outbox. `Outbox::send` (`net/outbox.rs`) writes it at once, or leaves it to the thread that is
//!    writing already. If the client's next frame has arrived by now, `cork` (`net/batch.rs`) holds
//!    the frame back until the end of the batch, or for 10 ms.
//! 10. *Close.* The client sends `88 82 ..`. `Connection::finish` (`server/conversation.rs`)
//!     removes the outbox from the session map, `Connection::close_connection`
//!     (`server/conversation.rs`) answers with the client's code and lets the client read it, and the application's
//!     `handle_disconnection` runs. The thread waits in `accept` again, or ends if enough others
//!     do.
//!
//! The same as a program:
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
//! # Connections, threads, and outboxes
//!
//! ```text
//!   socket A ◀──reads── thread A ──calls──▶ controller ──▶ Comms::websocket(id).send(..)
//!      ▲                                                            │ looks up, clones
//!      │ writes, one thread at a time          registry: id ──▶ [ outbox A, outbox B ]
//!   outbox A ◀──────────────────────────────────────────────────────┘
//! ```
//!
//! A sender takes at most two locks, one after the other: that of the registry to look up and
//! clone, unless it remembers its last look-up, and that of an outbox to append a frame and take
//! bytes to write. No thread holds either of them while it writes or runs a handler.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
// No input and no state may end a thread from here; each `expect` gives the proof that it cannot
// fail.
#![warn(clippy::unwrap_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![warn(clippy::unreachable)]

mod ground;

#[cfg(feature = "log")]
pub use ::log;
pub use ground::limits;
#[cfg(not(feature = "log"))]
pub use ground::log;

/// HTTP/1.1 (RFC 9110, RFC 9112): turns bytes into requests and responses into bytes, and the
/// server.
///
/// The files of this room are functions over bytes, without a socket, a thread, or a clock. They
/// refuse everything that two recipients could read differently. In reading order: `headers`,
/// `target`, `head`, `origin`, `chunked`, `body`, `cookie`, `response`, `representation`,
/// `forwarded`.
pub mod http {
    pub(crate) mod headers;
    pub(crate) mod target;
    pub(crate) mod head;
    pub(crate) mod origin;
    pub(crate) mod chunked;
    pub(crate) mod body;
    pub(crate) mod cookie;
    pub(crate) mod response;
    pub(crate) mod representation;
    pub(crate) mod forwarded;

    pub use self::body::BodyError;
    pub use self::chunked::{Chunked, ChunkedError};
    pub use self::cookie::cookies;
    pub use self::head::{BodyLength, Head, HeadError, Method};
    pub use self::headers::Headers;
    pub use self::response::{Response, ResponseError};
    pub use self::target::Pairs;
    pub use crate::error::Error;
    pub use crate::server::body_reader::BodyReader;
    pub use crate::server::body_writer::BodyWriter;
    pub use crate::server::files::Files;
    pub use crate::server::launch::{Listening, Server, ServerHandle, Stuck};
    pub use crate::server::request::Request;
    pub use crate::server::route::Handler;
    pub use crate::session::keys::hmac_sha1;
}

/// WebSocket (RFC 6455): turns bytes into frames and frames into messages, and back.
///
/// The files of this room are functions over bytes, without a socket, a thread, or a clock. They
/// refuse every frame that a client must not send. In reading order: `close`, `forms`, `frame`,
/// `deflate`, `inflate`, `message`, `extension`, `handshake`.
pub mod websocket {
    pub(crate) mod close;
    pub(crate) mod forms;
    pub(crate) mod frame;
    #[cfg(feature = "deflate")]
    pub(crate) mod deflate;
    #[cfg(feature = "deflate")]
    pub(crate) mod inflate;
    pub(crate) mod message;
    #[cfg(feature = "deflate")]
    pub(crate) mod extension;
    pub(crate) mod handshake;

    pub use self::close::{CloseCode, CloseError, CloseFrame};
    pub use self::frame::{apply_mask, FrameError, FrameHeader, OpCode};
    pub use self::handshake::{accept_key, Refusal};
    pub use self::message::{Assembler, Message, Outgoing, Received, Violation};
    #[cfg(feature = "deflate")]
    pub use crate::server::deflate::Deflate;
}

mod error;

mod session;

pub mod net;

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
pub use comms::global::Comms;
pub use comms::receiver::Receiver;
pub use comms::stats::Stats;
pub use comms::topic::Topic;
pub use comms::websocket::Websocket;
pub use error::Error;
pub use server::controller;
pub use server::conversation::{Connection, Next};
pub use server::testing;
pub use session::id::{GuestId, SessionId};
pub use session::keys::SessionKeys;

/// Pages that explain more than one item.
pub mod guide {
    #[doc = include_str!("guide/beyond_one_host.md")]
    pub mod beyond_one_host {}

    #[doc = include_str!("guide/bodies.md")]
    pub mod bodies {}

    #[cfg(feature = "deflate")]
    #[doc = include_str!("guide/compression.md")]
    pub mod compression {}

    #[doc = include_str!("guide/map.md")]
    pub mod map {}

    #[doc = include_str!("guide/reliability.md")]
    pub mod reliability {}

    #[doc = include_str!("guide/sending.md")]
    pub mod sending {}

    #[doc = include_str!("guide/small_host.md")]
    pub mod small_host {}

    #[doc = include_str!("guide/where_is_my_message.md")]
    pub mod where_is_my_message {}

    #[doc = include_str!("guide/writing.md")]
    pub mod writing {}
}

/// The derive macro, `#[derive(macros::WebsocketController)]`.
///
/// ```
/// use sockling::prelude::*;
///
/// /// Ignores all messages.
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
/// A generic type is a compile error, whose message shows the code to write instead:
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

/// The code of the README, compiled and run as doc tests.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../README.md")]
pub struct Readme;
