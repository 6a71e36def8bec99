//! A whole connection over a stub, on this thread.

use super::Stub;
use crate::ground::limits::Limits;
use crate::ground::peer::Peer;
use crate::http::origin::Origins;
use crate::http::target::Authority;
use crate::http::{Error, Handler, Request, Response};
use crate::net::outbox::Shared;
use crate::net::reader::Socket;
use crate::server::connection::serve;
use crate::server::connections::Connections;
use crate::server::controller::{Controller, WebsocketController};
use crate::server::request::Service;
use crate::server::route::Router;
use crate::session::cookie::SessionCookie;
use crate::session::id::SessionId;
use crate::session::keys::SessionKeys;
use crate::websocket::{CloseCode, CloseFrame, Message};
use crate::Comms;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// Echoes; `f` is an error, `c` closes.
#[derive(Default)]
pub struct Echo {
    opened: AtomicUsize,
    closed: AtomicUsize,
}

impl WebsocketController for Echo {
    fn handle_connection(&self, _: &SessionId) -> Result<(), Error> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        match message.as_text() {
            Some("f") => Err("as told".into()),
            Some("c") => Comms::websocket(client).close(CloseCode(4000), "as told").map(drop),
            _ => Comms::websocket(client).send(message).map(drop),
        }
    }

    fn handle_disconnection(
        &self,
        client: &SessionId,
        _: Option<&CloseFrame>,
    ) -> Result<(), Error> {
        assert!(!Comms::websocket(client).is_connected(), "it has left the map");
        self.closed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Controller for Echo {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

/// Sends the body back as it comes, each piece at once; it is read as a stream, and written as one: with
/// the length of the query, or in chunks.
fn pass_on(request: &Request) -> Result<Response, Error> {
    let response = match request.query("length").map(|length| length.parse()) {
        Some(length) => Response::new().length(length.map_err(Error::other)?),
        None => Response::new(),
    };
    let mut body = request.reader(u64::MAX)?;
    request.stream(response, |out| {
        let mut piece = [0; 2];
        loop {
            match body.read(&mut piece)? {
                0 => return out.write_all(b"!"),
                read => out.write_all(&piece[..read]).and_then(|()| out.flush())?,
            }
        }
    })
}

/// Returns an echo at `/ws`, whose count of events it returns as well, `pass_on` at `/stream`, and
/// elsewhere the request's own body.
pub(super) fn routes() -> (Router, Arc<Echo>) {
    let echo = Arc::new(Echo::default());
    let body = |request: &Request| Ok(Response::new().body(request.body().to_vec()));
    let routes = vec![
        Handler::new("/ws", Arc::clone(&echo)),
        Handler::new("/stream", pass_on).streams(),
        Handler::new("/:any", body),
    ];
    (Router::new(routes).expect("good patterns"), echo)
}

pub(super) fn service(limits: Limits) -> Arc<Service> {
    let keys = SessionKeys::new([[7; 32]]).expect("a long key");
    let cookie = SessionCookie { name: "session".to_string(), secure: false, keys };
    let origins = Origins { loopback: true, ..Origins::default() };
    let (shared, hosts) = (Shared::new(limits), Authority::parse("h").map(|host| vec![host]));
    let (proxies, encrypted) = Default::default();
    Arc::new(Service {
        shared,
        cookie,
        origins,
        hosts,
        proxies,
        encrypted,
        #[cfg(feature = "deflate")]
        agree: None,
    })
}

/// Serves the stub until its connection is over. Returns what was written, without the values that
/// differ each time.
pub(super) fn transcript(stub: &Arc<Stub>, limits: Limits) -> Vec<u8> {
    let (router, echo) = routes();
    serve_with(stub, router, limits);
    let [opened, closed] = [&echo.opened, &echo.closed].map(|count| count.load(Ordering::Relaxed));
    assert!(opened == closed && opened <= 1, "{} opened, {} closed", opened, closed);
    assert_eq!(Arc::strong_count(&echo), 1, "no thread keeps the controller");
    without_chance(&stub.script().output)
}

/// Serves the stub with these routes until its connection is over.
pub(super) fn serve_with(stub: &Arc<Stub>, router: Router, limits: Limits) {
    let service = service(limits);
    let peer = Peer::from(IpAddr::from([127, 0, 0, 1]));
    let connections = Connections::new(&service.shared.limits);
    let slot = connections.admit(stub.clone(), &peer, false).expect("room");
    serve(&router, &service, Socket::new(stub.clone(), 64 * 1024), &slot);
    drop(slot);
    // As a shutdown does: what waits for its time is dropped.
    service.shared.clock.stop();
    assert_eq!(connections.len(), 0);
}

/// Drops the lines that hold the time or a random number.
fn without_chance(bytes: &[u8]) -> Vec<u8> {
    let chance = [&b"Date: "[..], b"Set-Cookie: "];
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines
        .filter(|line| !chance.iter().any(|name| line.starts_with(name)))
        .flatten()
        .copied()
        .collect()
}
