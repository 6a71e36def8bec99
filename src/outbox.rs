//! The write half of one WebSocket: any thread may send, one writes at a time, none holds the lock
//! while it writes.
//!
//! ```text
//! send(frame)   somebody writes?  yes: append, the writer looks again
//!                                 no:  take the role and write, straight from the frame
//! the writer    all written?      nothing pending: step down; else write that, 16 times at most
//!               came up short?    congested: the rest goes to a flusher thread, with the role
//! the flusher   writes lot after lot, each with a total deadline, and stays for a second after it
//!               has caught up, so that a client that is slow again costs no sender anything
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
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Writes that one sender does for others before a flusher takes over.
const ROUNDS: usize = 16;
/// Stack of a flusher: it calls `write` and little else.
const FLUSHER_STACK: usize = 128 * 1024;
/// How long a flusher stays after its client has caught up.
const FLUSHER_STAYS: Duration = Duration::from_secs(1);
/// How long a client may be congested before what it was sent too much of is held against it. Until
/// then it is the senders who are slowed down.
const GRACE: Duration = Duration::from_millis(100);

/// What all outboxes of a server share.
#[derive(Default)]
pub(crate) struct Shared {
    pub limits: Limits,
    pub clock: Clock,
    /// The clock's ticks so far.
    pub ticks: AtomicUsize,
    late: Mutex<Late>,
    /// Octets that wait in all congested outboxes.
    total: AtomicUsize,
}

/// What the clock looks after (see `delivery`).
#[derive(Default)]
pub(crate) struct Late {
    pub corked: Vec<Weak<Outbox>>,
    pub ticking: bool,
}

impl Shared {
    pub fn new(limits: Limits) -> Arc<Shared> {
        Arc::new(Shared { limits, ..Shared::default() })
    }

    pub fn late(&self) -> MutexGuard<'_, Late> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Outbox {
    stream: Arc<TcpStream>,
    peer: SocketAddr,
    pub shared: Arc<Shared>,
    /// Held to append and to take, never while writing: one stuck client must not stop the rest.
    state: Mutex<State>,
    changed: Condvar,
    /// Octets that the system took.
    written: AtomicUsize,
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
    /// Octets that somebody is writing.
    in_flight: usize,
    /// What this outbox has added to the server's total.
    counted: usize,
    /// Somebody has the role of the writer.
    writing: bool,
    /// A write came up short and the flusher has not caught up.
    congested: bool,
    /// Since when.
    congested_since: Option<Instant>,
    /// A Close frame is in: nothing may follow it (RFC 6455, 5.5.1).
    closing: bool,
    shut: bool,
    /// Somebody waits on `changed`; waking nobody would cost a system call.
    waiting: bool,
    /// The mark of the batch on whose list this outbox is for what is pending; 0 is none.
    batch: usize,
    /// The tick at which the oldest of the corked octets came.
    corked_at: usize,
}

