//! Tests of the codecs, from bytes to values and back, without a socket. There is one file for each
//! codec, with tables of literal bytes and their meaning.
//!
//! A row that must be refused ends with the byte that decides it: nothing before that byte is
//! invalid, and nothing after it matters. So each row also shows when the error must come, and the
//! result must be the same however the network cuts the bytes (see `cuts`).

#![forbid(unsafe_code)]

mod chunked;
mod close;
mod cookie;
mod cuts;
#[cfg(feature = "deflate")]
mod deflate;
mod envelope;
mod error;
mod frame;
mod handshake;
mod head;
mod headers;
mod keys;
mod limits;
#[path = "../loopback/mod.rs"]
mod loopback;
mod message;
mod origin;
mod random;
mod response;
mod secrets;
mod session;
mod target;
mod utf8;
