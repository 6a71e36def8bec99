//! Who a client is. A request's cookie becomes a session, and a session a cookie; a login that has ended
//! stays ended. Nothing here knows who is connected.
//!
//! The files are listed in the order in which they may name each other.

pub(crate) mod keys;
pub(crate) mod id;
pub(crate) mod cookie;
pub(crate) mod revoked;
