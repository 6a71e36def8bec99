//! The server that the vectors speak to.

use super::loopback;
use sockling::http::{Server, ServerHandle};
use sockling::limits::Limits;
use sockling::prelude::*;
use std::io::Read;
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
    /// Starts a server whose handler of bodies gets them whole, or which `streams` them.
    pub fn start(limits: Limits, streams: bool) -> Fixture {
        let calls = Calls::default();
        // The names of loopback alone, which only an address of loopback has by itself.
        let server = Server::new(routes(&calls, streams)).allowed_hosts([""; 0]);
        let listening = loopback::bind(server.limits(limits));
        let (address, handle) = (loopback::wire::address(&listening), listening.handle());
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

/// Times short enough to be waited for, and long enough for a slow machine to send what a vector has
/// to say before them.
pub fn impatient() -> Limits {
    let whole = Duration::from_secs(2);
    let half = whole / 2;
    Limits {
        head_timeout: whole,
        body_timeout: whole,
        message_timeout: whole,
        write_timeout: whole,
        idle_timeout: whole,
        close_timeout: half,
        ping_interval: half,
        pong_timeout: half,
        drain_timeout: whole,
        ..Limits::default()
    }
}

fn routes(calls: &Calls, streams: bool) -> Vec<Handler> {
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
    let streamed_echo = {
        let calls = calls.clone();
        move |request: &Request| -> Result<Response, Error> {
            let body = request.read_body();
            // Only a whole body counts, as where it is read before the handler runs.
            calls.fetch_add(usize::from(body.is_ok()), Ordering::SeqCst);
            match request.method().as_str() {
                "POST" => Ok(Response::new().body(body?)),
                _ => Ok(Response::method_not_allowed(&["POST"])),
            }
        }
    };
    let half = |request: &Request| -> Result<Response, Error> {
        let mut bytes = [0; 3];
        let mut body = request.reader(u64::MAX)?;
        let read = match body.read(&mut bytes[..1])? {
            0 => 0,
            first => {
                body.read_exact(&mut bytes[first..])?;
                bytes.len()
            }
        };
        Ok(Response::new().text(format!("{} bytes", read)))
    };
    let swallow = |request: &Request| -> Result<Response, Error> {
        if request.upgrade_websocket() {
            return request.upgrade(&[], |_| Ok(()));
        }
        let mut bytes = Vec::new();
        // An error is what the vectors are about.
        let _ = request.reader(u64::MAX)?.read_to_end(&mut bytes);
        Ok(Response::new().text(format!("{} bytes", bytes.len())))
    };
    let echo = match streams {
        true => Handler::new("/echo", streamed_echo).streams(),
        false => Handler::new("/echo", echo),
    };
    vec![
        Handler::new("/hello", hello),
        echo,
        Handler::new("/unread", |_: &Request| Ok(Response::new().text("unread"))).streams(),
        Handler::new("/half", half).streams(),
        Handler::new("/swallow", swallow).streams(),
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
