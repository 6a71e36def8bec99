//! The names that most files of an application need: `use sockling::prelude::*;`.

#[cfg(feature = "macros")]
pub use crate::macros;

pub use crate::comms::global::Comms;
pub use crate::error::Error;
pub use crate::http::{Handler, Method, Request, Response, Server};
pub use crate::log;
pub use crate::route;
pub use crate::server::controller::{Controller, WebsocketController};
pub use crate::server::conversation::{Connection, Next};
pub use crate::session::id::SessionId;
pub use crate::session::keys::SessionKeys;
pub use crate::websocket::{CloseCode, CloseFrame, Message};
