//! The server over loopback: what clients see and what handlers are told.

#[path = "../loopback/mod.rs"]
mod loopback;

mod bodies;
mod controllers;
mod deadlines;
mod eviction;
mod exhaustion;
mod http;
mod proxy;
mod routes;
mod sessions;
mod shutdown;
mod stderr;
mod straight;
mod websocket;

use sockling::limits::Limits;
use sockling::prelude::*;
use std::sync::mpsc::{channel, sync_channel, Receiver, Sender};
use std::sync::Mutex;
use std::time::Duration;

/// Limits that a test can wait for.
fn fast() -> Limits {
    Limits {
        head_timeout: Duration::from_secs(1),
        body_timeout: Duration::from_secs(1),
        message_timeout: Duration::from_secs(1),
        write_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(1),
        close_timeout: Duration::from_millis(500),
        ping_interval: Duration::from_millis(500),
        pong_timeout: Duration::from_millis(500),
        drain_timeout: Duration::from_secs(1),
        ..Limits::default()
    }
}

/// Returns a handler that says when it runs, and answers "finished" when it is let.
fn held() -> (impl Controller, Receiver<()>, Sender<()>) {
    let (entered, wait_for_entry) = sync_channel(1);
    let (release, wait_for_release) = channel();
    let wait_for_release = Mutex::new(wait_for_release);
    let handler = move |_: &Request| {
        entered.send(()).map_err(Error::other)?;
        // An error is a test that has ended.
        let _ = wait_for_release.lock().map_err(|_| "poisoned")?.recv();
        Ok(Response::new().text("finished"))
    };
    (handler, wait_for_entry, release)
}

/// Echoes, does as it is told by some messages, and reports what it is told by the library.
struct Told {
    events: Mutex<Sender<String>>,
}

impl Told {
    fn new() -> (Told, Receiver<String>) {
        let (sender, receiver) = channel();
        (Told { events: Mutex::new(sender) }, receiver)
    }

    fn tell(&self, event: String) {
        // Fails when the test has ended.
        let _ = self.events.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).send(event);
    }
}

impl WebsocketController for Told {
    fn handle_connection(&self, _: &SessionId) -> Result<(), Error> {
        self.tell("connected".to_string());
        Ok(())
    }

    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        match message.as_text() {
            Some("fail") => return Err("as told".into()),
            Some("panic") => std::panic::panic_any("as told"),
            Some("close") => {
                Comms::websocket(client).close(CloseCode(4000), "as told")?;
                return Ok(());
            }
            _ => {}
        }
        Comms::websocket(client).send(message)?;
        Ok(())
    }

    fn handle_disconnection(
        &self,
        client: &SessionId,
        close: Option<&CloseFrame>,
    ) -> Result<(), Error> {
        let connected = Comms::websocket(client).is_connected();
        let close =
            close.map_or("none".to_string(), |close| format!("{} {:?}", close.code, close.reason));
        self.tell(format!("disconnected, connected: {}, close: {}", connected, close));
        Ok(())
    }

    fn protocols(&self) -> &[&str] {
        &["chat.v2", "chat.v1"]
    }
}

impl Controller for Told {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}
