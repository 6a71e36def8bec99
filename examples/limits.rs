//! Small limits, and what a client sees when it goes beyond them.
//!
//! Try it: `cargo run --example limits`, open the address that it prints, and press the buttons. By
//! hand, a frame that never becomes whole is told 1008 after two seconds (`88 .. 03 f0` at the end):
//!
//! ```text
//! (printf 'GET /websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
//!  printf 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\201\205'
//!  sleep 4) | nc localhost 8000 | xxd
//! ```

use sockling::limits::Limits;
use sockling::prelude::*;
use std::time::Duration;

#[derive(Default, macros::WebsocketController)]
struct Echo;

impl WebsocketController for Echo {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        if message.as_text() == Some("fail") {
            return Err("asked to fail".into()); // 1011
        }
        Comms::websocket(client).send(message).map(drop)
    }
}

fn main() -> Result<(), Error> {
    let limits = Limits {
        request_line: 200,                       // 414
        body: 100,                               // 413
        message: 100,                            // 1009
        fragments: 4,                            // 1008
        message_timeout: Duration::from_secs(2), // 1008
        head_timeout: Duration::from_secs(2),    // 408
        connections_per_session: 2,              // 429
        connections: 20,                         // 503
        ..Limits::default()
    };
    let page = |_: &Request| Ok(Response::new().html(include_str!("pages/limits.html")));
    let routes = vec![route!("/websocket" => Echo), Handler::new("/", page)];
    Server::new(routes).limits(limits).launch()
}
