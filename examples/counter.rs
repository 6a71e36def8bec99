//! The state of one connection is a local variable, and the request can be looked at before the
//! WebSocket opens.
//!
//! Try it: `cargo run --example counter`, then open `/` of the address that it prints and type in
//! the browser's console:
//! `s = new WebSocket("ws://" + location.host + "/count?from=7"); s.onmessage = e => console.log(e.data)`,
//! then `s.send("")` a few times.

use sockling::prelude::*;

/// Answers each message with the next number. Only a client that says where to begin gets a
/// WebSocket.
fn count(request: &Request) -> Result<Response, Error> {
    let from = request.query("from").and_then(|from| from.parse().ok());
    let mut number: i64 = from.ok_or_else(|| Response::bad_request().text("say ?from=NUMBER\n"))?;
    request.upgrade(&[], |client| {
        while client.receive()?.is_some() {
            // To this connection, and not to all tabs of its browser.
            client.send(number.to_string())?;
            number = number.wrapping_add(1);
        }
        Ok(())
    })
}

fn main() -> Result<(), Error> {
    let page = |_: &Request| Ok(Response::new().text("open the console\n"));
    Server::new(vec![Handler::new("/count", count), Handler::new("/", page)]).launch()
}
