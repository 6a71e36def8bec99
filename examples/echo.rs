//! A WebSocket controller that sends every message back to who sent it.
//!
//! Try it: `cargo run --example echo`, then open the address that it prints.

use sockling::http::{self, Server};
use sockling::prelude::*;

#[derive(Default, macros::WebsocketController)]
struct Echo;

impl WebsocketController for Echo {
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        log::info!("Client {:?} connected to the echo server", client);
        Ok(())
    }

    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        let comms = Comms::websocket(client);
        comms.send(message)?;
        Ok(())
    }
}

fn main() -> Result<(), http::Error> {
    let page = |_: &Request| Ok(Response::new().html(include_str!("pages/echo.html")));
    Server::new(vec![route!("/websocket" => Echo), Handler::new("/", page)]).launch()
}
