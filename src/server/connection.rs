//! The life of one HTTP connection: request after request, until one side has had enough.
//!
//! ```text
//! read a head ── read its body ── the controller ── write the response ── again
//!      │               │                │
//!      └── invalid, late, too large ────┴── took the socket (a WebSocket): the connection is over
//!          one answer, then close
//! ```
//!
//! This file decides what a client is told after an error: the status of an [`Error`], or, where
//! the connection itself is at fault, one that stands here (404, 408, 413, 421, 503).
//!
//! # Theory of operation
//!
//! One thread does all of it, in order, and holds no lock while it reads, writes or runs a handler.
//! So pipelined requests are answered in their order, and a client that does not read its answer is
//! not read from.
//!
//! *Waiting.* Each wait has a deadline that is a total, so a byte now and then gains a client
//! nothing:
//!
//! ```text
//! the first head                    head_timeout      408, or a silent end when nothing has come
//! the next request's first byte     idle_timeout      a silent end
//! the rest of its head              head_timeout      408
//! a body                            body_timeout      408; what has come earns time at min_rate
//! the client to take an answer      write_timeout     the socket is shut; what is taken earns time
//! the client to end after that      LINGER            the socket is closed
//! ```
//!
//! *Ending.* While a connection waits for a request of which nothing has come it is idle, and a
//! newcomer to a full server, or a shutdown, may ask it to end by shutting its receiving side. The
//! client may not know that yet, and its next request may cross. Such a request is answered like
//! any other, with `Connection: close`, if all of it still arrives; otherwise the client is told
//! 503, so that it knows that nothing was done.
//!
//! After the last answer the thread reads and drops what comes, or a reset could take the answer
//! from a client that is still sending. It does so after the idle timeout too, since the client may
//! still be reading. Such a connection makes room for a newcomer after [`SILENT`].
//!
//! [`SILENT`]: crate::ground::limits::SILENT
//!
//! *Memory.* A WebSocket's whole life is one call of a controller. What runs before and after that
//! call is kept off the stack beneath it: see [`apart`](crate::ground::system::apart).

use crate::comms::mailbox::{set_place, Place};
use crate::error::Error;
use crate::ground::limits::{Limits, LINGER};
use crate::ground::logger::{is_on, log_line, Level};
use crate::ground::peer::Peer;
use crate::ground::system::{contained, unix_seconds};
use crate::http::body::BodyError;
use crate::http::forwarded;
use crate::http::head::{skip_empty_lines, BodyLength, Head, HeadParser, Method};
use crate::http::response::Response;
use crate::http::target::Authority;
use crate::net::batch::note_last;
use crate::net::reader::Socket;
use crate::net::stream::{after, write_all, write_parts, Stream};
use crate::server::connections::{Connections, SlotGuard};
use crate::server::controller::Controller;
use crate::server::incoming::{fill, Incoming, On};
use crate::server::request::{Request, Service, Wire};
use crate::server::route::Router;
use crate::websocket::handshake::asks_upgrade;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why no further request is read.
enum End {
    /// Nothing more is answered: the client has gone, has not taken its answer in time, or has been
    /// silent between two requests. It may still be reading its last answer.
    Silent,
    /// The client is answered first; the text says why, for the log.
    Answer(Box<Response>, String),
}

impl End {
    /// Returns an end with an answer of this status and text.
    fn answer(status: u16, why: String) -> End {
        let response = Response::of_status(status).text(format!("{}\n", why));
        End::Answer(Box::new(response), why)
    }
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::answer(error.status(), error.to_string())
    }
}

impl From<BodyError> for End {
    fn from(error: BodyError) -> End {
        match error {
            BodyError::CutShort => End::Silent,
            error => End::answer(error.status(), error.to_string()),
        }
    }
}

/// Serves a client to the end of its connection. Returns false, and has sent nothing, where there
/// is no place for it.
#[inline]
pub(crate) fn serve_client(
    router: &Router,
    service: &Arc<Service>,
    connections: &Arc<Connections>,
    stream: &Arc<dyn Stream>,
    peer: &Peer,
) -> bool {
    let proxy = forwarded::is_proxy(peer, &service.proxies);
    let slot = match connections.admit(Arc::clone(stream), peer, proxy) {
        Some(slot) => slot,
        None => return false,
    };
    // Such as a handshake. An error is the client's, which the transport knows and may log. One that
    // goes on for long makes room for a newcomer, or half-open ones would fill the server.
    slot.set_idle(true);
    if stream.open(after(service.shared.limits.head_timeout)).is_ok() {
        let socket = Socket::new(Arc::clone(stream), service.shared.limits.buffer);
        set_place(Some(Arc::clone(&*slot) as Arc<dyn Place>));
        serve(router, service, socket, &slot);
        set_place(None);
    }
    true
}

