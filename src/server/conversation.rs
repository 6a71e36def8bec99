//! The life of one WebSocket, from the 101 to the end of its socket, on the connection's thread.
//!
//! ```text
//! register ── write the 101 ── Opened ── read ──┬─ Message ── the handler ──┐
//!                                ▲              ├─ Ping ── a pong           │
//!                                └─ flush ◀─────┴───────────────────────────┘
//! Close, violation, failure, silence:  leave the registry ── Close frame ── its answer ── Closed
//! ```
//!
//! This file decides what a client is told after an error. The codes of the client's faults are in
//! `Violation::close_code`, those of a handler's errors in `Error::close_code`; what takes too long
//! or comes too often is closed with 1008 here. It knows no controller; it calls one function with
//! each event.
//!
//! # Theory of operation
//!
//! *Opening.* The order of the steps matters. The 101 is the first thing in the outbox, so nothing
//! can overtake it. The outbox is registered before the 101 is written, so a client that has its
//! 101 can be reached by every sender. The slot learns of the WebSocket before that, too, so a
//! shutdown can close it; if the server was closing already, this thread sends the Close frame
//! itself (see `connections`).
//!
//! *Running.* The thread handles every whole frame that it has read (a batch) and then writes what
//! its handlers sent meanwhile. Between two batches it waits, holding no lock:
//!
//! ```text
//! it waits until                               at most            and then
//! ─────────────────────────────────────────────────────────────────────────────────
//! all but one buffer has left for the client   write_timeout      the socket is shut
//! bytes come                                   ping_interval      it sends a ping
//! bytes come after a ping                      pong_timeout       1011
//! a message that has begun is whole            message_timeout    1008
//! the client answers a Close frame             close_timeout      the socket is shut
//! ```
//!
//! What has come of a message, and what a pong or the answer to a Close frame travels behind, earn
//! time at `min_rate`.
//!
//! The first row slows down a client that sends and does not read; whichever thread writes to that
//! client keeps its deadline. A handler may take as long as it likes: the client's bytes wait in
//! the system.
//!
//! *Ending.* The registration goes first: from there on no sender finds the client, and
//! `handle_disconnection` sees the registry without it. The Close frame follows everything that was
//! accepted before it, which the thread that writes still writes within its deadlines. Then this
//! thread reads on and skips what comes, until the client's Close frame, its end, or the deadline,
//! before the socket is shut: a client that finds the end of the connection before it has answered
//! takes the close for a failure. Where the client broke the framing, what follows cannot be read,
//! so the sending side is shut at once (`linger`). The handler is called for the last time.
//!
//! What was received whole is handled even if a write to the client has failed meanwhile, since
//! clients send and leave. After the server's own Close frame, or when the server has cut the
//! client off, nothing more is. A client that has only ended its own side may still read, and gets
//! what it is owed.
//!
//! *Memory.* A silent connection has two pages of stack, and this file is beneath its read. What
//! lives as long as the conversation is in a box; see [`apart`](crate::ground::system::apart) for
//! what keeps the rest off the stack.

use crate::comms::registry::{self, NotJoined, Registration};
use crate::error::Error;
use crate::ground::limits::{Limits, LINGER};
use crate::ground::logger::{log_line, Level};
use crate::ground::system::{contained, unix_seconds};
use crate::http::forwarded::Shown;
use crate::http::headers::Headers;
use crate::http::response::Response;
use crate::net::batch::{self, deliver, BatchGuard};
use crate::net::outbox::Outbox;
use crate::net::reader::Socket;
use crate::net::stream::after;
use crate::server::connections::Slot;
use crate::server::pace::Pace;
use crate::server::request::Request;
use crate::session::id::SessionId;
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::frame::{Frame, FrameHeader, OpCode};
use crate::websocket::handshake::{accept, Refusal};
use crate::websocket::message::{Assembler, Message, Received, Violation};
use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a conversation calls its handler with.
pub(crate) enum Event<'a> {
    /// The client has its 101 and can be reached.
    Opened,
    /// The client sent a message.
    Message(Message),
    /// The conversation is over. The client's Close frame, if it sent one.
    Closed(Option<&'a CloseFrame>),
}

/// Called with each event of a conversation, on the connection's thread.
pub(crate) type EventHandler<'a> = &'a mut dyn FnMut(&SessionId, Event) -> Result<(), Error>;

