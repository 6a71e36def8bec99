//! The life of one HTTP connection: request after request, until one side has enough.
//!
//! ```text
//! read a head ── read its body ── the controller ── write the response ── again
//!      │               │                │
//!      └── invalid, late, too large ────┴── took the socket (a WebSocket): the connection is over
//!          one answer, then close
//! ```
//!
//! This file decides what a client is told after an error; the codes are in `error`'s table.
//!
//! A WebSocket's whole life is one call of a controller, and the pages of stack that were touched
//! are the thread's until it ends. So what is done before and after that call is not inlined: its
//! locals would lie beneath it.

use crate::error::Error;
use crate::ground::limits::{Limits, BODY_RATE, CROSSING, LINGER, REST_CROSSING};
use crate::ground::logger::{log_line, Level};
use crate::ground::system::unix_seconds;
use crate::http::chunked::Chunked;
use crate::http::forwarded;
use crate::http::head::{BodyLength, Head, HeadError, HeadParser, Method};
use crate::http::response::Response;
use crate::http::target::{Authority, TargetError};
use crate::net::reader::Socket;
use crate::net::stream::{after, write_all, write_deadline};
use crate::server::connections::SlotGuard;
use crate::server::controller::Controller;
use crate::server::request::{Request, Service};
use crate::server::route::Router;
use crate::websocket::handshake::asks_upgrade;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Why no further request is read.
enum End {
    /// The client has gone, or was silent, between two requests.
    Quiet,
    /// The client has gone in the middle of a request, or does not read its answer.
    Lost,
    /// The client is told this status and text first.
    Answer(u16, String),
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Answer(error.status(), error.to_string())
    }
}

/// Serves a connection until it is over.
pub(crate) fn serve(
    router: &Router,
    service: &Arc<Service>,
    mut socket: Box<Socket>,
    slot: &SlotGuard,
) {
    let connection = Connection { router, service, limits: &service.shared.limits, slot };
    for count in 1.. {
        let last = count == connection.limits.requests_per_connection;
        let mut request = match connection.next_request(socket, count == 1) {
            Some(request) => request,
            None => return,
        };
        let answer = connection.call_handler(&mut request);
        match connection.answer(request, answer, last) {
            Some(open) => socket = open,
            None => return,
        }
    }
}

struct Connection<'a> {
    router: &'a Router,
    service: &'a Arc<Service>,
    limits: &'a Limits,
    slot: &'a SlotGuard,
}

