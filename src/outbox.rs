//! The write half of one WebSocket: any thread may send, one writes at a time, none holds the lock
//! while it writes.
//!
//! ```text
//! send(frame)   somebody writes?  yes: append, the writer looks again
//!                                 no:  take the role and write, straight from the frame
//! the writer    all written?      nothing pending: step down; else write that, 16 times at most
//!               came up short?    the rest goes to a flusher thread, which keeps the role
//! the flusher   writes what is pending with a total deadline, lot by lot, then steps down
//! close         once: drop what is pending, shut the socket, wake who waits
//! ```
//!
//! Whole frames are appended, so frames never interleave; one thread writes at a time and takes
//! the octets in order, so messages from one sender arrive in order. Whatever is pending has a
//! writer, or is on the list of a thread that will write it (see `delivery`).

use crate::clock::Clock;
use crate::limits::{Limits, CORK, DIRECT_WRITE};
use crate::log;
use crate::socket::{after, is_timeout, write_all, write_deadline};
use crate::websocket::close::CloseFrame;
use crate::websocket::frame::{frame, OpCode};
use std::io::{ErrorKind, Write};
use std::mem::take;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Writes that one sender does for others before a flusher takes over.
const ROUNDS: usize = 16;
/// Stack of a flusher: it calls `write` and little else.
const FLUSHER_STACK: usize = 128 * 1024;

/// What all outboxes of a server share.
#[derive(Default)]
pub(crate) struct Shared {
    pub limits: Limits,
    pub clock: Clock,
    /// Octets that wait in all congested outboxes.
    total: AtomicUsize,
}

impl Shared {
    pub fn new(limits: Limits) -> Arc<Shared> {
        Arc::new(Shared { limits, ..Shared::default() })
    }
}

pub(crate) struct Outbox {
    stream: Arc<TcpStream>,
    peer: SocketAddr,
    shared: Arc<Shared>,
    /// Held to append and to take, never while writing: one stuck client must not stop the rest.
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whole frames that nobody is writing.
    pending: Vec<u8>,
    /// How many.
    messages: usize,
    /// The newest pong that a congested client has not got; older ones are dropped (RFC 6455,
    /// 5.5.3 allows it), so pings cannot fill the memory.
    pong: Option<Vec<u8>>,
    /// Octets that the flusher is writing.
    in_flight: usize,
    /// What this outbox has added to the server's total.
    counted: usize,
    /// Somebody has the role of the writer.
    writing: bool,
    /// A write came up short and the flusher has not caught up.
    congested: bool,
    /// A Close frame is in: nothing may follow it (RFC 6455, 5.5.1).
    closing: bool,
    shut: bool,
    /// Somebody waits on `changed`; waking nobody would cost a system call.
    waiting: bool,
    /// The mark of the batch on whose list this outbox is; 0 is none.
    batch: usize,
}

/// Why a frame was not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The connection has ended, or its Close frame was sent.
    Gone,
    /// So many octets wait for a client that does not read.
    Full(usize),
}

impl Outbox {
    /// Returns an outbox whose first octets are `first`. Nobody else can write before `open`.
    pub fn new(
        stream: Arc<TcpStream>,
        peer: SocketAddr,
        shared: Arc<Shared>,
        first: Vec<u8>,
    ) -> Arc<Outbox> {
        let state = Mutex::new(State { pending: first, writing: true, ..State::default() });
        Arc::new(Outbox { stream, peer, shared, state, changed: Condvar::new() })
    }

    /// Writes the first octets, and what was sent meanwhile. Returns whether the socket took them.
    pub fn open(self: &Arc<Outbox>) -> bool {
        let ready = self.stream.set_write_timeout(Some(DIRECT_WRITE)).is_ok();
        if ready {
            let first = self.lock().take_lot();
            self.write(&first);
        } else {
            self.cut_off("its write timeout cannot be set");
        }
        !self.lock().shut
    }

    /// Sends a whole frame: writes it now, or leaves it to who is writing.
    pub fn send(self: &Arc<Outbox>, frame: &[u8]) -> Result<(), Refused> {
        let mut state = self.admit(frame.len())?;
        if state.writing || !state.pending.is_empty() {
            self.append(&mut state, frame);
            self.write_pending_of(state);
            return Ok(());
        }
        state.writing = true;
        drop(state);
        self.write(frame);
        Ok(())
    }