/// Answers the opening handshake and, when the request came over a connection, runs the whole
/// conversation. Returns the 101, or the refusal, for which the socket is left in the request.
pub(crate) fn open(
    request: &Request,
    protocols: &[&str],
    handler: EventHandler,
) -> Result<Response, Error> {
    match upgrade(request, protocols)? {
        Opening::Answered(response) => Ok(response),
        Opening::Opened(mut conversation) => {
            conversation.run(handler);
            // The controller goes on after the conversation, and may not return.
            conversation.slot.set_handling(true);
            // The client has its 101, with all fields; this one is written to nobody.
            Ok(Response::new().code(101))
        }
    }
}

/// What an opening handshake leads to.
enum Opening<'a> {
    /// A refusal, or the 101 of a request that came over no connection or whose client has gone.
    Answered(Response),
    Opened(Box<Conversation<'a>>),
}

#[inline(never)]
fn upgrade<'a>(request: &'a Request, protocols: &[&str]) -> Result<Opening<'a>, Error> {
    let mut response = match accept(&request.head, &request.service.origins, protocols) {
        Ok(response) => response,
        Err(refusal) => return Ok(Opening::Answered(refuse(request, refusal))),
    };
    let session = request.session();
    if let Some(cookie) = request.set_cookie() {
        response = response.header("Set-Cookie", &cookie);
    }
    let (slot, socket) = match (&request.slot, request.lock_socket().take()) {
        (Some(slot), Some(socket)) => (slot, socket),
        _ => return Ok(Opening::Answered(response)),
    };
    let first = response.encode_upgrade(unix_seconds())?;
    let stream = Arc::clone(socket.stream());
    let shared = Arc::clone(&request.service.shared);
    let most = shared.limits.connections_per_session;
    // Registered, and known to the slot, before the 101 is written: a client that has it is
    // reachable.
    let outbox = Outbox::new(session, stream, request.peer(), shared, first);
    let registration = match registry::join(&outbox, most) {
        Ok(registration) => registration,
        Err(refused) => {
            let status = match refused {
                NotJoined::TooMany => 429,
                NotJoined::Revoked => 403,
            };
            log_line!(Info, "refused a WebSocket ({:?}) with {}: {}", request, status, refused);
            *request.lock_socket() = Some(socket);
            return Ok(Opening::Answered(Response::of_status(status)));
        }
    };
    if slot.upgrade(&outbox) {
        batch::close_all([&outbox].into_iter(), &going_away());
    }
    if !outbox.open() {
        return Ok(Opening::Answered(response));
    }
    let has_one = |headers: &Headers| {
        headers.get("sec-websocket-protocol").map_or(false, |value| !value.is_empty())
    };
    if has_one(request.headers()) && !has_one(response.headers()) {
        // Most clients then fail, and the application sees a WebSocket that ends at once. What was
        // offered is not logged, since it may be the token of a login.
        log_line!(
            Info,
            "opened a WebSocket ({:?}) without a subprotocol: \
             WebsocketController::protocols has none that the client offers",
            request
        );
    }
    let peer = Shown(request.peer());
    log_line!(Debug, "{} connected to {:?} from {}", session.id, request.path(), peer);
    Ok(Opening::Opened(Conversation::new(request, slot, socket, outbox, registration)))
}

/// Logs why a handshake is refused and, for a page of another origin, how to allow it. Returns the
/// answer.
fn refuse(request: &Request, refusal: Refusal) -> Response {
    let allow = match (refusal, request.header("origin")) {
        (Refusal::Origin, Some(origin)) => {
            format!("; to allow it: Server::allowed_origins([{:?}])", origin)
        }
        _ => String::new(),
    };
    let status = refusal.status();
    log_line!(Info, "refused a WebSocket ({:?}) with {}: {}{}", request, status, refusal, allow);
    refusal.response()
}

/// Returns the Close frame that a shutdown sends.
pub(crate) fn going_away() -> CloseFrame {
    CloseFrame { code: CloseCode::GOING_AWAY, reason: "the server shuts down".to_string() }
}

