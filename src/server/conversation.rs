//! The life of one WebSocket, from its 101 to the end of its socket, on the connection's thread.
//! The application pulls: each call of `receive` goes on until it has the client's next message.
//!
//! ```text
//! receive ──▶ a whole frame in the buffer? ──┬─ a message ──▶ the application
//!    ▲          │ no                         └─ a ping ──▶ a pong, and again
//!    │          ▼
//!    └─ read ◀─ the end of the batch: what was sent meanwhile is written
//!
//! Close, violation, silence, shutdown, or the application's own end:
//!      leave the registry ── Close frame ── the client's answer ── receive returns the end for ever
//! ```
//!
//! This file decides what a client is told after an error. The codes of the client's faults are in
//! `Violation::close_code`, those of the application's errors in `Error::close_code`. `upgrade`
//! opens the WebSocket and runs the application's part.
//!
//! # Theory of operation
//!
//! *Running.* The application handles every whole frame that has been read (a batch), and what it
//! sends meanwhile is written at the end, when `receive` finds no whole frame. Then the thread
//! waits, holding no lock:
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
//! time at `min_rate`. Silence is summed up over reads that time out, so a loop over
//! `receive_timeout` pings like one over `receive`.
//!
//! The first row slows down a client that sends and does not read, also between two messages of a
//! batch; whichever thread writes to that client keeps its deadline. Between two calls the
//! application may take as long as it likes: the client's bytes wait in the system, and the clock of
//! a message that has begun stands still.
//!
//! *Ending.* The registration goes first: from there on no sender finds the client. The Close frame
//! follows everything that was accepted before it, which the thread that writes still writes within
//! its deadlines. Then this thread reads on and skips what comes, until the client's Close frame,
//! its end, or the deadline, before the socket is shut: a client that finds the end of the
//! connection before it has answered takes the close for a failure. Where the client broke the
//! framing, what follows cannot be read, so the sending side is shut at once (`linger`). The first
//! end is the one that counts, whatever the application does after it.
//!
//! What was received whole is handled even if a write to the client has failed meanwhile, since
//! clients send and leave. After the server's own Close frame, or when the server has cut the
//! client off, nothing more is. A client that has only ended its own side may still read, and gets
//! what it is owed.
//!
//! *Memory.* A silent connection has two pages of stack, and this file is beneath its read. What
//! lives as long as the conversation is in a box; see [`apart`](crate::ground::system::apart) for
//! what keeps the rest off the stack.

