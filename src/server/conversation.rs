//! The life of one WebSocket: from the 101 to the end of the socket, on the connection's thread.
//!
//! ```text
//!   join the map ── write the 101 ── Opened ── read a batch ─┬─ Message ── the handler ──┐
//!                                       ▲                    ├─ Ping ── a pong           │
//!                                       └────────────────────┴───────────────────────────┘
//!   Close, violation, failure, silence:  leave the map ── Close frame ── linger ── Closed
//! ```
//!
//! This file decides what a client is told after an error; the codes of its own faults are in
//! `Violation::close_code`, those of a handler's in `Error::close_code`. It knows no controller: what
//! happens is told to a function.

use crate::comms::registry::{self, NotJoined, Registration};
use crate::error::Error;
use crate::ground::limits::{Limits, LINGER, WRITE_RATE};
use crate::ground::logger::{log_line, Level};
use crate::ground::system::unix_seconds;
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
use std::io::ErrorKind;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What happens in a conversation.
pub(crate) enum Event<'a> {
    /// The client has the 101 and can be reached.
    Opened,
    /// The client sent a message.
    Message(Message),
    /// The conversation is over; the client's Close frame, if it sent one.
    Closed(Option<&'a CloseFrame>),
}

/// Told what happens, on the connection's thread, one event at a time.
pub(crate) type EventHandler<'a> = &'a mut dyn FnMut(&SessionId, Event) -> Result<(), Error>;

/// Answers the opening handshake and, when the request came over a connection, runs the whole
/// conversation before it returns. The response is the 101, or a refusal, for which the socket is
/// left in the request.
pub(crate) fn open(
    request: &Request,
    protocols: &[&str],
    handler: EventHandler,
) -> Result<Response, Error> {
    match upgrade(request, protocols)? {
        Opening::Answered(response) => Ok(response),
        Opening::Opened(mut conversation) => {
            conversation.run(handler);
            // The handler goes on after its conversation, and may not return.
            conversation.slot.set_handling(true);
            // The client got the 101 with its fields long ago; nobody needs them any more.
            Ok(Response::new().code(101))
        }
    }
}

enum Opening<'a> {
    /// There is nobody to talk to.
    Answered(Response),
    Opened(Box<Conversation<'a>>),
}

/// Answers the opening handshake. Not inlined: its locals would lie on the stack for as long as the
/// conversation lasts.
#[inline(never)]
fn upgrade<'a>(request: &'a Request, protocols: &[&str]) -> Result<Opening<'a>, Error> {
    let mut response = match accept(request.head(), &request.service().origins, protocols) {
        Ok(response) => response,
        Err(refusal) => return Ok(Opening::Answered(refuse(request, refusal))),
    };
    let session = request.session();
    if let Some(cookie) = request.set_cookie() {
        response = response.header("Set-Cookie", &cookie);
    }
    let (slot, socket) = match (request.slot(), request.take_socket()) {
        (Some(slot), Some(socket)) => (slot, socket),
        _ => return Ok(Opening::Answered(response)),
    };
    let first = response.encode_upgrade(unix_seconds())?;
    let stream = Arc::clone(socket.stream());
    let shared = Arc::clone(&request.service().shared);
    let most = shared.limits.connections_per_session;
    let outbox = Outbox::new(session, stream, request.peer(), shared, first);
    let registration = match registry::join(&outbox, most) {
        Ok(registration) => registration,
        Err(refused) => {
            log_line!(Info, "refused a WebSocket to {:?}: {}", request, refused);
            request.put_socket(socket);
            return Ok(Opening::Answered(Response::of_status(match refused {
                NotJoined::TooMany => 429,
                NotJoined::Revoked => 403,
            })));
        }
    };
    if slot.upgrade(&outbox) {
        batch::close_all([&outbox].into_iter(), &going_away());
    }
    // The 101 is the first thing in the outbox, so nothing can overtake it, and whoever has seen
    // it can be reached, by senders and by a shutdown.
    if !outbox.open() {
        return Ok(Opening::Answered(response));
    }
    log_line!(Debug, "{} connected to {:?} from {}", session.id, request.path(), request.peer());
    Ok(Opening::Opened(Conversation::new(request, slot, socket, outbox, registration)))
}