/// Answers a client for which there is no place with 503. An error means that it has gone.
#[inline(never)]
pub(crate) fn write_refusal(stream: &dyn Stream, timeout: Duration, limits: &Limits) {
    if let Ok((bytes, _)) = Response::of_status(503).encode(false, None, unix_seconds()) {
        let _ = write_all(stream, &[&bytes], timeout, limits);
    }
}

/// Serves a connection to its end.
pub(crate) fn serve(
    router: &Router,
    service: &Arc<Service>,
    mut socket: Box<Socket>,
    slot: &SlotGuard,
) {
    let connection = Connection { router, service, limits: &service.shared.limits, slot };
    // Each answer leaves it as it finds it. Without it, a write could wait for ever.
    if socket.stream().set_write_timeout(connection.limits.write_timeout).is_err() {
        return;
    }
    for count in 1.. {
        let mut request = match connection.next_request(socket, count) {
            Some(request) => request,
            None => return,
        };
        // The clock is read only for the line that tells the time.
        let begun = is_on(Level::Debug).then(Instant::now);
        let answer = connection.call_handler(&mut request);
        match connection.answer(request, answer, begun) {
            Some(open) => socket = open,
            None => return,
        }
    }
}

/// What a head is followed by: the client that a proxy names, and the body, which may be on its way.
type Read = (Peer, Vec<u8>, Option<Box<Incoming>>);

struct Connection<'a> {
    router: &'a Router,
    service: &'a Arc<Service>,
    limits: &'a Limits,
    slot: &'a SlotGuard,
}

