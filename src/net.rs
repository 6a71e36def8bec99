//! What a connection needs of the system, and how a message is written: frames are appended to the
//! outbox of a client, and one thread at a time writes them. Nothing here calls a handler.
//!
//! The files are listed in the order in which they may name each other. Public is only [`Peer`],
//! which every room names.

pub(crate) mod stream;
pub(crate) mod memory;
pub(crate) mod reader;
pub(crate) mod timer;
pub(crate) mod queue;
pub(crate) mod outbox;
pub(crate) mod waits;
pub(crate) mod batch;

pub use crate::ground::peer::Peer;
