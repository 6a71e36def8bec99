//! The server: it accepts connections, reads their requests, and calls the controllers of their
//! routes, which may turn a connection into a WebSocket's conversation.
//!
//! A thread comes in through `launch` and `acceptor`, asks `connections` for a slot, and reads
//! requests in `connection`, with a body that is `incoming`. `route` finds the `controller`, which
//! gets a `request`; it may read a body that streams with a `body_reader`, and write an answer with a
//! `body_writer`. An upgrade is opened by `upgrade` and runs in `conversation`, at the client's
//! `pace`. `files` is a controller of the library's own. Parsing and framing are the work of the rooms `http` and `websocket`, and sending is that
//! of `comms` and `net`.

pub(crate) mod connections;
pub(crate) mod incoming;
pub(crate) mod request;
#[cfg(feature = "deflate")]
pub(crate) mod deflate;
pub(crate) mod body_reader;
pub(crate) mod body_writer;
pub(crate) mod pace;
pub(crate) mod conversation;
pub(crate) mod upgrade;
pub mod controller;
pub(crate) mod route;
pub(crate) mod connection;
pub(crate) mod acceptor;
pub(crate) mod launch;
pub(crate) mod files;
pub(crate) mod jar;
pub mod testing;
