//! The server over loopback: what clients see and what handlers are told.

#[path = "../loopback/mod.rs"]
mod loopback;

mod bodies;
mod controllers;
mod deadlines;
mod eviction;
mod exhaustion;
mod http;
mod listeners;
mod proxy;
mod routes;
mod sessions;
mod shutdown;
mod stderr;
mod straight;
mod unix;
mod websocket;

use loopback::PATIENCE;
use sockling::limits::Limits;
use sockling::prelude::*;
use std::sync::mpsc::{channel, sync_channel, Receiver, Sender};
use std::sync::Mutex;
use std::time::Duration;

/// Limits of which none ends anything while a test runs, however slow the machine is. A test shortens
/// the one that it waits for.
fn patient() -> Limits {
    let never = Duration::from_secs(600);
    Limits {
        head_timeout: never,
        body_timeout: never,
        message_timeout: never,
        write_timeout: never,
        idle_timeout: never,
        close_timeout: never,
        ping_interval: never,
        pong_timeout: never,
        drain_timeout: PATIENCE,
        ..Limits::default()
    }
}

/// Patient limits under which a shutdown waits for a second only. What must not be stuck has that
/// long to end, so nothing else may be left to do then.
fn soon_drained() -> Limits {
    Limits { drain_timeout: Duration::from_secs(1), ..patient() }
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
