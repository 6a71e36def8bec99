//! What processes send to each other: the names of channels, envelopes, and the trait of an
//! adapter. Turns messages into bytes for an engine between processes, and back. Nothing here knows
//! which clients are connected.
//!
//! The files are listed in the order in which they may name each other.

pub(crate) mod channel;
pub(crate) mod envelope;
pub(crate) mod adapter;

pub use self::adapter::{Gap, Link, Relay};
pub use self::channel::{Bits, SessionName};
pub use self::envelope::{Content, Envelope, EnvelopeError, Target};