    /// Appends a whole frame for the batch's thread to write. Returns whether the outbox was not
    /// on its list before.
    pub fn cork(self: &Arc<Outbox>, frame: &[u8], batch: usize) -> Result<bool, Refused> {
        let mut state = self.admit(frame.len())?;
        self.append(&mut state, frame);
        let listed = std::mem::replace(&mut state.batch, batch) == batch;
        if state.pending.len() > CORK {
            self.write_pending_of(state);
        }
        Ok(!listed)
    }

    /// Writes what is pending, unless somebody is writing.
    pub fn write_pending(self: &Arc<Outbox>) {
        let mut state = self.lock();
        state.batch = 0;
        self.write_pending_of(state);
    }

    /// Answers a ping. Returns the frame if it may go out like any other; a congested client has
    /// one pong waiting, the newest.
    pub fn pong(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let frame = frame(OpCode::Pong, payload);
        let mut state = self.lock();
        if state.congested {
            state.pong = Some(frame);
            return None;
        }
        Some(frame)
    }

    /// Sends a Close frame, after what is pending and whatever the backlog is. Returns whether it
    /// is the first one; nothing is taken after it. A client that does not answer in time is cut
    /// off by the clock, since the connection's thread may be blocked in a read.
    pub fn send_close(self: &Arc<Outbox>, close: &CloseFrame) -> bool {
        let frame = frame(OpCode::Close, &close.payload());
        let mut state = self.lock();
        if state.closing || state.shut {
            return false;
        }
        state.closing = true;
        state.pong = None;
        self.append(&mut state, &frame);
        self.write_pending_of(state);
        let outbox = Arc::downgrade(self);
        self.shared.clock.at(after(self.shared.limits.close_timeout), move || {
            outbox.upgrade().map(|outbox| outbox.close());
        });
        true
    }

    /// Returns whether the Close frame was sent or the socket shut.
    pub fn is_closing(&self) -> bool {
        let state = self.lock();
        state.closing || state.shut
    }

    /// Ends the connection at once and logs why.
    pub fn cut_off(&self, why: &str) {
        if self.close() {
            log::warn!("cut off {}: {}", self.peer, why);
        }
    }

