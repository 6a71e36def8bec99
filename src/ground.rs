//! What all other rooms rely on: the limits, the log, the differences between operating systems,
//! and the name of a peer. Nothing here knows HTTP, WebSockets, or connections.
//!
//! In reading order: `limits`, `log`, `system`, `logger`, `peer`.

pub mod limits;
#[cfg(not(feature = "log"))]
pub mod log;
pub(crate) mod system;
pub(crate) mod logger;
pub(crate) mod peer;
