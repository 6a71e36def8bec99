//! Live figures: a background thread sends them to all pages, and each page draws them. A page that
//! is slow misses some, for the next ones replace them.
//!
//! Try it: `cargo run --example dashboard`, open the address that it prints in two tabs, and press
//! the button. Stop a browser's process (`kill -STOP`): after 40 seconds without an answer to a ping it
//! is no longer counted.

use sockling::limits::{Limits, Overflow};
use sockling::prelude::*;
use std::thread;
use std::time::{Duration, Instant};

/// A page. It gets the figures; what it sends is counted.
#[derive(Default, macros::WebsocketController)]
struct Page;

impl WebsocketController for Page {
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        Comms::topic("figures").subscribe(client);
        Ok(())
    }
}

/// Sends the figures four times a second. To nobody is sent for nothing.
fn tell() {
    let start = Instant::now();
    loop {
        let s = Comms::stats();
        let figures = format!(
            r#"{{"ms": {}, "connections": {}, "in": {}, "out": {}, "waiting": {}}}"#,
            start.elapsed().as_millis(),
            s.connections,
            s.messages_in,
            s.messages_out,
            s.waiting
        );
        if let Err(error) = Comms::topic("figures").send(figures) {
            log::error!("the figures were not sent: {}", error);
        }
        thread::sleep(Duration::from_millis(250));
    }
}

fn main() -> Result<(), Error> {
    thread::spawn(tell);
    let page = |_: &Request| Ok(Response::new().html(include_str!("pages/dashboard.html")));
    Server::new(vec![route!("/websocket" => Page), Handler::new("/", page)])
        .limits(Limits { overflow: Overflow::Drop, ..Limits::default() })
        .launch()
}
