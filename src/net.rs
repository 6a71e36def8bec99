//! What a connection needs of the system, and how a message is written: frames are appended to the
//! outbox of a client, and one thread at a time writes them. Nothing here calls a handler.
//!
//! The files are listed in the order in which they may name each other. Public is the seam to the
//! transports: a [`Listener`] accepts a [`Stream`] from a [`Peer`], which every room names. [`Tcp`]
//! is a listener, and on Unix `Unix`; one of the application's own goes to
//! [`Server::listen`](crate::http::Server::listen).

pub(crate) mod stream;
pub(crate) mod listener;
#[cfg(unix)]
pub(crate) mod unix;
pub(crate) mod memory;
pub(crate) mod conformance;
pub(crate) mod reader;
pub(crate) mod timer;
pub(crate) mod queue;
#[cfg(feature = "deflate")]
pub(crate) mod compressors;
pub(crate) mod outbox;
pub(crate) mod waits;
pub(crate) mod batch;

pub use self::listener::{Listener, Tcp};
pub use self::stream::Stream;
#[cfg(unix)]
pub use self::unix::Unix;
pub use crate::ground::peer::Peer;