use crate::comms::registry::Registration;
use crate::comms::websocket::Websocket;
use crate::error::Error;
use crate::ground::limits::LINGER;
use crate::ground::logger::{log_line, Level};
use crate::ground::peer::Peer;
use crate::net::batch::{deliver_to_own, BatchGuard};
use crate::net::outbox::Outbox;
use crate::net::reader::Socket;
use crate::net::stream::after;
use crate::server::connections::Slot;
use crate::server::pace::Pace;
use crate::session::id::SessionId;
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::forms::Forms;
use crate::websocket::frame::{apply_mask, Frame, OpCode};
use crate::websocket::message::{Assembler, Message, Outgoing, Received, Violation};
use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The most calls of `receive` after the end. A loop that ignores every error would never end.
const CALLS_AFTER_END: u32 = 1000;
/// How often a thread looks for the client's answer to a Close frame when its receiving side was
/// shut to wake it: then a read does not wait.
const WOKEN_PAUSE: Duration = Duration::from_millis(10);
/// The shortest time between two looks of [`poll`](Connection::poll) at the socket.
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// One open WebSocket, in straight-line code: what [`Request::upgrade`] calls its closure with.
///
/// ```
/// use sockling::prelude::*;
///
/// fn quiz(request: &Request) -> Result<Response, Error> {
///     request.upgrade(&[], |client| {
///         client.send("Your name?")?;
///         while let Some(message) = client.receive()? {
///             client.send(format!("Hello {}", message.as_text().unwrap_or("?")))?;
///         }
///         Ok(())
///     })
/// }
/// let handler = Handler::new("/quiz", quiz);
/// ```
///
/// What it knows of its client, and a handle that another thread may keep:
///
/// ```
/// use sockling::prelude::*;
///
/// fn clock(client: &mut Connection) -> Result<(), Error> {
///     println!("{} from {}: {:?}", client.session_id(), client.peer(), client.protocol());
///     let handle = client.websocket();
///     std::thread::spawn(move || handle.send("from another thread"));
///     while client.receive()?.is_some() {}
///     Ok(())
/// }
/// let handler = Handler::new("/clock", |request: &Request| request.upgrade(&["v1"], clock));
/// ```
///
/// It belongs to its thread:
///
/// ```compile_fail,E0277
/// fn is_send<T: Send>() {}
/// is_send::<sockling::Connection>();
/// ```
///
/// All of it runs on the connection's own thread. Other threads reach the client by the handle that
/// [`websocket`](Connection::websocket) returns, or by [`Comms`](crate::Comms).
///
/// Pings are answered, and all deadlines are kept, inside [`receive`](Connection::receive),
/// [`receive_timeout`](Connection::receive_timeout) and [`poll`](Connection::poll). While the
/// closure is elsewhere, nothing is read. What it sends is written at the latest when one of them
/// finds no further message that has arrived, or after 10 ms.
///
/// The first end counts: a violation, a timeout, the client's Close frame, or a close by the
/// server. From then on the calls return the same again, and whatever the closure returns closes
/// nothing any more.
///
/// [`Request::upgrade`]: crate::http::Request::upgrade
pub struct Connection {
    path: String,
    peer: Peer,
    protocol: Option<String>,
    slot: Arc<Slot>,
    registration: Registration,
    socket: Box<Socket>,
    outbox: Arc<Outbox>,
    batch: BatchGuard,
    assembler: Assembler,
    /// When the message that has begun must be whole, without what its bytes have earned.
    message_deadline: Option<Instant>,
    /// When the application took over with such a message in progress, whose clock stands still.
    left: Option<Instant>,
    /// Whether the batch has more than one frame, so that what is sent waits for its end.
    in_batch: bool,
    /// Messages and bytes of this batch, for the outbox's counts.
    received: (u64, u64),
    /// How long nothing has come, and whether a ping was sent meanwhile.
    silence: Duration,
    pinged: bool,
    pace: Option<Box<Pace>>,
    /// Whether the last frame ended a message or was a ping, and `pace` has not counted it.
    unpaced: bool,
    /// When the socket was last looked at and nothing had come. `None` where `poll` has to look.
    looked: Option<Instant>,
    over: Option<Over>,
}

/// How the conversation has ended, and how often the application has asked since.
struct Over {
    violation: Option<Violation>,
    /// The Close frame that came first: the client's or the server's.
    close: Option<CloseFrame>,
    /// The client's.
    answer: Option<CloseFrame>,
    /// Whether the client's answer to a Close frame is still to be waited for.
    awaits: bool,
    calls: u32,
}

/// What [`Connection::receive_timeout`] returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The client's next message.
    Message(Message),
    /// The time has passed, and no message is whole. What has come of one is kept.
    Timeout,
    /// The client has closed or gone, or the server has closed.
    Closed,
}

/// Why a conversation ends.
pub(crate) enum End {
    /// The client sent a Close frame.
    Close(CloseFrame),
    /// The client broke the protocol or a limit.
    Violation(Violation),
    /// The application closes, or has failed.
    Own(CloseFrame),
    /// The server sent a Close frame: by another thread, or by a handle.
    Closed,
    /// The client ended its sending side without a Close frame. It may still read.
    Left,
    /// The connection has failed, or was cut off.
    Lost,
}

