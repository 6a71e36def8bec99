//! What all other rooms rely on: the limits, the log, and the differences between operating
//! systems. Nothing here knows HTTP, WebSockets, or connections.
//!
//! In reading order: `limits`, `log`, `system`, `logger`.

pub mod limits;
#[cfg(not(feature = "log"))]
pub mod log;
pub(crate) mod system;
pub(crate) mod logger;
