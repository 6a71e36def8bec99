//! The codecs, from bytes to values and back, without a socket: a file for each codec file, whose
//! tables are literal bytes with what they mean beside them.
//!
//! A row of bytes that are refused ends with the byte that decides it: up to there nothing is
//! wrong, and what follows changes nothing. So each row says when an error comes, and the same
//! bytes must get the same answer however the network cuts them (see `cuts`).

#![forbid(unsafe_code)]

mod chunked;
mod close;
mod cookie;
mod cuts;
mod envelope;
mod error;
mod frame;
mod handshake;
mod head;
mod headers;
mod keys;
mod limits;
mod message;
mod origin;
mod random;
mod response;
mod secrets;
mod session;
mod target;
mod utf8;