impl Connection {
    #[allow(clippy::too_many_arguments)]
    #[inline(never)]
    pub(crate) fn new(
        path: &str,
        peer: Peer,
        protocol: Option<&str>,
        slot: &Arc<Slot>,
        socket: Box<Socket>,
        outbox: Arc<Outbox>,
        registration: Registration,
    ) -> Box<Connection> {
        let pace = Pace::new(outbox.shared.limits.messages_per_second);
        slot.set_handling(true);
        #[cfg(not(feature = "deflate"))]
        let assembler = Assembler::default();
        #[cfg(feature = "deflate")]
        let assembler = match outbox.window() {
            0 => Assembler::default(),
            _ => Assembler::inflating(),
        };
        Box::new(Connection {
            path: path.to_string(),
            peer,
            protocol: protocol.map(str::to_string),
            slot: Arc::clone(slot),
            registration,
            socket,
            batch: BatchGuard::take(&outbox),
            outbox,
            assembler,
            message_deadline: None,
            left: None,
            in_batch: false,
            received: (0, 0),
            silence: Duration::ZERO,
            pinged: false,
            pace,
            unpaced: false,
            looked: None,
            over: None,
        })
    }

    /// Waits for the client's next message and returns it, or `None` once the client has closed or
    /// gone, or the server has closed: see [`close_frame`](Connection::close_frame).
    ///
    /// Blocks until then. A `close` by another thread, a shutdown of the server and the end of the
    /// login wake it.
    ///
    /// # Errors
    ///
    /// [`Error::Violation`] if the client broke the protocol or a limit, or was too slow. The
    /// connection is closed then, with that violation's code.
    ///
    /// # Panics
    ///
    /// At the thousandth call after the end, which is a loop that ignores the end.
    #[inline]
    pub fn receive(&mut self) -> Result<Option<Message>, Error> {
        match self.next(None) {
            Next::Message(message) => Ok(Some(message)),
            Next::Timeout | Next::Closed => self.ended().map(|()| None),
        }
    }

    /// Waits like [`receive`](Connection::receive), but for `longest` at most. It looks for a
    /// message at least once, even if that time is zero. A timeout loses nothing of a message that
    /// has begun. Systems count such a wait in ticks, so it may take some milliseconds longer.
    ///
    /// ```
    /// use sockling::prelude::*;
    /// use std::time::Duration;
    ///
    /// fn ask(client: &mut Connection) -> Result<(), Error> {
    ///     client.send("Still there?")?;
    ///     match client.receive_timeout(Duration::from_secs(10))? {
    ///         Next::Message(answer) => println!("{:?}", answer),
    ///         Next::Timeout => client.close(CloseCode::POLICY_VIOLATION, "no answer")?,
    ///         Next::Closed => println!("gone: {:?}", client.close_frame()),
    ///     }
    ///     Ok(())
    /// }
    /// let handler = Handler::new("/ask", |request: &Request| request.upgrade(&[], ask));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`receive`](Connection::receive).
    pub fn receive_timeout(&mut self, longest: Duration) -> Result<Next, Error> {
        match self.next(Some(after(longest))) {
            Next::Closed => self.ended().map(|()| Next::Closed),
            next => Ok(next),
        }
    }

