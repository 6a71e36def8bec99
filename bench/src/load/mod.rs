//! The clients: all in this thread, in one event loop, so that they take as little as they can of
//! the machine that they share with the server.
//!
//! What is sent is prepared once (`frames`); what comes back is compared byte for byte with what
//! must come, so a reply that is missing, cut, doubled or out of order ends the measurement.

mod connection;
pub mod deflate;
pub mod echo;
pub mod frames;
pub mod idle;
pub mod open;
pub mod requests;
pub mod room;
pub mod stalled;
pub mod storm;
mod wait;

use std::io;
use std::time::{Duration, Instant};

/// A server that says nothing for so long is broken.
const SILENCE: Duration = Duration::from_secs(10);

/// A load that can go on for as long as wanted.
pub trait Load {
    fn run_until(&mut self, end: Instant) -> io::Result<()>;

    /// Returns how much is done so far: replies, deliveries, connections.
    fn done(&self) -> f64;

    /// Returns how much is in flight at a time: all before that is warm-up.
    fn in_flight(&self) -> f64;
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::other(what.into())
}
