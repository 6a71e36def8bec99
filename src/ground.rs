//! The ground that everything stands on: every bound with its reason, log lines, and what differs between
//! systems. Nothing here knows HTTP, WebSockets or who is connected.
//!
//! The files are listed in the order in which they may name each other.

pub mod limits;
#[cfg(not(feature = "log"))]
pub mod log;
pub(crate) mod logger;
pub(crate) mod system;
