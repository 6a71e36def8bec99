//! A server as a small host runs it: bounded for 64 MiB, behind a proxy that speaks TLS, and set by its
//! environment. Tells who asks, and sends WebSocket messages back.
//!
//! Try it: `SERVICE_HOST=localhost cargo run --example service`, then
//! `curl -H 'X-Forwarded-For: 192.0.2.7' localhost:8000`.

use sockling::limits::Limits;
use sockling::prelude::*;
use std::env;

#[derive(Default, macros::WebsocketController)]
struct Echo;

impl WebsocketController for Echo {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        Comms::websocket(client).send(message)?;
        Ok(())
    }
}

fn main() -> Result<(), Error> {
    let who = |request: &Request| Ok(Response::new().text(format!("{}\n", request.peer())));
    let mut server = Server::new(vec![Handler::new("/", who), route!("/websocket" => Echo)])
        .limits(Limits { connections_per_address: 20, ..Limits::small() })
        .trusted_proxy([127, 0, 0, 1])
        .secure_cookies(true);
    // The name in the browsers' address line.
    if let Ok(host) = env::var("SERVICE_HOST") {
        server = server.allowed_hosts([host]);
    }
    // With a key of its own, a restart ends no session.
    if let Ok(key) = env::var("SERVICE_KEY") {
        server = server.session_keys(SessionKeys::new([key])?);
    }
    // Behind a web server of the same machine and group, a path is enough.
    #[cfg(unix)]
    if let Ok(path) = env::var("SERVICE_SOCKET") {
        return server.trusted_unix_proxy().unix_mode(0o660).bind_unix(path)?.serve();
    }
    server.launch()
}
