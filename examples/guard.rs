//! A guard before the WebSocket opens: a controller around another one asks for a token, and pages of
//! other sites are refused unless they are on a list.
//!
//! Try it: `cargo run --example guard`, then open `/?token=open-sesame` of the address that it prints,
//! and `/`, whose WebSocket does not open. `curl -i localhost:8000/websocket` shows the 401.

use sockling::http::hmac_sha1;
use sockling::prelude::*;
use std::env;

#[derive(Default, macros::WebsocketController)]
struct Echo;

impl WebsocketController for Echo {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        Comms::websocket(client).send(message).map(drop)
    }
}

/// Lets in who has the token. A page's script can set no field of the request that opens a
/// WebSocket, so the token may stand in the query too; there it may land in a proxy's log.
struct Guard<C> {
    token: String,
    inside: C,
}

impl<C: Controller> Controller for Guard<C> {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        let field = request.header("Authorization").and_then(|field| field.strip_prefix("Bearer "));
        let given = field.map(str::to_string).or_else(|| request.query("token"));
        // Signatures are compared, so that the time it takes tells nothing of the token.
        let sign = |token: &str| hmac_sha1(self.token.as_bytes(), token.as_bytes());
        match given {
            Some(given) if sign(&given) == sign(&self.token) => self.inside.handle(request),
            _ => Ok(Response::unauthorized().header("WWW-Authenticate", "Bearer")),
        }
    }
}

fn main() -> Result<(), Error> {
    let token = env::var("GUARD_TOKEN").unwrap_or_else(|_| "open-sesame".to_string());
    let page = |_: &Request| Ok(Response::new().html(include_str!("pages/echo.html")));
    let routes =
        vec![Handler::new("/websocket", Guard { token, inside: Echo }), Handler::new("/", page)];
    Server::new(routes).allowed_origins(["https://example.com"]).launch()
}
