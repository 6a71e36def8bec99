//! What processes tell each other: the names of channels, envelopes, and the trait of an adapter. Nothing
//! here knows who is connected to this process.
//!
//! The files are listed in the order in which they may name each other.

pub(crate) mod channel;
pub(crate) mod envelope;
pub(crate) mod adapter;

pub use self::adapter::{Gap, Link, Relay};
pub use self::channel::{Bits, SessionName};
pub use self::envelope::{Content, Envelope, EnvelopeError, Target};