struct Conversation<'a> {
    request: &'a Request,
    slot: &'a Slot,
    registration: Registration,
    socket: Box<Socket>,
    outbox: Arc<Outbox>,
    assembler: Assembler,
    /// When the message that has begun must be whole, without what its bytes have earned.
    message_deadline: Option<Instant>,
    /// Whether the batch has more than one frame, so that what is sent waits for its end.
    in_batch: bool,
    /// Messages and bytes of this batch, for the outbox's counts. Here, since on the stack they
    /// would lie beneath every handler.
    received: (u64, u64),
    /// Whether a ping was sent and nothing has come since.
    pinged: bool,
    pace: Option<Box<Pace>>,
    /// Whether the last frame ended a message or was a ping, and `pace` has not counted it.
    unpaced: bool,
}

/// Why a conversation ends.
enum End {
    /// The client sent a Close frame.
    Close(CloseFrame),
    /// The client broke the protocol or a limit.
    Violation(Violation),
    /// A message was not whole in time.
    Slow,
    /// The client sent more messages a second than it may.
    TooMany,
    /// Nothing came after a ping.
    Silent,
    /// The handler returned an error, with this code, or panicked.
    Failed(CloseCode),
    /// The server sent a Close frame: by another thread, or by the handler.
    Closed,
    /// The client ended its sending side without a Close frame. It may still read.
    Left,
    /// The connection has failed, or was cut off.
    Lost,
}