/// Logs a refusal, and for a foreign page how to allow it; returns the answer.
fn refuse(request: &Request, refusal: Refusal) -> Response {
    let allow = match (refusal, request.header("origin")) {
        (Refusal::Origin, Some(origin)) => {
            format!("; to allow it: Server::allowed_origins([{:?}])", origin)
        }
        _ => String::new(),
    };
    log_line!(Info, "refused a WebSocket to {:?}: {}{}", request, refusal, allow);
    refusal.response()
}

/// Returns the Close frame of a server that shuts down.
pub(crate) fn going_away() -> CloseFrame {
    CloseFrame { code: CloseCode::GOING_AWAY, reason: "the server shuts down".to_string() }
}

struct Conversation<'a> {
    limits: &'a Limits,
    slot: &'a Slot,
    /// The place in the map, until the end.
    registration: Registration,
    socket: Box<Socket>,
    outbox: Arc<Outbox>,
    assembler: Assembler,
    /// When the message that is coming must be whole.
    message_deadline: Option<Instant>,
    /// When the client must have answered our Close frame.
    close_deadline: Option<Instant>,
    /// Several frames were there to be handled at once.
    in_batch: bool,
    /// Messages and bytes that came and are not in the outbox's counts yet. Here and not on the stack,
    /// where all that a handler calls lies on it.
    received: (u64, u64),
    /// A ping was sent and nothing came since.
    pinged: bool,
    /// What had been written when something came last.
    written_when_heard: usize,
    pace: Option<Box<Pace>>,
    /// The last frame ended a message, or was a ping, and is not counted yet.
    unpaced: bool,
}

/// Why a conversation ends.
enum End {
    /// The client sent a Close frame.
    Close(CloseFrame),
    /// The client broke the protocol or a limit.
    Violation(Violation),
    /// A message took too long to arrive.
    Slow,
    /// More messages came in a second than may.
    TooMany,
    /// Nothing came after a ping.
    Silent,
    /// The handler returned an error, with this code, or panicked.
    Failed(CloseCode),
    /// The connection ended without a Close frame.
    Lost,
}

