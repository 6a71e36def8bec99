//! Messages from outside a WebSocket handler: from an HTTP controller, to a session that was
//! stored as a token, and from a background thread.
//!
//! Try it: `cargo run --example push`, open the address that it prints in two tabs, and press the
//! buttons in one.

use sockling::prelude::*;
use std::sync::{Arc, Mutex};
use std::{collections::BTreeSet, thread, time::Duration};

/// Takes sockets and says nothing by itself.
#[derive(Default, macros::WebsocketController)]
struct Inbox;

impl WebsocketController for Inbox {}

/// A route for POST alone, from a page of our own: what has an effect must not happen by following a
/// link, nor because another site's page asks.
fn post(pattern: &str, controller: impl Controller + 'static) -> Handler {
    let checked =
        move |request: &Request| request.check_origin().and_then(|()| controller.handle(request));
    Handler::post(pattern, checked)
}

/// Sends the body to a session and answers with the number of tabs that it went to.
fn push(id: &SessionId, request: &Request) -> Result<Response, Error> {
    let text = String::from_utf8_lossy(request.body()).into_owned();
    let tabs = Comms::websocket(id).send(text)?;
    Ok(Response::new().text(tabs.to_string()))
}

fn main() -> Result<(), Error> {
    let keys = SessionKeys::random()?;
    let stored = Arc::new(Mutex::new(BTreeSet::new()));

    let to_me = |request: &Request| push(&request.session_id(), request);
    let (signing, verifying, ticking) = (keys.clone(), keys.clone(), keys.clone());
    let adding = Arc::clone(&stored);
    let remember = move |request: &Request| {
        let token = request.session_id().to_token(&signing);
        adding.lock().map_err(|_| "the store is broken")?.insert(token.clone());
        Ok(Response::new().text(token))
    };
    let to_stored = move |request: &Request| match SessionId::from_token(
        request.parameter("token")?,
        &verifying,
    ) {
        Ok(id) => push(&id, request),
        Err(error) => Ok(Response::bad_request().text(error.to_string())),
    };
    let page = |_: &Request| Ok(Response::new().html(include_str!("pages/push.html")));

    thread::spawn(move || tick(&stored, &ticking));
    let routes = vec![
        route!("/websocket" => Inbox),
        post("/push", to_me),
        post("/push/:token", to_stored),
        post("/remember", remember),
        Handler::get("/", page),
    ];
    Server::new(routes).session_keys(keys).launch()
}

/// Once a second sends `tick N` to everybody who asked to be remembered and is connected; forgets
/// who is not, so that the store does not grow for ever.
fn tick(stored: &Mutex<BTreeSet<String>>, keys: &SessionKeys) {
    for count in 1.. {
        thread::sleep(Duration::from_secs(1));
        let tokens = stored.lock().map(|tokens| tokens.clone()).unwrap_or_default();
        for token in tokens {
            let id = SessionId::from_token(&token, keys);
            let sent = id.and_then(|id| Comms::websocket(id).send(format!("tick {}", count)));
            // An error is a client that does not read. It was cut off; the others go on.
            if sent.map_or(true, |tabs| tabs == 0) {
                stored.lock().map(|mut tokens| tokens.remove(&token)).unwrap_or_default();
            }
        }
    }
}
