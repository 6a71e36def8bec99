//! A WebSocket controller that sends every message back, over TLS:
//! `cargo run --example tls_echo CHAIN KEY`, with the names of two PEM files.

use sockling::net::Tcp;
use sockling::prelude::*;
use sockling_tls::Tls;
use std::env;

struct Echo;

impl WebsocketController for Echo {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        Comms::websocket(client).send(message)?;
        Ok(())
    }
}

impl Controller for Echo {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

fn main() -> Result<(), Error> {
    let files: Vec<String> = env::args().skip(1).collect();
    let (chain, key) = match &files[..] {
        [chain, key] => (chain, key),
        _ => return Err("say CHAIN KEY, the names of two PEM files".into()),
    };
    let address = env::var("SOCKLING_ADDR").unwrap_or_else(|_| "127.0.0.1:8443".to_string());
    let tls = Tls::from_pem(Tcp::bind(&*address)?, chain, key)?;
    let page =
        |_: &Request| Ok(Response::new().html(include_str!("../../../examples/pages/echo.html")));
    let routes = vec![Handler::new("/websocket", Echo), Handler::new("/", page)];
    Server::new(routes).listen(tls)?.serve()
}
