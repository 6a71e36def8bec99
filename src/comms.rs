//! Which clients are connected, and sending to them from anywhere: turns a session into its open
//! WebSockets, and a topic into its members. Nothing here reads a socket or calls a handler.
//!
//! The files are listed in the order in which they may name each other.

pub(crate) mod mailbox;
pub(crate) mod process;
pub(crate) mod topics;
pub(crate) mod interests;
pub(crate) mod stats;
pub(crate) mod registry;
pub(crate) mod dispatch;
pub(crate) mod inbound;
pub(crate) mod global;
pub(crate) mod receiver;
pub(crate) mod websocket;
pub(crate) mod topic;
pub(crate) mod broadcast;
