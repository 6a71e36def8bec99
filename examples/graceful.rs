//! Ending a server: nobody new is taken in, answers that are being made are finished, WebSockets are
//! closed with 1001, and who does not end in time is named.
//!
//! Try it: `cargo run --example graceful`, open the address that it prints, start `curl
//! localhost:8000/slow` and `curl localhost:8000/stuck`, and press Enter where the server runs. The
//! page sees 1001, the slow answer still comes, and the stuck one is cut off and told.

use sockling::limits::Limits;
use sockling::prelude::*;
use std::time::Duration;
use std::{io, thread};

#[derive(Default, macros::WebsocketController)]
struct Echo;

impl WebsocketController for Echo {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        Comms::websocket(client).send(message).map(drop)
    }
}

fn takes(seconds: u64) -> impl Controller {
    move |_: &Request| {
        thread::sleep(Duration::from_secs(seconds));
        Ok(Response::new().text("done\n"))
    }
}

fn main() -> Result<(), Error> {
    let page = |_: &Request| Ok(Response::new().html(include_str!("pages/echo.html")));
    let routes = vec![
        route!("/websocket" => Echo),
        Handler::new("/slow", takes(3)),
        Handler::new("/stuck", takes(60)),
        Handler::new("/", page),
    ];
    let limits = Limits { drain_timeout: Duration::from_secs(5), ..Limits::default() };
    let address = std::env::var("SOCKLING_ADDR").unwrap_or_else(|_| "127.0.0.1:8000".to_string());
    let listening = Server::new(routes).limits(limits).bind(&*address)?;
    let handle = listening.handle();
    let server = thread::spawn(move || listening.serve());

    // Without a terminal nobody presses Enter.
    while io::stdin().read_line(&mut String::new())? == 0 {
        thread::park();
    }
    let stuck = handle.shutdown();
    println!("{} had to be cut off", stuck.len());
    for one in stuck {
        println!("{} at {}", one.peer, one.path.unwrap_or_default());
    }
    server.join().map_err(|_| "the server panicked")?
}
