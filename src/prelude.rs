//! What most files of an application need: `use sockling::prelude::*;`.

#[cfg(feature = "macros")]
pub use crate::macros;

pub use crate::comms::Comms;
pub use crate::controller::{Controller, WebsocketController};
pub use crate::error::Error;
pub use crate::http::{Handler, Method, Request, Response, Server};
pub use crate::keys::SessionKeys;
pub use crate::log;
pub use crate::route;
pub use crate::session::SessionId;
pub use crate::websocket::{CloseCode, CloseFrame, Message};