    /// Answers pings and looks for the client's end, and leaves its messages for
    /// [`receive`](Connection::receive): for code that computes for long and must not be taken for
    /// dead. Returns whether the client was still there.
    ///
    /// It is meant to be called often: it looks at the socket at most every 100 ms. Such a look may
    /// block for two ticks of the system's timer, 8 ms at most, because std has no read that does
    /// not wait. What is in front of the first message that does not fit into the buffer
    /// ([`Limits::buffer`](crate::limits::Limits::buffer)) is looked at.
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// fn render(client: &mut Connection) -> Result<(), Error> {
    ///     for line in 0..100 {
    ///         // ... compute for a while ...
    ///         if !client.poll()? {
    ///             return Ok(());
    ///         }
    ///         client.send(format!("line {}", line))?;
    ///     }
    ///     Ok(())
    /// }
    /// let handler = Handler::new("/render", |request: &Request| request.upgrade(&[], render));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`receive`](Connection::receive).
    pub fn poll(&mut self) -> Result<bool, Error> {
        if self.over.is_some() {
            return self.ended().map(|()| false);
        }
        let there = self.look();
        if !whole_frame(&self.assembler, self.socket.unread()) {
            self.write_batch();
        }
        match there {
            Ok(there) => Ok(there),
            Err(end) => {
                self.finish(end);
                self.ended().map(|()| false)
            }
        }
    }

    /// Sends a message to this client alone, not to the session's other tabs. Waits for room while
    /// the client does not read, for which the thread that writes has a deadline.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if the connection has ended, or the client has left. Returned from the
    /// closure, it closes nothing and is not logged. What the client had sent before it left can
    /// still be received: a closure for which that counts does not leave with `?` here.
    pub fn send(&self, message: impl Into<Outgoing>) -> Result<(), Error> {
        self.send_message(&message.into())
    }

    fn send_message(&self, message: &Outgoing) -> Result<(), Error> {
        let forms = Forms::default();
        // The own connection is waited for, so it is never full.
        deliver_to_own(&self.outbox, &message.frame(&forms)).map_err(|_| Error::Gone)
    }