    /// Ends the connection at once: drops what is pending and shuts the socket, so that the thread
    /// that is blocked in a read wakes and leaves the map. Returns whether it was open.
    pub fn close(&self) -> bool {
        let open = self.forget();
        if open {
            // Fails when the peer was faster; then it is shut already.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
        open
    }

    /// Takes nothing more and drops what is pending; the socket is left to its own thread.
    pub fn forget(&self) -> bool {
        let mut state = self.lock();
        state.pending = Vec::new();
        state.pong = None;
        self.count(&mut state);
        self.wake(&mut state);
        !std::mem::replace(&mut state.shut, true)
    }

    /// Returns the octets that wait for the client.
    pub fn backlog(&self) -> usize {
        let state = self.lock();
        state.pending.len() + state.in_flight
    }

    /// Waits until at most `octets` wait for the client, or the deadline. Returns false when the
    /// deadline came first. Only the connection's own thread waits.
    pub fn wait_for_room(&self, octets: usize, deadline: Instant) -> bool {
        let mut state = self.lock();
        while state.writing && !state.shut && state.pending.len() + state.in_flight > octets {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state.waiting = true;
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Returns the state if a frame of this length may be appended. Only what waits behind a write
    /// that came up short counts, and one message is always taken.
    fn admit(&self, length: usize) -> Result<MutexGuard<'_, State>, Refused> {
        let state = self.lock();
        if state.shut || state.closing {
            return Err(Refused::Gone);
        }
        let full = state.congested
            && !state.pending.is_empty()
            && (state.pending.len() + length > self.shared.limits.backlog
                || state.messages >= self.shared.limits.backlog_messages
                || self.shared.total.load(Ordering::Relaxed) > self.shared.limits.total_backlog);
        if full {
            return Err(Refused::Full(state.pending.len() + state.in_flight));
        }
        Ok(state)
    }

    fn append(&self, state: &mut State, frame: &[u8]) {
        state.pending.extend_from_slice(frame);
        state.messages += 1;
        self.count(state);
    }

    fn write_pending_of(self: &Arc<Outbox>, mut state: MutexGuard<'_, State>) {
        if state.writing || state.shut || state.pending.is_empty() {
            return;
        }
        state.writing = true;
        let lot = state.take_lot();
        drop(state);
        self.write(&lot);
    }

    /// Writes octets, then what others appended meanwhile; the caller has the role.
    fn write(self: &Arc<Outbox>, first: &[u8]) {
        let mut more = Vec::new();
        for round in 0..ROUNDS {
            let lot = if round == 0 { first } else { &more };
            match self.write_once(lot) {
                Some(octets) if octets == lot.len() => {}
                Some(octets) => return self.hand_over(lot[octets..].to_vec(), true),
                None => return self.step_down(&mut self.lock()),
            }
            let mut state = self.lock();
            if state.pending.is_empty() {
                return self.step_down(&mut state);
            }
            more = state.take_lot();
        }
        self.hand_over(more, false);
    }

    /// Makes one `write` call. Returns how many octets the system took, or `None` when the
    /// connection has ended.
    fn write_once(&self, bytes: &[u8]) -> Option<usize> {
        match (&*self.stream).write(bytes) {
            Ok(octets) => Some(octets),
            Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => Some(0),
            Err(_) => {
                self.close();
                None
            }
        }
    }

    /// Gives the role and the rest of a lot to a thread of its own, since the sender may not wait
    /// for this client. When no thread can be started a client that stalls is cut off.
    fn hand_over(self: &Arc<Outbox>, mut rest: Vec<u8>, stalled: bool) {
        let mut state = self.lock();
        if state.shut {
            return self.step_down(&mut state);
        }
        rest.append(&mut state.pending);
        state.pending = rest;
        state.congested = true;
        self.count(&mut state);
        drop(state);
        let outbox = Arc::clone(self);
        let flusher = std::thread::Builder::new()
            .name("sockling-flush".to_string())
            .stack_size(FLUSHER_STACK)
            .spawn(move || outbox.drain());
        if let Err(error) = flusher {
            if stalled {
                self.cut_off(&format!(
                    "it does not read, and no thread can wait for it: {}",
                    error
                ));
            }
            self.drain();
        }
    }

    /// Writes lot after lot, each within its deadline, until nothing is pending; has the role.
    fn drain(self: &Arc<Outbox>) {
        loop {
            // A direct write that follows must be short again, so this comes before the look.
            let ready = self.stream.set_write_timeout(Some(DIRECT_WRITE)).is_ok();
            let mut state = self.lock();
            state.in_flight = 0;
            if (state.pending.is_empty() && state.pong.is_none()) || state.shut || !ready {
                self.step_down(&mut state);
                drop(state);
                if !ready {
                    self.cut_off("its write timeout cannot be set");
                }
                return;
            }
            let lot = state.take_lot();
            state.in_flight = lot.len();
            self.count(&mut state);
            self.wake(&mut state);
            drop(state);
            let deadline = write_deadline(self.shared.limits.write_timeout, lot.len());
            if let Err(error) = write_all(&self.stream, &lot, deadline) {
                self.cut_off(&format!("it did not read in time: {}", error));
            }
        }
    }

    /// Gives the role back. Nothing is pending, unless the socket is shut.
    fn step_down(&self, state: &mut State) {
        state.writing = false;
        state.congested = false;
        state.in_flight = 0;
        if state.shut {
            state.pending = Vec::new();
        }
        self.count(state);
        self.wake(state);
    }

    /// Brings the server's total up to date.
    fn count(&self, state: &mut State) {
        let waiting = if state.congested { state.pending.len() + state.in_flight } else { 0 };
        self.shared.total.fetch_add(waiting.wrapping_sub(state.counted), Ordering::Relaxed);
        state.counted = waiting;
    }

    fn wake(&self, state: &mut State) {
        if take(&mut state.waiting) {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns all that is pending, the waiting pong last.
    fn take_lot(&mut self) -> Vec<u8> {
        self.messages = 0;
        let mut lot = take(&mut self.pending);
        if let Some(pong) = self.pong.take() {
            lot.extend_from_slice(&pong);
        }
        lot
    }
}
