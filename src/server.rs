//! From an accepted connection to the end of a handler: requests, conversations, controllers, routes, and
//! the start and the end of it all.
//!
//! The files are listed in the order in which they may name each other.

pub(crate) mod acceptor;
pub(crate) mod connection;
pub(crate) mod connections;
pub mod controller;
pub(crate) mod conversation;
pub(crate) mod launch;
pub(crate) mod pace;
pub(crate) mod request;
pub(crate) mod route;