impl<'a> Conversation<'a> {
    /// Not inlined, and boxed: see `begin`.
    #[inline(never)]
    fn new(
        request: &'a Request,
        slot: &'a Slot,
        socket: Box<Socket>,
        outbox: Arc<Outbox>,
        registration: Registration,
    ) -> Box<Conversation<'a>> {
        Box::new(Conversation {
            limits: &request.service().shared.limits,
            slot,
            registration,
            socket,
            outbox,
            assembler: Assembler::default(),
            message_deadline: None,
            close_deadline: None,
            in_batch: false,
            received: (0, 0),
            pinged: false,
            written_when_heard: 0,
            pace: Pace::new(request.service().shared.limits.messages_per_second),
            unpaced: false,
        })
    }

    fn id(&self) -> &SessionId {
        &self.outbox.session.id
    }

    #[inline(never)]
    fn run(&mut self, handler: EventHandler) {
        let batch = BatchGuard::take(&self.outbox);
        let end = self.serve(&batch, handler);
        batch.end();
        self.registration.leave();
        let close = self.close_connection(end);
        log_line!(Debug, "{} has gone", self.id());
        // Its error was logged, and there is nothing left to end.
        let _ = self.call_handler(handler, Event::Closed(close.as_ref()));
    }

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

    /// Handles everything that was read, and writes the answers.
    fn handle_batch(&mut self, batch: &BatchGuard, handler: EventHandler) -> Result<(), End> {
        let result = self.handle_frames(batch, handler);
        let (messages, bytes) = std::mem::take(&mut self.received);
        self.outbox.heard(messages, bytes);
        result?;
        self.in_batch = false;
        batch::flush();
        // A client that does not read what it is sent is not read from. That is not held against
        // the message that it is sending.
        if let (Some(waited), Some(deadline)) =
            (self.outbox.wait_for_reader(), &mut self.message_deadline)
        {
            *deadline = deadline.checked_add(waited).unwrap_or(*deadline);
        }
        Ok(())
    }

    /// Handles all whole frames that were read.
    fn handle_frames(&mut self, batch: &BatchGuard, handler: EventHandler) -> Result<(), End> {
        loop {
            // Here, where nothing that was received would lie on the stack meanwhile.
            if let (true, Some(pace)) = (self.unpaced, &mut self.pace) {
                if !pace.count() {
                    return Err(End::TooMany);
                }
            }
            let (used, received) =
                self.assembler.read(self.socket.unread(), self.limits).map_err(End::Violation)?;
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
                        // Refused when the connection has ended, which the next read will tell.
                        drop(deliver(&self.outbox, &pong));
                    }
                }
                Some(Received::Pong(_)) => {}
                Some(Received::Close(close)) => return Err(End::Close(close)),
            }
        }
    }

    /// Returns whether a part of a frame or of a message has come and the rest has not.
    fn is_incomplete(&mut self) -> bool {
        self.assembler.in_progress() || !self.socket.unread().is_empty()
    }

    fn handle_message(
        &mut self,
        message: Message,
        batch: &BatchGuard,
        handler: EventHandler,
    ) -> Result<(), End> {
        // After our own Close nothing counts but the client's (RFC 6455, 5.5.1).
        if self.outbox.is_closing() {
            return Ok(());
        }
        // What is sent waits for the end of the batch, if there is more of it: a whole frame comes
        // next, or one came before. The clock sees to it that this is not long.
        self.in_batch = self.in_batch || whole_frame(self.socket.unread());
        batch.cork(self.in_batch);
        self.call_handler(handler, Event::Message(message)).map_err(End::Failed)
    }

    /// Calls the handler, and notes for a shutdown that it runs. Its error, or its panic, ends this
    /// conversation with the code and nothing else.
    fn call_handler(&self, handler: EventHandler, event: Event) -> Result<(), CloseCode> {
        self.slot.set_handling(true);
        let result = catch_unwind(AssertUnwindSafe(|| handler(self.id(), event)));
        self.slot.set_handling(false);
        match result {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(handler_failed(self.id(), &error)),
            Err(_) => Err(handler_panicked(self.id())),
        }
    }

    /// Waits for bytes. Pings when none came for a while; gives up on a message that does not
    /// become whole and on a client that does not answer a ping.
    #[inline(never)]
    fn read(&mut self) -> Result<(), End> {
        if let Some(pace) = &mut self.pace {
            pace.begin_read();
        }
        self.message_deadline = match (self.is_incomplete(), self.message_deadline) {
            (false, _) => None,
            (true, None) => Some(after(self.limits.message_timeout)),
            (true, known) => known,
        };
        let limits = self.limits;
        if self.outbox.is_closing() && self.close_deadline.is_none() {
            self.close_deadline = Some(after(limits.close_timeout));
        }
        loop {
            let dead = [self.message_deadline, self.close_deadline].into_iter().flatten().min();
            let patience = self.patience();
            let read = match dead {
                None => self.socket.fill_within(patience),
                Some(dead) => self.socket.fill(dead.min(after(patience))),
            };
            match read {
                Ok(0) => return Err(End::Lost),
                Ok(_) => {
                    self.pinged = false;
                    self.written_when_heard = self.outbox.written();
                    if let Some(pace) = &mut self.pace {
                        pace.end_read();
                    }
                    return Ok(());
                }
                Err(error) if error.kind() != ErrorKind::TimedOut => return Err(End::Lost),
                Err(_) if has_passed(self.close_deadline) => return Err(End::Lost),
                Err(_) if has_passed(self.message_deadline) => return Err(End::Slow),
                // What waits for the client has a deadline of its own; a ping would wait behind it.
                Err(_) if limits.ping_interval.is_zero() || self.outbox.is_behind() => {}
                Err(_) if self.pinged => return Err(End::Silent),
                Err(_) => {
                    self.outbox.ping();
                    self.socket.shrink();
                    self.pinged = true;
                }
            }
        }
    }

    /// Returns how long the client may be silent. A ping waits behind what was written before it
    /// and may not have arrived: the system holds up to some megabytes of that.
    fn patience(&self) -> Duration {
        let limits = self.limits;
        if limits.ping_interval.is_zero() {
            return Duration::from_secs(86_400);
        }
        if !self.pinged {
            return limits.ping_interval;
        }
        let unheard = self.outbox.written().wrapping_sub(self.written_when_heard) as u64;
        let way = Duration::from_secs(unheard / WRITE_RATE).min(limits.write_timeout);
        limits.pong_timeout.saturating_add(way)
    }

    /// Logs what the client is told, and why.
    fn log_close(&self, code: CloseCode, why: String) -> (CloseCode, String) {
        log_line!(Info, "closed {} with {}: {}", self.id(), code, why);
        (code, why)
    }

    /// Tells the client why, and lets it read that. Returns the client's Close frame.
    #[inline(never)]
    fn close_connection(&mut self, end: End) -> Option<CloseFrame> {
        let too_much = CloseCode::POLICY_VIOLATION;
        let (code, reason) = match &end {
            End::Close(close) => (close.code, close.reason.clone()),
            End::Violation(violation) => {
                self.log_close(violation.close_code(), violation.to_string())
            }
            End::Slow => self.log_close(too_much, "the message took too long".to_string()),
            End::TooMany => self.log_close(too_much, "too many messages".to_string()),
            End::Silent => {
                self.log_close(CloseCode::INTERNAL_ERROR, "no answer to a ping".to_string())
            }
            End::Failed(code) => (*code, String::new()),
            End::Lost => {
                self.outbox.close();
                return None;
            }
        };
        self.outbox.queue_close(&CloseFrame { code, reason });
        self.outbox.write_pending();
        // What was sent before the Close frame, and the frame, still leave.
        let deadline = after(self.limits.close_timeout);
        let written = self.outbox.wait_until_written(deadline);
        // A client that sends no more loses nothing when the socket is closed at once.
        let done = matches!(end, End::Close(_)) && self.socket.unread().is_empty();
        if written && !done {
            self.socket.linger(LINGER.min(deadline.saturating_duration_since(Instant::now())));
        }
        self.outbox.close();
        match end {
            End::Close(close) => Some(close),
            _ => None,
        }
    }
}

fn has_passed(deadline: Option<Instant>) -> bool {
    deadline.map_or(false, |deadline| deadline <= Instant::now())
}

/// Returns whether the bytes begin with a whole frame.
fn whole_frame(bytes: &[u8]) -> bool {
    match FrameHeader::parse(bytes) {
        Ok(Some((header, used))) => header.length <= (bytes.len() - used) as u64,
        _ => false,
    }
}

// Not inlined: what they need to write a line would lie beneath every call of a handler.

#[inline(never)]
fn handler_failed(id: &SessionId, error: &Error) -> CloseCode {
    // Quoted: the text may hold what a client sent, and no line break of that.
    let (code, why) = (error.close_code(), error.to_string());
    let own = code == CloseCode::INTERNAL_ERROR;
    let level = if own { Level::Error } else { Level::Info };
    log_line!(level, "the handler of {} failed: {:?}", id, why);
    code
}

#[inline(never)]
fn handler_panicked(id: &SessionId) -> CloseCode {
    log_line!(Error, "the handler of {} panicked", id);
    CloseCode::INTERNAL_ERROR
}