    /// Closes the connection: sends a Close frame behind everything that was sent before, and waits
    /// for the client's answer, up to [`Limits::close_timeout`]. After the end it does nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Close`] for a code that must not be sent (RFC 6455, 7.4.1).
    ///
    /// [`Limits::close_timeout`]: crate::limits::Limits::close_timeout
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let close = CloseFrame::new(code, reason)?;
        self.finish(End::Own(close));
        Ok(())
    }

    /// Returns the Close frame with which the connection ended: the client's, or that of the server
    /// if it came first, such as 1001 at a shutdown and 1008 at the end of the login. `None` before
    /// the end, and if the connection ended without one.
    pub fn close_frame(&self) -> Option<&CloseFrame> {
        self.over.as_ref().and_then(|over| over.close.as_ref())
    }

    /// Returns the session to which the WebSocket belongs, with the client's other tabs.
    pub fn session_id(&self) -> SessionId {
        self.outbox.session.id
    }

    /// Returns the subprotocol that was chosen, or `None`.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Returns the client's address, which a trusted proxy may have named.
    pub fn peer(&self) -> Peer {
        self.peer.clone()
    }

    /// Returns a handle to this one WebSocket, which other threads may keep. Once the connection
    /// has ended, it is a handle to nobody.
    pub fn websocket(&self) -> Websocket {
        Websocket::of(&self.outbox)
    }

    /// Goes on to the next message, or until the time has passed. `Closed` is any end.
    #[inline]
    pub(crate) fn next(&mut self, until: Option<Instant>) -> Next {
        while self.over.is_none() {
            // Asked once: a thread that has not looked at its buffer must not wait for more.
            let owed_much = self.is_owed_much();
            if !owed_much {
                if let Some(message) = self.next_in_buffer() {
                    return Next::Message(message);
                }
            }
            if !self.wait(owed_much, until) {
                return Next::Timeout;
            }
        }
        Next::Closed
    }

    /// Returns the next whole message that has been read, or `None` if there is none, and at the
    /// end.
    #[inline(never)]
    fn next_in_buffer(&mut self) -> Option<Message> {
        self.decode().unwrap_or_else(|end| {
            self.finish(end);
            None
        })
    }

    /// Ends the batch, and waits until a client that did not read has; for another one, until bytes
    /// have come or the conversation has ended. Returns false if the time has passed before that.
    #[inline(never)]
    fn wait(&mut self, owed_much: bool, until: Option<Instant>) -> bool {
        if self.over.is_none() {
            self.write_batch();
            if owed_much {
                self.slot.set_handling(false);
                let reads = self.outbox.wait_for_reader(until);
                self.slot.set_handling(true);
                return reads;
            }
            match self.read(until) {
                Ok(come) => return come,
                Err(end) => self.finish(end),
            }
        }
        true
    }

    /// Returns how the conversation has ended.
    #[inline(never)]
    fn ended(&mut self) -> Result<(), Error> {
        let over = match &mut self.over {
            Some(over) => over,
            None => return Ok(()),
        };
        over.calls += 1;
        assert!(
            over.calls < CALLS_AFTER_END,
            "receive was called {} times after the connection had ended: leave the loop when it \
             returns None or an error",
            CALLS_AFTER_END
        );
        over.violation.map_or(Ok(()), |violation| Err(violation.into()))
    }

    /// Returns the next whole message that has been read, and answers the pings in front of it.
    #[inline]
    fn decode(&mut self) -> Result<Option<Message>, End> {
        loop {
            if self.outbox.is_closing() {
                return Err(End::Closed);
            }
            // Counted here, when the application has handled it.
            if let (true, Some(pace)) = (self.unpaced, &mut self.pace) {
                if !pace.count() {
                    return Err(End::Violation(Violation::TooMany));
                }
            }
            let limits = &self.outbox.shared.limits;
            let (used, received) =
                self.assembler.read(self.socket.unread(), limits).map_err(End::Violation)?;
            self.socket.consume(used);
            self.received.1 += used as u64;
            if received.is_some() && !self.assembler.in_progress() {
                self.message_deadline = None;
            }
            self.unpaced = matches!(received, Some(Received::Message(_) | Received::Ping(_)));
            match received {
                None => return Ok(None),
                Some(Received::Message(message)) => {
                    self.received.0 += 1;
                    // When the batch has more, before this frame or after it, one write at its end
                    // serves all of it. The clock writes earlier if the application is slow.
                    self.in_batch =
                        self.in_batch || whole_frame(&self.assembler, self.socket.unread());
                    self.batch.cork(self.in_batch);
                    return Ok(Some(message));
                }
                Some(Received::Ping(payload)) => self.answer_ping(&payload),
                Some(Received::Pong(_)) => {}
                Some(Received::Close(close)) => return Err(End::Close(close)),
            }
        }
    }

    fn answer_ping(&mut self, payload: &[u8]) {
        let pong = Frame::new(OpCode::Pong, payload);
        if self.outbox.may_pong(&pong) {
            self.in_batch = true;
            self.batch.cork(true);
            // An error means that the connection has ended; the next read finds that.
            drop(deliver_to_own(&self.outbox, &pong));
        }
    }

    /// Writes what was sent in this batch.
    #[inline]
    fn write_batch(&mut self) {
        let (messages, bytes) = std::mem::take(&mut self.received);
        self.outbox.heard(messages, bytes);
        #[cfg(feature = "deflate")]
        self.outbox.inflated(self.assembler.take_inflated());
        self.in_batch = false;
        self.batch.end();
    }

    /// Returns whether much waits for the client, which does not read. Then nothing is read from it,
    /// and its next message is not handled: the answers to a batch could be more than may wait. So
    /// it is waited for between two messages, when the application holds no lock.
    fn is_owed_much(&self) -> bool {
        self.outbox.is_behind() && !self.outbox.wait_for_reader(Some(Instant::now()))
    }

    /// Waits until bytes have come, and returns true, or until the time has passed. Sends a ping
    /// when nothing comes, and keeps the deadlines of the module's table. Meanwhile the application
    /// does not count as running, as far as a shutdown is concerned.
    #[inline(never)]
    fn read(&mut self, until: Option<Instant>) -> Result<bool, End> {
        self.pace.iter_mut().for_each(|pace| pace.begin_read());
        let whole = self.message_due();
        self.slot.set_handling(false);
        let read = loop {
            match self.read_once(until, whole) {
                Ok(None) => {}
                Ok(Some(come)) => break Ok(come),
                Err(end) => break Err(end),
            }
        };
        self.slot.set_handling(true);
        self.pace.iter_mut().for_each(|pace| pace.end_read());
        self.left = self.message_deadline.map(|_| Instant::now());
        // The silence until now is counted, so `poll` counts from here.
        self.looked = matches!(read, Ok(false)).then(Instant::now);
        read
    }

    /// Returns when the message that has begun must be whole.
    fn message_due(&mut self) -> Option<Instant> {
        let limits = &self.outbox.shared.limits;
        if !self.assembler.in_progress() && self.socket.unread().is_empty() {
            self.message_deadline = None;
            return None;
        }
        // The time that the application took is given back.
        let away = self.left.take().map_or(Duration::ZERO, |left| left.elapsed());
        let due = match self.message_deadline {
            None => after(limits.message_timeout),
            Some(due) => due.checked_add(away).unwrap_or(due),
        };
        self.message_deadline = Some(due);
        due.checked_add(limits.earned(self.assembler.progress())).or(Some(due))
    }

    /// Reads once. Returns whether bytes came, or `None` to go on.
    fn read_once(
        &mut self,
        until: Option<Instant>,
        whole: Option<Instant>,
    ) -> Result<Option<bool>, End> {
        let patience = self.patience();
        let mut wait = patience.saturating_sub(self.silence);
        // The clock is read only where there is something to compare it with.
        let begun = if until.is_some() || whole.is_some() { Some(Instant::now()) } else { None };
        if let (Some(begun), Some(whole)) = (begun, whole) {
            if whole <= begun {
                return Err(End::Violation(Violation::TooSlow));
            }
            wait = wait.min(whole - begun);
        }
        if let (Some(begun), Some(until)) = (begun, until) {
            wait = wait.min(until.saturating_duration_since(begun));
        }
        match self.socket.fill_within(wait) {
            Ok(0) if self.outbox.is_closing() => Err(End::Closed),
            Ok(0) => Err(End::Left),
            Ok(_) => {
                self.hear();
                Ok(Some(true))
            }
            Err(error) if error.kind() != ErrorKind::TimedOut => Err(End::Lost),
            Err(_) if self.outbox.is_closing() => Err(End::Closed),
            Err(_) if passed(whole) => Err(End::Violation(Violation::TooSlow)),
            Err(_) => {
                self.silence += begun.map_or(wait, |begun| begun.elapsed());
                self.break_silence(patience)?;
                Ok(if passed(until) { Some(false) } else { None })
            }
        }
    }

    /// Notes that bytes have come, which ends the silence.
    fn hear(&mut self) {
        self.silence = Duration::ZERO;
        self.pinged = false;
        self.outbox.hear();
    }

    /// Sends a ping to a client that has been silent for long, or gives it up.
    fn break_silence(&mut self, patience: Duration) -> Result<(), End> {
        if self.silence < patience {
            return Ok(());
        }
        self.silence = Duration::ZERO;
        // A ping would wait behind what is pending, and for that the writer has a deadline.
        if self.outbox.shared.limits.ping_interval.is_zero() || self.outbox.is_behind() {
            return Ok(());
        }
        if self.pinged {
            return Err(End::Violation(Violation::Silent));
        }
        // A ping that was refused cannot be answered.
        self.pinged = self.outbox.ping();
        self.socket.shrink();
        Ok(())
    }

    /// Returns how long the client may be silent. A ping travels behind everything that was written
    /// before it, of which the system may hold some megabytes, so a slow line gets the time for
    /// that.
    fn patience(&self) -> Duration {
        let limits = &self.outbox.shared.limits;
        if limits.ping_interval.is_zero() {
            return Duration::from_secs(86_400);
        }
        if !self.pinged {
            return limits.ping_interval;
        }
        limits.pong_timeout.saturating_add(self.outbox.way().min(limits.write_timeout))
    }

    /// Looks at the socket, unless that was just done, and handles the control frames in the
    /// buffer. Returns false once the client has ended.
    #[inline(never)]
    fn look(&mut self) -> Result<bool, End> {
        if self.outbox.is_closing() {
            return Err(End::Closed);
        }
        let since = self.looked.map(|looked| looked.elapsed());
        if since.map_or(false, |since| since < POLL_PAUSE) {
            return Ok(true);
        }
        // Where the client's end is found, it is looked for at each call.
        self.looked = None;
        if self.socket.unread().len() < self.outbox.shared.limits.buffer {
            match self.socket.fill_within(Duration::ZERO) {
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    self.silence += since.unwrap_or_default();
                    self.break_silence(self.patience())?;
                }
                // What came before is still to be received.
                Ok(0) | Err(_) => return Ok(false),
                Ok(_) => self.hear(),
            }
        }
        let there = self.handle_controls()?;
        self.looked = there.then(Instant::now);
        Ok(there)
    }

    /// Answers the pings and drops the pongs among the frames in the buffer, and leaves the others.
    /// Returns false at a Close frame.
    fn handle_controls(&mut self) -> Result<bool, End> {
        let mut at = self.assembler.frame_rest();
        loop {
            let unread = self.socket.unread();
            let parsed = unread.get(at..).map(|bytes| self.assembler.parse_header(bytes));
            let (header, head) = match parsed {
                Some(Ok(Some(found))) => found,
                _ => return Ok(true),
            };
            let (begin, length) = (at + head, usize::try_from(header.length).unwrap_or(usize::MAX));
            let key = match header.masking_key {
                Some(key) if length <= unread.len() - begin => key,
                _ => return Ok(true),
            };
            match header.opcode {
                OpCode::Close => return Ok(false),
                OpCode::Ping | OpCode::Pong => {}
                _ => {
                    at = begin + length;
                    continue;
                }
            }
            let mut payload = unread[begin..begin + length].to_vec();
            self.socket.remove(at, head + length);
            self.received.1 += (head + length) as u64;
            if header.opcode == OpCode::Ping {
                if !self.pace.as_mut().map_or(true, |pace| pace.count()) {
                    return Err(End::Violation(Violation::TooMany));
                }
                apply_mask(&mut payload, key);
                self.answer_ping(&payload);
            }
        }
    }

    /// Has the end of the connection by another thread wake this one before the client has
    /// answered: for an application that pulls, and may have something else to do.
    pub(crate) fn wake_at_end(&self) {
        self.outbox.set_wakes(true);
    }

    /// Ends the conversation with what the application's part has returned; `None` is a panic. What
    /// has ended before stays as it is. Returns the client's Close frame.
    #[inline(never)]
    pub(crate) fn conclude(&mut self, result: Option<Result<(), Error>>) -> Option<CloseFrame> {
        let known = self.over.as_ref().and_then(|over| over.violation);
        let end = match result {
            Some(Ok(())) => End::Own(closing(CloseCode::NORMAL)),
            // It was logged when it was found.
            Some(Err(Error::Violation(violation))) if known == Some(violation) => End::Lost,
            Some(Err(Error::Gone)) if self.outbox.has_ended() => End::Closed,
            Some(Err(error)) => End::Own(self.failed(error)),
            None => End::Own(self.panicked()),
        };
        self.finish(end);
        let Over { answer, awaits, .. } = self.over.take()?;
        let answer = if awaits { self.close_connection(End::Closed) } else { answer };
        log_line!(Debug, "{} disconnected", self);
        answer
    }

    /// Logs what the application has returned or panicked with, and returns what the client is
    /// told.
    #[inline(never)]
    pub(crate) fn failed(&self, error: Error) -> CloseFrame {
        let close = error.close_frame();
        let level = match (close.code, &error) {
            (CloseCode::INTERNAL_ERROR, _) => Level::Error,
            // What the application means to answer is no failure.
            (_, Error::Answer(_) | Error::Closed(_)) => Level::Debug,
            _ => Level::Info,
        };
        let text = error.into_text();
        // Quoted: the text may hold what a client sent, line breaks included.
        log_line!(level, "the handler of {} failed: {:?}", self, text);
        close
    }

    #[inline(never)]
    pub(crate) fn panicked(&self) -> CloseFrame {
        log_line!(Error, "the handler of {} panicked", self);
        closing(CloseCode::INTERNAL_ERROR)
    }

    /// Ends the conversation, unless it has ended: leaves the session, sends the Close frame, and
    /// shuts the socket.
    #[inline(never)]
    fn finish(&mut self, end: End) {
        if self.over.is_some() {
            return;
        }
        self.outbox.set_wakes(false);
        // Another thread's Close frame is under way. The application hears of it before the client
        // has answered.
        let awaits = matches!(end, End::Closed);
        self.write_batch();
        self.registration.leave();
        let violation = match end {
            End::Violation(violation) => Some(violation),
            _ => None,
        };
        let answer = if awaits { None } else { self.close_connection(end) };
        let close = self.outbox.sent_close().or_else(|| answer.clone());
        self.over = Some(Over { violation, close, answer, awaits, calls: 0 });
    }

    /// Sends the Close frame, lets the client read and answer it, and shuts the socket. Returns the
    /// client's Close frame.
    fn close_connection(&mut self, end: End) -> Option<CloseFrame> {
        let own = match &end {
            End::Close(close) | End::Own(close) => Some(close.clone()),
            End::Violation(violation) => Some(self.log_violation(*violation)),
            End::Closed | End::Left | End::Lost => None,
        };
        if let Some(own) = own {
            self.outbox.queue_close(&own);
            self.outbox.write_pending();
        }
        self.slot.set_handling(false);
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
        self.slot.set_handling(true);
        close
    }

    /// Logs why the client is closed, with the setting that decided, and returns what it is told.
    fn log_violation(&self, violation: Violation) -> CloseFrame {
        let (code, setting) = (violation.close_code(), violation.setting());
        log_line!(Info, "closed {} with {}: {}{}", self, code, violation, setting);
        CloseFrame { code, reason: violation.to_string() }
    }

    /// Reads on and skips what comes, until the client's Close frame, its end, or the deadline.
    fn await_close(&mut self) -> Option<CloseFrame> {
        let refused = self.assembler.skip();
        self.socket.consume(refused);
        loop {
            let limits = &self.outbox.shared.limits;
            match self.assembler.read(self.socket.unread(), limits) {
                Ok((used, None)) => {
                    self.socket.consume(used);
                    let left = self.outbox.time_to_close();
                    match self.socket.fill(after(left)) {
                        Ok(1..) => {}
                        Ok(0) if self.outbox.is_woken() => thread::sleep(left.min(WOKEN_PAUSE)),
                        _ => return None,
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
}

/// The client, as log lines name it.
impl fmt::Display for Connection {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{} ({}, {:?})", self.session_id(), self.peer, self.path)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "Connection({})", self)
    }
}

fn passed(time: Option<Instant>) -> bool {
    time.map_or(false, |time| time <= Instant::now())
}

fn closing(code: CloseCode) -> CloseFrame {
    CloseFrame { code, reason: String::new() }
}

/// Returns whether the bytes begin with a whole frame.
fn whole_frame(assembler: &Assembler, bytes: &[u8]) -> bool {
    match assembler.parse_header(bytes) {
        Ok(Some((header, used))) => header.length <= (bytes.len() - used) as u64,
        _ => false,
    }
}