/// What became of a frame that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is written, or somebody else writes it.
    Done,
    /// Much is pending: write it now, or wait for who is writing.
    Crowded,
    /// It held this thread up: the client does not read as fast as it is sent to.
    Stalled,
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
        let (changed, written) = Default::default();
        Arc::new(Outbox { stream, peer, shared, state, changed, written })
    }

    /// Writes the first octets, and what was sent meanwhile. Returns whether the socket took them.
    pub fn open(self: &Arc<Outbox>) -> bool {
        if self.stream.set_write_timeout(Some(DIRECT_WRITE)).is_err() {
            self.cut_off("its write timeout cannot be set");
        }
        let first = self.lock().take_lot();
        self.write(&first);
        !self.lock().shut
    }

    /// Sends a whole frame: writes it now, or leaves it to who is writing.
    pub fn send(self: &Arc<Outbox>, frame: &[u8]) -> Result<Sent, Refused> {
        let (mut state, waited) = self.admit(frame.len(), true)?;
        let sent = if state.writing || !state.pending.is_empty() {
            self.append(&mut state, frame);
            match self.is_crowded(&state) {
                true => Sent::Crowded,
                false => self.write_pending_of(state),
            }
        } else {
            state.writing = true;
            state.in_flight = frame.len();
            drop(state);
            self.write(frame)
        };
        Ok(if waited { Sent::Stalled } else { sent })
    }

    /// Appends a whole frame for the batch's thread to write, or, for batch 0, for a courier.
    /// Returns whether the outbox was not on the batch's list before.
    pub fn cork(&self, frame: &[u8], batch: usize) -> Result<(bool, Sent), Refused> {
        let (mut state, waited) = self.admit(frame.len(), batch != 0)?;
        if state.pending.is_empty() {
            state.corked_at = self.shared.ticks.load(Ordering::Relaxed);
        }
        self.append(&mut state, frame);
        let first = std::mem::replace(&mut state.batch, batch) != batch;
        let much = !state.writing && state.pending.len() > CORK || self.is_crowded(&state);
        Ok((first, if much || waited { Sent::Crowded } else { Sent::Done }))
    }

    /// Writes what is pending, unless somebody is writing.
    pub fn write_pending(self: &Arc<Outbox>) -> Sent {
        self.write_pending_of(self.lock())
    }

    /// Returns whether octets are pending that nobody is writing, and for how many ticks.
    pub fn corked_for(&self, tick: usize) -> Option<usize> {
        let state = self.lock();
        let corked = !state.pending.is_empty() && !state.writing && !state.shut;
        corked.then_some(tick.wrapping_sub(state.corked_at))
    }

    /// Answers a ping. Returns the frame if it may go out like any other; a congested client has
    /// one pong waiting, the newest, and one that was sent a Close frame gets none.
    pub fn pong(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let frame = frame(OpCode::Pong, payload);
        let mut state = self.lock();
        if !state.congested {
            return Some(frame);
        }
        if !state.closing && !state.shut {
            state.pong = Some(frame);
        }
        None
    }

    /// Sends a Close frame, after what is pending and whatever the backlog is, unless one was sent.
    pub fn send_close(self: &Arc<Outbox>, close: &CloseFrame) {
        if self.queue_close(close) {
            self.write_pending();
        }
    }

    /// Appends a Close frame, which the caller writes; nothing is taken after it. Returns whether
    /// it is the first one. A client that does not answer in time is cut off by the clock, since
    /// the connection's thread may be blocked in a read.
    pub fn queue_close(self: &Arc<Outbox>, close: &CloseFrame) -> bool {
        let frame = frame(OpCode::Close, &close.payload());
        let mut state = self.lock();
        if state.closing || state.shut {
            return false;
        }
        state.closing = true;
        if let Some(pong) = state.pong.take() {
            state.pending.extend_from_slice(&pong);
        }
        self.append(&mut state, &frame);
        drop(state);
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

    fn forget(&self) -> bool {
        let mut state = self.lock();
        let open = !std::mem::replace(&mut state.shut, true);
        state.pending = Vec::new();
        state.pong = None;
        self.count(&mut state);
        self.wake(&mut state);
        open
    }

    /// Returns the octets that wait for the client.
    pub fn backlog(&self) -> usize {
        let state = self.lock();
        state.pending.len() + state.in_flight
    }

    /// Returns whether the client does not read as fast as it is sent to.
    pub fn is_congested(&self) -> bool {
        self.lock().congested
    }

    /// Waits until there is room for a message of this length and for what others send. There is no
    /// deadline here: whoever writes has one, and cuts off a client that does not read.
    pub fn wait_for_room(&self, length: usize) {
        self.wait_while(None, |state| self.is_crowded(state) || self.is_full(state, length));
    }

    /// Returns how many octets the system took so far, modulo the size of the counter.
    pub fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// Waits while somebody is writing and more than `CORK` is queued behind that.
    pub fn wait_for_reader(&self) {
        self.wait_while(None, |state| state.writing && state.pending.len() > CORK);
    }

    /// Waits until all is written. Returns false when the deadline came first.
    pub fn wait_until_written(&self, deadline: Instant) -> bool {
        self.wait_while(Some(deadline), |state| state.in_flight > 0 || !state.pending.is_empty())
    }

    fn wait_while(&self, deadline: Option<Instant>, so: impl Fn(&State) -> bool) -> bool {
        let mut state = self.lock();
        while !state.shut && so(&state) {
            state.waiting = true;
            state = match deadline {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }

    /// Returns the state if a frame of this length may be appended. A client is too slow when too
    /// much waits behind a write that came up short a while ago. Until then the senders are too
    /// fast: each gives the writer a moment if it may, which bounds what can pile up. Returns also
    /// whether it did.
    fn admit(
        &self,
        length: usize,
        patient: bool,
    ) -> Result<(MutexGuard<'_, State>, bool), Refused> {
        let too_slow =
            |state: &State| state.congested_since.map_or(false, |since| since.elapsed() >= GRACE);
        let mut state = self.lock();
        let wait = patient && self.is_full(&state, length) && !too_slow(&state);
        if wait {
            state.waiting = true;
            let waited = self.changed.wait_timeout(state, DIRECT_WRITE);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.shut || state.closing {
            return Err(Refused::Gone);
        }
        if self.is_full(&state, length) && too_slow(&state) {
            return Err(Refused::Full(state.pending.len() + state.in_flight));
        }
        Ok((state, wait))
    }

    /// Returns whether too much waits behind a write. One message is always taken.
    fn is_full(&self, state: &State, length: usize) -> bool {
        let limits = &self.shared.limits;
        state.writing
            && !state.pending.is_empty()
            && (state.pending.len() + length > limits.backlog
                || state.messages >= limits.backlog_messages
                || state.congested
                    && self.shared.total.load(Ordering::Relaxed) > limits.total_backlog)
    }

    /// Returns whether half of what makes an outbox full waits behind a write: where a connection's
    /// own thread stops, so that there is room for what others send.
    fn is_crowded(&self, state: &State) -> bool {
        let limits = &self.shared.limits;
        state.writing
            && !state.pending.is_empty()
            && (state.pending.len() > limits.backlog / 2
                || state.messages > limits.backlog_messages / 2)
    }

    fn append(&self, state: &mut State, frame: &[u8]) {
        state.pending.extend_from_slice(frame);
        state.messages += 1;
        self.count(state);
        self.wake(state);
    }

    fn write_pending_of(self: &Arc<Outbox>, mut state: MutexGuard<'_, State>) -> Sent {
        if state.writing || state.shut || state.pending.is_empty() {
            return Sent::Done;
        }
        state.writing = true;
        let lot = state.take_lot();
        drop(state);
        self.write(&lot)
    }

    /// Writes octets, then what others appended meanwhile; the caller has the role.
    fn write(self: &Arc<Outbox>, first: &[u8]) -> Sent {
        let mut more = Vec::new();
        for round in 0..ROUNDS {
            let lot = if round == 0 { first } else { &more };
            match self.write_once(lot) {
                Some(octets) if octets == lot.len() => {}
                Some(octets) => {
                    self.hand_over(lot[octets..].to_vec(), true);
                    return Sent::Stalled;
                }
                None => return self.step_down(&mut self.lock()),
            }
            let mut state = self.lock();
            if state.pending.is_empty() {
                return self.step_down(&mut state);
            }
            more = state.take_lot();
            self.wake(&mut state);
        }
        self.hand_over(more, false);
        Sent::Done
    }

    /// Makes one `write` call. Returns how many octets the system took, or `None` when the
    /// connection has ended.
    fn write_once(&self, bytes: &[u8]) -> Option<usize> {
        loop {
            match (&*self.stream).write(bytes) {
                Ok(octets) => {
                    self.written.fetch_add(octets, Ordering::Relaxed);
                    return Some(octets);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Some(0),
                Err(_) => {
                    self.close();
                    return None;
                }
            }
        }
    }

    /// Gives the role and the rest of a lot to a thread of its own, since the sender may not wait
    /// for this client. When no thread can be started a client that stalls is cut off.
    fn hand_over(self: &Arc<Outbox>, mut rest: Vec<u8>, stalled: bool) {
        let mut state = self.lock();
        rest.append(&mut state.pending);
        state.pending = rest;
        state.in_flight = 0;
        self.congest(&mut state, stalled);
        drop(state);
        let outbox = Arc::clone(self);
        let flusher = std::thread::Builder::new()
            .name("sockling-flush".to_string())
            .stack_size(FLUSHER_STACK)
            .spawn(move || outbox.drain(stalled, true));
        if flusher.is_err() {
            self.drain(stalled, false);
        }
    }

    /// Writes lot after lot, each within its deadline, until nothing is pending; has the role. A
    /// sender's thread does this, not a flusher, when none could be started: it may not wait.
    fn drain(self: &Arc<Outbox>, mut stalled: bool, flusher: bool) {
        if stalled && !flusher {
            self.cut_off("it does not read, and no thread can be started to wait for it");
        }
        while let Some(lot) = self.next_lot(stalled && flusher) {
            let written = match self.write_once(&lot) {
                Some(octets) => octets,
                None => continue,
            };
            if written == lot.len() {
                continue;
            }
            if !flusher {
                self.cut_off("it does not read, and no thread can be started to wait for it");
                continue;
            }
            stalled = true;
            self.congest(&mut self.lock(), true);
            let deadline = write_deadline(self.shared.limits.write_timeout, lot.len());
            let all = write_all(&self.stream, &lot[written..], deadline);
            // A direct write that follows must be short again.
            if all.and_then(|()| self.stream.set_write_timeout(Some(DIRECT_WRITE))).is_err() {
                self.cut_off("it did not read in time");
            }
            self.written.fetch_add(lot.len() - written, Ordering::Relaxed);
        }
    }

    /// Returns the next lot, for which a flusher of a slow client waits a while. Without one, the
    /// role is given back.
    fn next_lot(&self, stays: bool) -> Option<Vec<u8>> {
        let until = after(FLUSHER_STAYS);
        let mut state = self.lock();
        loop {
            state.in_flight = 0;
            if !state.shut && (!state.pending.is_empty() || state.pong.is_some()) {
                let lot = state.take_lot();
                self.count(&mut state);
                self.wake(&mut state);
                return Some(lot);
            }
            self.congest(&mut state, false);
            let left = until.saturating_duration_since(Instant::now());
            if state.shut || !stays || left.is_zero() {
                self.step_down(&mut state);
                return None;
            }
            self.wake(&mut state);
            state.waiting = true;
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives the role back. Nothing is pending, unless the socket is shut.
    fn step_down(&self, state: &mut State) -> Sent {
        state.writing = false;
        state.in_flight = 0;
        if state.shut {
            state.pending = Vec::new();
        }
        self.congest(state, false);
        self.wake(state);
        Sent::Done
    }

    /// Notes whether the client is behind.
    fn congest(&self, state: &mut State, congested: bool) {
        if congested != state.congested {
            state.congested = congested;
            state.congested_since = congested.then(Instant::now);
        }
        self.count(state);
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
    /// Returns all that is pending, the waiting pong last, for the caller to write. No list needs to
    /// hold the outbox any more.
    fn take_lot(&mut self) -> Vec<u8> {
        self.messages = 0;
        self.batch = 0;
        let mut lot = take(&mut self.pending);
        if let Some(pong) = self.pong.take() {
            lot.extend_from_slice(&pong);
        }
        self.in_flight = lot.len();
        lot
    }
}