impl<'a> Conversation<'a> {
    #[inline(never)]
    fn new(
        request: &'a Request,
        slot: &'a Slot,
        socket: Box<Socket>,
        outbox: Arc<Outbox>,
        registration: Registration,
    ) -> Box<Conversation<'a>> {
        Box::new(Conversation {
            request,
            slot,
            registration,
            socket,
            outbox,
            assembler: Assembler::default(),
            message_deadline: None,
            in_batch: false,
            received: (0, 0),
            pinged: false,
            pace: Pace::new(request.service.shared.limits.messages_per_second),
            unpaced: false,
        })
    }

    fn id(&self) -> &SessionId {
        &self.outbox.session.id
    }

    fn limits(&self) -> &'a Limits {
        &self.request.service.shared.limits
    }

    /// Runs the conversation to the end of its socket.
    #[inline(never)]
    fn run(&mut self, handler: EventHandler) {
        let batch = BatchGuard::take(&self.outbox);
        let end = self.serve(&batch, handler);
        batch.end();
        self.registration.leave();
        let close = self.close_connection(end);
        self.log_end();
        // Its error was logged, and nothing is left to close.
        let _ = self.call_handler(handler, Event::Closed(close.as_ref()));
    }

    /// Calls the handler with what the client sends, until one side ends it. Returns why.
    fn serve(&mut self, batch: &BatchGuard, handler: EventHandler) -> End {
        if let Err(code) = self.call_handler(handler, Event::Opened) {
            return End::Failed(code);
        }
        loop {
            if let Err(end) = self.handle_batch(batch, handler).and_then(|()| self.read()) {
                return end;
            }
        }
    }

    /// Handles what was read, writes what was sent meanwhile, and waits for a client that is
    /// behind.
    fn handle_batch(&mut self, batch: &BatchGuard, handler: EventHandler) -> Result<(), End> {
        let result = self.handle_frames(batch, handler);
        let (messages, bytes) = std::mem::take(&mut self.received);
        self.outbox.heard(messages, bytes);
        result?;
        self.in_batch = false;
        batch::flush();
        // A client that does not read is not read from. The message that it is sending gets the
        // time back.
        if let (Some(waited), Some(deadline)) =
            (self.outbox.wait_for_reader(), &mut self.message_deadline)
        {
            *deadline = deadline.checked_add(waited).unwrap_or(*deadline);
        }
        Ok(())
    }

    /// Handles every whole frame that was read.
    fn handle_frames(&mut self, batch: &BatchGuard, handler: EventHandler) -> Result<(), End> {
        let limits = self.limits();
        loop {
            if self.outbox.is_closing() {
                return Err(End::Closed);
            }
            // Counted here, when its handler has returned and its message is off the stack.
            if let (true, Some(pace)) = (self.unpaced, &mut self.pace) {
                if !pace.count() {
                    return Err(End::TooMany);
                }
            }
            let (used, received) =
                self.assembler.read(self.socket.unread(), limits).map_err(End::Violation)?;
            self.socket.consume(used);
            self.received.1 += used as u64;
            self.received.0 += u64::from(matches!(received, Some(Received::Message(_))));
            if received.is_some() && !self.assembler.in_progress() {
                self.message_deadline = None;
            }
            self.unpaced = matches!(received, Some(Received::Message(_) | Received::Ping(_)));
            match received {
                None => return Ok(()),
                Some(Received::Message(message)) => self.handle_message(message, batch, handler)?,
                Some(Received::Ping(payload)) => {
                    let pong = Frame::new(OpCode::Pong, &payload);
                    if self.outbox.may_pong(&pong) {
                        self.in_batch = true;
                        batch.cork(true);
                        // An error means that the connection has ended; the next read finds that.
                        drop(deliver(&self.outbox, &pong));
                    }
                }
                Some(Received::Pong(_)) => {}
                Some(Received::Close(close)) => return Err(End::Close(close)),
            }
        }
    }

    /// Returns whether a part of a frame or of a message has come.
    fn is_incomplete(&mut self) -> bool {
        self.assembler.in_progress() || !self.socket.unread().is_empty()
    }

    fn handle_message(
        &mut self,
        message: Message,
        batch: &BatchGuard,
        handler: EventHandler,
    ) -> Result<(), End> {
        // When the batch has more, before this frame or after it, one write at its end serves all
        // of it. The clock writes earlier if a handler is slow.
        self.in_batch = self.in_batch || whole_frame(self.socket.unread());
        batch.cork(self.in_batch);
        self.call_handler(handler, Event::Message(message)).map_err(End::Failed)
    }

    /// Calls the handler. Its error or panic is logged and costs only this conversation, which ends
    /// with the code.
    fn call_handler(&self, handler: EventHandler, event: Event) -> Result<(), CloseCode> {
        self.slot.set_handling(true);
        let result = contained(|| handler(self.id(), event));
        self.slot.set_handling(false);
        match result {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(self.handler_failed(error)),
            None => Err(self.handler_panicked()),
        }
    }

    /// Reads once, sends a ping when nothing comes, and keeps the deadlines of the module's table.
    #[inline(never)]
    fn read(&mut self) -> Result<(), End> {
        let limits = self.limits();
        self.pace.iter_mut().for_each(|pace| pace.begin_read());
        self.message_deadline = match (self.is_incomplete(), self.message_deadline) {
            (false, _) => None,
            (true, None) => Some(after(limits.message_timeout)),
            (true, known) => known,
        };
        let earned = limits.earned(self.assembler.progress());
        let dead = self.message_deadline.map(|dead| dead.checked_add(earned).unwrap_or(dead));
        loop {
            let patience = self.patience();
            let read = match dead {
                None => self.socket.fill_within(patience),
                Some(dead) => self.socket.fill(dead.min(after(patience))),
            };
            match read {
                Ok(0) => return Err(End::Left),
                Ok(_) => {
                    self.pinged = false;
                    self.outbox.hear();
                    self.pace.iter_mut().for_each(|pace| pace.end_read());
                    return Ok(());
                }
                Err(error) if error.kind() != ErrorKind::TimedOut => return Err(End::Lost),
                Err(_) if self.outbox.is_closing() => return Err(End::Closed),
                Err(_) if dead.map_or(false, |dead| dead <= Instant::now()) => {
                    return Err(End::Slow)
                }
                // A ping would wait behind what is pending, and for that the writer has a deadline.
                Err(_) if limits.ping_interval.is_zero() || self.outbox.is_behind() => {}
                Err(_) if self.pinged => return Err(End::Silent),
                Err(_) => {
                    // A ping that was refused cannot be answered.
                    self.pinged = self.outbox.ping();
                    self.socket.shrink();
                }
            }
        }
    }

    /// Returns how long the client may be silent. A ping travels behind everything that was written
    /// before it, of which the system may hold some megabytes, so a slow line gets the time for
    /// that.
    fn patience(&self) -> Duration {
        let limits = self.limits();
        if limits.ping_interval.is_zero() {
            return Duration::from_secs(86_400);
        }
        if !self.pinged {
            return limits.ping_interval;
        }
        limits.pong_timeout.saturating_add(self.outbox.way().min(limits.write_timeout))
    }

    /// Logs why the client is closed, with the setting that decided, and returns what it is told.
    fn log_close(&self, code: CloseCode, why: &str, setting: &str) -> (CloseCode, String) {
        log_line!(Info, "closed {} with {}: {}{}", self, code, why, setting);
        (code, why.to_string())
    }

    /// Sends the Close frame, lets the client read it, and shuts the socket. Returns the client's
    /// Close frame.
    #[inline(never)]
    fn close_connection(&mut self, end: End) -> Option<CloseFrame> {
        let (policy, own_fault) = (CloseCode::POLICY_VIOLATION, CloseCode::INTERNAL_ERROR);
        let (code, reason) = match &end {
            End::Close(close) => (close.code, close.reason.clone()),
            End::Violation(violation) => {
                self.log_close(violation.close_code(), &violation.to_string(), "")
            }
            End::Slow => {
                self.log_close(policy, "the message took too long", " (Limits::message_timeout)")
            }
            End::TooMany => {
                self.log_close(policy, "too many messages", " (Limits::messages_per_second)")
            }
            End::Silent => {
                self.log_close(own_fault, "no answer to a ping", " (Limits::pong_timeout)")
            }
            End::Failed(code) => (*code, String::new()),
            End::Closed | End::Left | End::Lost => (CloseCode::NORMAL, String::new()),
        };
        if !matches!(end, End::Closed | End::Left | End::Lost) {
            self.outbox.queue_close(&CloseFrame { code, reason });
            self.outbox.write_pending();
        }
        // What was sent before leaves before.
        let close = match (end, self.outbox.wait_until_written()) {
            (End::Close(close), written) => {
                // A client that has closed and sent nothing after that loses nothing by a close at
                // once.
                if written && !self.socket.unread().is_empty() {
                    self.linger();
                }
                Some(close)
            }
            (End::Left | End::Lost, _) | (_, false) => None,
            (End::Violation(violation), _) if !violation.keeps_framing() => {
                self.linger();
                None
            }
            _ => self.await_close(),
        };
        self.outbox.close();
        close
    }

    /// Reads on and skips what comes, until the client's Close frame, its end, or the deadline.
    #[inline(never)]
    fn await_close(&mut self) -> Option<CloseFrame> {
        let (refused, limits) = (self.assembler.skip(), self.limits());
        self.socket.consume(refused);
        loop {
            match self.assembler.read(self.socket.unread(), limits) {
                Ok((used, None)) => {
                    self.socket.consume(used);
                    let left = self.outbox.time_to_close();
                    if !matches!(self.socket.fill(after(left)), Ok(1..)) {
                        return None;
                    }
                }
                Ok((_, Some(Received::Close(close)))) => return Some(close),
                Ok((used, Some(_))) => self.socket.consume(used),
                Err(_) => {
                    self.linger();
                    return None;
                }
            }
        }
    }

    /// Shuts the sending side, and drops what comes until the client's end, within the time for its
    /// Close frame.
    fn linger(&mut self) {
        self.socket.linger(LINGER.min(self.outbox.time_to_close()));
    }

    #[inline(never)]
    fn handler_failed(&self, error: Error) -> CloseCode {
        let code = error.close_code();
        let own_fault = code == CloseCode::INTERNAL_ERROR;
        let level = if own_fault { Level::Error } else { Level::Info };
        let text = error.into_text();
        // Quoted: the text may hold what a client sent, line breaks included.
        log_line!(level, "the handler of {} failed: {:?}", self, text);
        code
    }

    #[inline(never)]
    fn handler_panicked(&self) -> CloseCode {
        log_line!(Error, "the handler of {} panicked", self);
        CloseCode::INTERNAL_ERROR
    }

    #[inline(never)]
    fn log_end(&self) {
        log_line!(Debug, "{} disconnected", self);
    }
}

/// The client, as log lines name it.
impl fmt::Display for Conversation<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let peer = Shown(self.request.peer());
        write!(out, "{} ({}, {:?})", self.id(), peer, self.request.path())
    }
}

/// Returns whether the bytes begin with a whole frame.
fn whole_frame(bytes: &[u8]) -> bool {
    match FrameHeader::parse(bytes) {
        Ok(Some((header, used))) => header.length <= (bytes.len() - used) as u64,
        _ => false,
    }
}
