//! What all other rooms rely on: the limits, the log, the differences between operating systems,
//! and the name of a peer. Nothing here knows HTTP, WebSockets, or connections.
//!
//! In reading order: `limits`, `system`, `log`, `logger`, `peer`.

pub mod limits;
pub(crate) mod system;
#[cfg(not(feature = "log"))]
pub mod log;
pub(crate) mod logger;
pub(crate) mod peer;