impl Connection<'_> {
    /// Reads a request and gives it the socket. Without one the connection is over.
    #[inline(never)]
    fn next_request(&self, mut socket: Box<Socket>, first: bool) -> Option<Box<Request>> {
        let mut head_only = false;
        let read = self.read_head(&mut socket, first).and_then(|head| {
            head_only = head.method == Method::Head;
            let client = self.client_of(&head)?;
            let body = self.read_body_of(&head, &mut socket)?;
            Ok((head, body, client))
        });
        match read {
            Ok((head, body, client)) => {
                Some(Box::new(Request::new(head, body, client, self.service, self.slot, socket)))
            }
            Err(end) => {
                self.refuse(&mut socket, end, head_only);
                None
            }
        }
    }

    /// Returns whose request it is: behind a proxy, another client's each time. An address has as
    /// many connections as it may, whoever speaks for it.
    fn client_of(&self, head: &Head) -> Result<SocketAddr, End> {
        let peer = self.slot.peer;
        if !self.slot.proxy {
            return Ok(peer);
        }
        let client = forwarded::client(&head.headers, peer, &self.service.proxies);
        match self.slot.count_client(client) {
            true => Ok(client),
            false => Err(End::Answer(503, format!("{} has too many connections", client.ip()))),
        }
    }

    fn read_body_of(&self, head: &Head, socket: &mut Socket) -> Result<Vec<u8>, End> {
        self.check_host(head)?;
        self.check_length(head.body)?;
        if head.expects_continue() && head.body != BodyLength::Known(0) {
            // Without a route the body is not wanted, and whether it comes is not known.
            let route = self.router.find(&head.path);
            if route.map_err(|_| Error::Head(HeadError::Target))?.is_none() {
                return Err(End::Answer(404, "empty is here".to_string()));
            }
            if self.slot.is_closing() {
                return Err(about_to_end());
            }
            self.write_bytes(socket, [b"HTTP/1.1 100 Continue\r\n\r\n", b""])?;
        }
        self.read_body(socket, head.body)
    }

    /// Reads until a head is whole. The deadline is one for all of it, so a client that sends a
    /// byte now and then gains nothing.
    fn read_head(&self, socket: &mut Socket, first: bool) -> Result<Head, End> {
        if self.slot.proxy && !first {
            self.slot.release_client();
        }
        let mut parser = HeadParser::default();
        let mut idle = socket.unread().is_empty();
        let mut closing = false;
        let mut deadline =
            after(if first || !idle { self.limits.head_timeout } else { self.limits.idle_timeout });
        if idle {
            self.slot.set_idle(first);
        }
        loop {
            if let Some((head, used)) =
                parser.advance(socket.unread(), self.limits).map_err(Error::Head)?
            {
                socket.consume(used);
                // Frames could not be read: the receiving side is shut.
                if closing && asks_upgrade(&head) {
                    return Err(about_to_end());
                }
                return Ok(head);
            }
            let empty = socket.unread().is_empty();
            let read = self.fill(socket, deadline, !empty);
            if idle {
                idle = false;
                closing = self.slot.set_busy();
                if !first {
                    deadline = after(self.limits.head_timeout);
                }
            }
            match read {
                Ok(0) | Err(_) if empty => return Err(End::Quiet),
                Ok(0) => return Err(self.cut_short()),
                Ok(_) => {}
                Err(error) => return Err(late(error, "the request head took too long")),
            }
        }
    }

    /// Reads once, as [`Socket::fill`] does. A connection that was asked to end finds its receiving
    /// side shut, but its client may not know that yet and send a request that crosses. Linux still
    /// delivers what arrives then, so the first end of input is not believed: the thread waits a
    /// moment and reads once more, and while a request has `begun` to come, so for a second. Other
    /// systems may drop it. There the client sees the end, as with any server that closes an idle
    /// connection, and asks again on a new one (RFC 9112, 9.3.1).
    fn fill(&self, socket: &mut Socket, deadline: Instant, begun: bool) -> io::Result<usize> {
        let mut read = socket.fill(deadline)?;
        if read == 0 && self.slot.is_closing() {
            let rest = after(if begun { REST_CROSSING } else { Duration::ZERO });
            loop {
                thread::sleep(CROSSING);
                read = socket.fill(deadline)?;
                if read > 0 || rest <= Instant::now() {
                    break;
                }
            }
        }
        Ok(read)
    }

    /// Returns what becomes of a client whose request does not come whole.
    fn cut_short(&self) -> End {
        match self.slot.is_closing() {
            // It may be sending the rest, and must know that nothing was done.
            true => about_to_end(),
            false => End::Lost,
        }
    }

    /// On the loopback interface a page of another site could reach the server under that site's
    /// name, when the name is made to mean 127.0.0.1 (DNS rebinding). So the name is checked.
    fn check_host(&self, head: &Head) -> Result<(), End> {
        let (hosts, asked) = match (&self.service.hosts, &head.authority) {
            (Some(hosts), Some(asked)) => (hosts, asked),
            _ => return Ok(()),
        };
        let named = |host: &String| {
            host.eq_ignore_ascii_case(&asked.host) || host.eq_ignore_ascii_case(&asked.to_string())
        };
        if hosts.iter().any(named) {
            return Ok(());
        }
        let Authority { host, .. } = asked;
        Err(End::Answer(
            421,
            format!(
                "this server does not answer for {:?}; to allow it: Server::allowed_hosts([{:?}])",
                host, host
            ),
        ))
    }

    fn check_length(&self, length: BodyLength) -> Result<(), End> {
        match length {
            BodyLength::Known(length) if length > self.limits.body as u64 => {
                Err(End::Answer(413, "the body is larger than allowed".to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Reads the whole body, whose length was checked. Memory grows with the bytes that come, not
    /// with those announced.
    fn read_body(&self, socket: &mut Socket, length: BodyLength) -> Result<Vec<u8>, End> {
        let started = after(self.limits.body_timeout);
        let (mut body, mut chunked, mut received) = (Vec::new(), Chunked::default(), 0);
        loop {
            let unread = socket.unread();
            let (used, done) = match length {
                BodyLength::Known(length) => {
                    let used = unread.len().min(length as usize - body.len());
                    body.extend_from_slice(&unread[..used]);
                    (used, body.len() as u64 == length)
                }
                BodyLength::Chunked => {
                    let used =
                        chunked.decode(unread, &mut body, self.limits).map_err(Error::Chunked)?;
                    (used, chunked.is_done())
                }
            };
            socket.consume(used);
            received += used as u64;
            if done {
                return Ok(body);
            }
            let earned = Duration::from_secs(received / BODY_RATE);
            match self.fill(socket, started.checked_add(earned).unwrap_or(started), true) {
                Ok(0) => return Err(self.cut_short()),
                Ok(_) => {}
                Err(error) => return Err(late(error, "the request body took too long")),
            }
        }
    }

    /// Calls the controller. Returns what it answers; `None` is a panic.
    fn call_handler(&self, request: &mut Request) -> Option<Result<Response, Error>> {
        let controller = match self.find_route(request) {
            Ok(Some(controller)) => controller,
            Ok(None) if request.path() == "*" => return Some(Ok(Response::new().code(204))),
            Ok(None) => return Some(Ok(Response::not_found())),
            Err(TargetError) => return Some(Ok(Response::bad_request())),
        };
        self.slot.set_handling(true);
        let answer = catch_unwind(AssertUnwindSafe(|| controller.handle(request)));
        self.slot.set_handling(false);
        answer.ok()
    }

    #[inline(never)]
    fn find_route(&self, request: &mut Request) -> Result<Option<&dyn Controller>, TargetError> {
        let found = self.router.find(request.path())?;
        Ok(found.map(|(controller, parameters)| {
            request.set_parameters(parameters);
            self.slot.set_path(request.path());
            controller
        }))
    }

    /// Writes the answer. Returns the socket if the connection goes on.
    #[inline(never)]
    fn answer(
        &self,
        request: Box<Request>,
        answer: Option<Result<Response, Error>>,
        last: bool,
    ) -> Option<Box<Socket>> {
        let head = request.head();
        // Who takes a body before an upgrade for frames would be smuggled into.
        let smuggled = request.upgrade_websocket() && head.body != BodyLength::Known(0);
        let close = last || smuggled || !head.keep_alive() || answer.is_none();
        let response = answered(&request, answer);
        // No socket: the controller made it a WebSocket, and that is over.
        let mut socket = request.take_socket()?;
        let close = close || self.slot.is_closing();
        self.write(&socket, &response, head.method == Method::Head, close).ok()?;
        if close {
            socket.linger(LINGER);
            return None;
        }
        Some(socket)
    }

    fn write(
        &self,
        socket: &Socket,
        response: &Response,
        head_only: bool,
        close: bool,
    ) -> Result<(), End> {
        let failed;
        let parts = match response.encode(head_only, close, unix_seconds()) {
            Ok(parts) => parts,
            Err(error) => {
                log_line!(Error, "{}; {} is told 500", error, self.slot.peer);
                failed = Response::internal_error();
                failed.encode(head_only, close, unix_seconds()).map_err(Error::Response)?
            }
        };
        self.write_bytes(socket, [&parts.0, parts.1])
    }

    fn write_bytes(&self, socket: &Socket, parts: [&[u8]; 2]) -> Result<(), End> {
        let length = parts.iter().map(|part| part.len()).sum();
        let deadline = write_deadline(self.limits.write_timeout, length);
        let mut parts = parts.iter().filter(|part| !part.is_empty());
        parts
            .try_for_each(|part| write_all(&**socket.stream(), part, deadline))
            .map_err(|_| End::Lost)
    }

    fn refuse(&self, socket: &mut Socket, end: End, head_only: bool) {
        if let End::Answer(status, why) = end {
            log_line!(
                Info,
                "refused a request from {}: {}; it is told {}",
                self.slot.peer,
                why,
                status
            );
            let response = Response::of_status(status).text(format!("{}\n", why));
            // Fails when the client has gone; there is nobody else to tell.
            drop(self.write(socket, &response, head_only, true));
            socket.linger(LINGER);
        }
    }
}

/// Turns what a controller returned into a response; `None` is a panic.
fn answered(request: &Request, answer: Option<Result<Response, Error>>) -> Response {
    match answer {
        Some(Ok(response)) => for_session(request, response),
        Some(Err(error)) => {
            // Quoted: the text may hold what the client sent, and no line break of that.
            let (status, why) = (error.status(), error.to_string());
            // Below 500 it is the client's own fault: a request that another site's page sent, say.
            let level = if status >= 500 { Level::Error } else { Level::Info };
            log_line!(level, "the handler of {:?} failed: {:?}", request, why);
            Response::of_status(status)
        }
        None => {
            log_line!(Error, "the handler of {:?} panicked", request);
            Response::internal_error()
        }
    }
}

/// Adds the session's cookie to an answer that the controller meant: one that failed on its way
/// does not log anybody in. A shared cache that kept it would hand one client's session to another.
fn for_session(request: &Request, response: Response) -> Response {
    match request.set_cookie() {
        Some(cookie) => response.header("Set-Cookie", &cookie).for_one_client(),
        None if request.is_private() && response.headers().get("cache-control").is_none() => {
            response.header("Cache-Control", "private")
        }
        None => response,
    }
}

/// Returns the answer to a request that was begun on a connection that has to make room.
fn about_to_end() -> End {
    End::Answer(503, "this connection is about to end; another one may have room".to_string())
}

fn late(error: std::io::Error, why: &str) -> End {
    match error.kind() {
        ErrorKind::TimedOut => End::Answer(408, why.to_string()),
        _ => End::Lost,
    }
}