impl Connection<'_> {
    /// Reads a request, which then owns the socket. Returns `None` when the connection is over.
    #[inline(never)]
    fn next_request(&self, mut socket: Box<Socket>, count: usize) -> Option<Box<Request>> {
        let (head, end) = match self.read_head(&mut socket, count == 1) {
            Err(end) => (None, end),
            Ok(head) => match self.read_rest(&head, &mut socket) {
                Ok((client, body, incoming)) => {
                    let last = count == self.limits.requests_per_connection;
                    let (service, slot, socket) = (self.service, self.slot, Some(socket));
                    let wire = Wire { socket, incoming, last, ..Wire::default() };
                    return Some(Box::new(Request::new(head, body, client, service, slot, wire)));
                }
                Err(end) => (Some(head), end),
            },
        };
        self.refuse(&mut socket, end, head.as_ref());
        None
    }

    /// Returns the client of a request, which a trusted proxy names, after counting the connection
    /// for it: no address has more connections than it may, by whichever proxies they come.
    fn client_of(&self, head: &Head) -> Result<Peer, End> {
        let peer = &self.slot.peer;
        if !self.slot.proxy {
            return Ok(peer.clone());
        }
        let client = forwarded::client(&head.headers, peer, &self.service.proxies);
        match self.slot.count_client(&client) {
            true => Ok(client),
            false => Err(End::answer(503, format!("{} has too many connections", client))),
        }
    }

    /// Checks a head and reads what belongs to it. Returns the client, and the body: whole, or on its
    /// way.
    fn read_rest(&self, head: &Head, socket: &mut Socket) -> Result<Read, End> {
        let client = self.client_of(head)?;
        self.check_host(head)?;
        if head.body == BodyLength::Known(0) {
            return Ok((client, Vec::new(), None));
        }
        let found = self.router.find(head.method, &head.path);
        let handler = found.as_ref().ok().map(|(handler, _)| *handler);
        let limit = handler.and_then(|handler| handler.limit).unwrap_or(self.limits.body as u64);
        let mut incoming = Incoming::new(head, limit);
        if handler.map_or(false, |handler| handler.streams) {
            return Ok((client, Vec::new(), Some(Box::new(incoming))));
        }
        incoming.allow(u64::MAX)?;
        if let (true, Err(response)) = (head.expects_continue(), found) {
            // Without a route the body is not wanted, and whether the client sends it is unknown.
            let missing = response.status() == 404;
            let why = if missing { "nothing is here" } else { "no route takes it" };
            return Err(End::Answer(response, why.to_string()));
        }
        let mut on = On { socket, slot: self.slot, limits: self.limits };
        incoming.ask(&on, false);
        Ok((client, incoming.read_whole(&mut on)?, None))
    }

    /// Reads until a head is whole, which has one deadline.
    fn read_head(&self, socket: &mut Socket, first: bool) -> Result<Head, End> {
        if self.slot.proxy && !first {
            self.slot.release_client();
        }
        let mut parser = HeadParser::default();
        // After a body, some clients send an empty line, which begins no request (RFC 9112, 2.2).
        let has_begun = |unread: &[u8]| match first {
            true => !unread.is_empty(),
            false => !skip_empty_lines(unread).is_empty(),
        };
        let mut idle = !has_begun(socket.unread());
        let mut closing = false;
        let mut deadline =
            after(if first || !idle { self.limits.head_timeout } else { self.limits.idle_timeout });
        if idle {
            self.slot.set_idle(first);
        }
        loop {
            let begun = has_begun(socket.unread());
            if idle && begun {
                idle = false;
                closing = self.slot.set_busy();
                if !first {
                    deadline = after(self.limits.head_timeout);
                }
            }
            let parsed = parser.advance(socket.unread(), self.limits);
            if let Some((head, used)) = parsed.map_err(Error::Head)? {
                // The receiving side is shut, so a WebSocket could not read its frames.
                if closing && asks_upgrade(&head) {
                    return Err(BodyError::Closing.into());
                }
                socket.consume(used);
                return Ok(head);
            }
            match fill(socket, self.slot, deadline, begun) {
                Ok(0) | Err(_) if !begun => return Err(End::Silent),
                Ok(0) => return Err(self.cut_short()),
                Ok(_) => {}
                Err(error) => return Err(late(error, "the request head took too long")),
            }
        }
    }

    /// Returns how a connection ends whose client has ended its side within a request.
    fn cut_short(&self) -> End {
        match self.slot.is_closing() {
            // The client may have sent the rest, and must know that nothing was done.
            true => BodyError::Closing.into(),
            false => End::Silent,
        }
    }

    /// Checks the name that the client asks for. A page of another site could otherwise reach a
    /// loopback server under its own name, by making that name mean 127.0.0.1 (DNS rebinding).
    fn check_host(&self, head: &Head) -> Result<(), End> {
        let (hosts, asked) = match (&self.service.hosts, &head.authority) {
            (Some(hosts), Some(asked)) => (hosts, asked),
            _ => return Ok(()),
        };
        if hosts.iter().any(|host| host.covers(asked)) {
            return Ok(());
        }
        let Authority { host, .. } = asked;
        Err(End::answer(
            421,
            format!(
                "this server does not answer for {:?}; to allow it: Server::allowed_hosts([{:?}])",
                host, host
            ),
        ))
    }

    /// Calls the controller and returns its answer; `None` is a panic.
    fn call_handler(&self, request: &mut Request) -> Option<Result<Response, Error>> {
        let controller = match self.find_route(request) {
            Ok(controller) => controller,
            Err(response) => return Some(Ok(*response)),
        };
        self.slot.set_handling(true);
        let answer = contained(|| controller.handle(request));
        self.slot.set_handling(false);
        answer
    }

    #[inline(never)]
    fn find_route(&self, request: &mut Request) -> Result<&dyn Controller, Box<Response>> {
        let (handler, parameters) = self.router.find(request.method(), request.path())?;
        request.set_parameters(parameters);
        self.slot.set_path(request.path());
        Ok(&*handler.controller)
    }

    /// Writes the answer, unless the handler has, and logs it with the time since the request was
    /// read. Returns the socket when the connection goes on.
    #[inline(never)]
    fn answer(
        &self,
        request: Box<Request>,
        answer: Option<Result<Response, Error>>,
        begun: Option<Instant>,
    ) -> Option<Box<Socket>> {
        let panicked = answer.is_none();
        let sent = request.lock_outcome().sent;
        let (response, close) = match sent {
            None => {
                let response = answered(&request, answer);
                let close = panicked || request.ends_connection(&response);
                (Some(response), close)
            }
            Some(sent) => {
                (sent.log)(&request, answer);
                (None, panicked || sent.close || !sent.whole)
            }
        };
        let wire = std::mem::take(&mut *request.lock_wire());
        // Without a socket the controller made it a WebSocket, which is over.
        if wire.socket.is_none() {
            note_last(false);
        }
        let mut socket = wire.socket?;
        let head_only = request.method() == Method::Head;
        let status = match (response, sent) {
            (Some(response), _) => self.write(&socket, &response, head_only, close).ok()?,
            (None, sent) => sent.map_or(200, |sent| sent.status),
        };
        if let Some(begun) = begun {
            let millis = begun.elapsed().as_millis() as u64;
            log_line!(Debug, "answered {:?} with {} in {} ms", request, status, millis);
        }
        if close || !wire.incoming.map_or(true, |body| self.drain(*body, &mut socket)) {
            self.linger(&mut socket);
            return None;
        }
        Some(socket)
    }

    /// Drops what the handler has left unread of a body. Its client has the answer, so meanwhile the
    /// connection makes room for a newcomer like an idle one. Returns whether another request follows.
    #[inline(never)]
    fn drain(&self, mut body: Incoming, socket: &mut Socket) -> bool {
        self.slot.set_idle(true);
        let drained = body.drain(&mut On { socket, slot: self.slot, limits: self.limits });
        self.slot.set_busy();
        drained.is_ok()
    }

    fn write(
        &self,
        socket: &Socket,
        response: &Response,
        head_only: bool,
        close: bool,
    ) -> Result<u16, End> {
        let failed;
        let keep_alive = (!close).then_some(self.limits.idle_timeout.as_secs());
        let (status, parts) = match response.encode(head_only, keep_alive, unix_seconds()) {
            Ok(parts) => (response.status(), parts),
            Err(error) => {
                log_line!(Error, "answered {} with 500: {}", self.slot.peer, error);
                failed = Response::internal_error();
                let parts = failed.encode(head_only, keep_alive, unix_seconds());
                (500, parts.map_err(Error::Response)?)
            }
        };
        self.write_bytes(socket, [&parts.0, parts.1])?;
        Ok(status)
    }

    fn write_bytes(&self, socket: &Socket, parts: [&[u8]; 2]) -> Result<(), End> {
        let timeout = self.limits.write_timeout;
        write_parts(&**socket.stream(), &parts, timeout, self.limits).map_err(|_| End::Silent)
    }

    /// Ends a connection from which no further request is read. Answers the one that reaches no
    /// controller, if its client is still there.
    fn refuse(&self, socket: &mut Socket, end: End, head: Option<&Head>) {
        if let End::Answer(response, why) = end {
            // A head that was not parsed is still unread.
            let (path, head_only) = match (head, skip_empty_lines(socket.unread())) {
                (Some(head), _) => (&*head.path, head.method == Method::Head),
                // A handshake record (RFC 8446, 5.1): the client takes the port for one of TLS.
                (None, [0x16, 3, ..]) => ("a TLS handshake", false),
                (None, unread) => ("?", unread.starts_with(b"HEAD ")),
            };
            let peer = &self.slot.peer;
            log_line!(
                Info,
                "refused a request ({:?} from {}) with {}: {}",
                path,
                peer,
                response.status(),
                why
            );
            // An error means that the client has gone.
            drop(self.write(socket, &response, head_only, true));
        }
        self.linger(socket);
    }

    /// Lets the client read the last answer. The connection counts for no client of a proxy
    /// meanwhile, and makes room for a newcomer like an idle one, so that no crowd of such clients
    /// keeps a server full.
    fn linger(&self, socket: &mut Socket) {
        if self.slot.proxy {
            self.slot.release_client();
        }
        self.slot.set_idle(true);
        socket.linger(LINGER);
    }
}

/// Returns the response to what a controller returned; `None` is a panic.
fn answered(request: &Request, answer: Option<Result<Response, Error>>) -> Response {
    match answer {
        Some(Ok(response)) => request.for_session(response),
        Some(Err(Error::Answer(response))) if response.status() < 500 => {
            request.for_session(*response)
        }
        Some(Err(Error::Answer(response))) => {
            log_line!(Error, "the handler of {:?} failed with {}", request, response.status());
            *response
        }
        Some(Err(error)) => {
            let (level, status) = (request.level_of(&error), error.status());
            let why = error.into_text();
            // Quoted: the text may hold what the client sent, line breaks included.
            log_line!(level, "the handler of {:?} failed: {:?}; answered {}", request, why, status);
            Response::of_status(status)
        }
        None => {
            log_line!(Error, "the handler of {:?} panicked; answered 500", request);
            Response::internal_error()
        }
    }
}

fn late(error: std::io::Error, why: &str) -> End {
    match error.kind() {
        ErrorKind::TimedOut => End::answer(408, why.to_string()),
        _ => End::Silent,
    }
}
