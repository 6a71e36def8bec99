//! What the derive writes, written by hand, and what that is good for: the request can be looked
//! at before the WebSocket opens, and a controller made for the call is the state of one
//! connection.
//!
//! Try it: `cargo run --example by_hand`, then open `/` of the address that it prints and type in
//! the browser's console:
//! `s = new WebSocket("ws://" + location.host + "/count?from=7"); s.onmessage = e => console.log(e.data)`,
//! then `s.send("")` a few times.

use sockling::prelude::*;
use std::sync::atomic::{AtomicI64, Ordering};

/// Answers each message with the next number. One for each connection.
struct Counter {
    next: AtomicI64,
}

impl WebsocketController for Counter {
    fn handle_message(&self, _: &SessionId, _: Message) -> Result<(), Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // To this connection, and not to all tabs of its browser.
        Comms::here().ok_or("no connection")?.send(number.to_string())?;
        Ok(())
    }
}

impl Controller for Counter {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

/// Opens the WebSocket only for who says where to begin.
fn count(request: &Request) -> Result<Response, Error> {
    match request.query("from").and_then(|from| from.parse().ok()) {
        Some(from) => Controller::handle(&Counter { next: AtomicI64::new(from) }, request),
        None => Ok(Response::bad_request().text("say ?from=NUMBER\n")),
    }
}

fn main() -> Result<(), Error> {
    let page = |_: &Request| Ok(Response::new().text("open the console\n"));
    Server::new(vec![Handler::new("/count", count), Handler::new("/", page)]).launch()
}
