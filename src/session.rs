//! The identity of a client. Turns a request's cookie into a session, and a session into a cookie;
//! a login that has ended stays ended. Nothing here knows which clients are connected.
//!
//! The files are listed in the order in which they may name each other.

pub(crate) mod keys;
pub(crate) mod id;
pub(crate) mod cookie;
pub(crate) mod revoked;
