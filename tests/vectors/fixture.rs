//! The server that the vectors speak to.

use super::loopback;
use sockling::http::{Server, ServerHandle};
use sockling::limits::Limits;
use sockling::prelude::*;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What the controllers panic with when they are told to.
const ON_DEMAND: &str = "a panic on demand";

type Calls = Arc<AtomicUsize>;

/// A server on a free port of the loopback, stopped when this is dropped.
pub struct Fixture {
    address: SocketAddr,
    calls: Calls,
    handle: ServerHandle,
    serving: Option<JoinHandle<()>>,
}

impl Fixture {
    pub fn start(limits: Limits) -> Fixture {
        let calls = Calls::default();
        let listening = loopback::bind(Server::new(routes(&calls)).limits(limits));
        let (address, handle) = (listening.address(), listening.handle());
        let serving = thread::spawn(move || listening.serve().expect("a server that only stops"));
        Fixture { address, calls, handle, serving: Some(serving) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// So many times a controller was called.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.handle.shutdown();
        let served = self.serving.take().map(JoinHandle::join);
        // A second panic while a test fails would hide the first.
        if !thread::panicking() {
            assert!(matches!(served, Some(Ok(()))), "the server's thread panicked");
        }
    }
}

/// No time of this server can pass for a decision of its own: all are far above what the client
/// waits for. The sizes are the defaults.
pub fn patient() -> Limits {
    let minute = Duration::from_secs(60);
    Limits {
        head_timeout: minute,
        body_timeout: minute,
        message_timeout: minute,
        write_timeout: minute,
        idle_timeout: minute,
        close_timeout: minute,
        ping_interval: minute,
        pong_timeout: minute,
        drain_timeout: Duration::from_secs(1),
        ..Limits::default()
    }
}

/// Times short enough to be waited for.
pub fn impatient() -> Limits {
    let second = Duration::from_secs(1);
    let half = Duration::from_millis(500);
    Limits {
        head_timeout: second,
        body_timeout: second,
        message_timeout: second,
        write_timeout: second,
        idle_timeout: second,
        close_timeout: half,
        ping_interval: half,
        pong_timeout: half,
        drain_timeout: second,
        ..Limits::default()
    }
}

fn routes(calls: &Calls) -> Vec<Handler> {
    let hello = {
        let calls = calls.clone();
        move |request: &Request| -> Result<Response, Error> {
            calls.fetch_add(1, Ordering::SeqCst);
            match request.method().as_str() {
                "GET" | "HEAD" => Ok(Response::new().text("hello")),
                _ => Ok(Response::method_not_allowed(&["GET", "HEAD"])),
            }
        }
    };
    let echo = {
        let calls = calls.clone();
        move |request: &Request| -> Result<Response, Error> {
            calls.fetch_add(1, Ordering::SeqCst);
            match request.method().as_str() {
                "POST" => Ok(Response::new().body(request.body().to_vec())),
                _ => Ok(Response::method_not_allowed(&["POST"])),
            }
        }
    };
    vec![
        Handler::new("/hello", hello),
        Handler::new("/echo", echo),
        route!("/ws" => Echo { calls: calls.clone() }),
        route!("/panic" => |_: &Request| -> Result<Response, Error> { panic!("{}", ON_DEMAND) }),
    ]
}

#[derive(macros::WebsocketController)]
struct Echo {
    calls: Calls,
}

impl WebsocketController for Echo {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if message == Message::Text("!panic".to_string()) {
            panic!("{}", ON_DEMAND);
        }
        Comms::websocket(client).send(message)?;
        Ok(())
    }
}
