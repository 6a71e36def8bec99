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
use crate::limits::{Limits, Overflow, DIRECT_WRITE};
use crate::log;
use crate::queue::{Counts, Queue};
use crate::stream::{after, is_timeout, write_all, write_deadline, Stream};
use crate::system::{start_thread, HOLD};
use crate::websocket::close::CloseFrame;
use crate::websocket::frame::{Frame, OpCode};
use crate::websocket::message::Message;
use std::io::{self, ErrorKind};
use std::mem::{replace, take};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How often a sender waits for a writer that is in the middle of a write.
const MOMENTS: usize = 100;
/// Writes that one sender does for others before a flusher takes over.
const ROUNDS: usize = 16;
/// Stack of a flusher: it calls `write` and little else.
const FLUSHER_STACK: usize = 128 * 1024;
/// How long a flusher stays after its client has caught up.
const FLUSHER_STAYS: Duration = Duration::from_secs(1);

/// What all outboxes of a server share.
#[derive(Default)]
pub(crate) struct Shared {
    pub limits: Limits,
    pub clock: Clock,
    /// The clock's ticks so far.
    pub ticks: AtomicUsize,
    late: Mutex<Late>,
    /// Octets that wait in all outboxes behind a write, or for a courier.
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
    stream: Arc<dyn Stream>,
    peer: SocketAddr,
    pub shared: Arc<Shared>,
    /// Held to append and to take, never while writing: one stuck client must not stop the rest.
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Marks of the queue, to be read without its lock: the client is behind; a Close frame was
    /// sent or the socket shut; how many octets were written.
    congested: AtomicBool,
    ended: AtomicBool,
    written: AtomicUsize,
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
    /// The client does not read.
    Full(Full),
}

/// A client that does not read, and what waits for it.
#[derive(Debug)]
pub(crate) struct Full {
    pub peer: SocketAddr,
    /// Octets.
    pub waiting: usize,
    /// Whether it is to be cut off for that.
    pub closed: bool,
}

impl Outbox {
    /// Returns an outbox whose first octets are `first`. Nobody else can write before `open`.
    pub fn new(
        stream: Arc<dyn Stream>,
        peer: SocketAddr,
        shared: Arc<Shared>,
        first: Vec<u8>,
    ) -> Arc<Outbox> {
        let queue = Mutex::new(Queue::opening(first));
        let (changed, congested, ended, written) = Default::default();
        Arc::new(Outbox { stream, peer, shared, queue, changed, congested, ended, written })
    }

    /// Writes the first octets, and what was sent meanwhile. Returns whether the socket took them.
    pub fn open(self: &Arc<Outbox>) -> bool {
        if self.write_briefly().is_err() {
            self.cut_off("its write timeout cannot be set");
        }
        let first = self.lock().take_lot();
        self.write([&first, &[]]);
        !self.lock().shut
    }

    /// Sends a whole frame: writes it now, or leaves it to who is writing.
    #[inline]
    pub fn send(self: &Arc<Outbox>, frame: &Frame) -> Result<Sent, Refused> {
        let (mut queue, waited) = self.admit(frame.len(), true)?;
        queue.counts.messages_out += u64::from(frame.is_message());
        let sent = if queue.writing || queue.is_pending() {
            self.append(&mut queue, frame);
            match queue.is_crowded(&self.shared.limits) {
                true => Sent::Crowded,
                false => self.write_pending_of(queue),
            }
        } else {
            queue.start(frame.len());
            drop(queue);
            self.write(frame.parts())
        };
        Ok(if waited { Sent::Stalled } else { sent })
    }

    /// Appends a whole frame for the batch's thread to write, or, for batch 0, for a courier.
    /// Returns whether the outbox was not on the batch's list before.
    pub fn cork(&self, frame: &Frame, batch: usize) -> Result<(bool, Sent), Refused> {
        let (mut queue, waited) = self.admit(frame.len(), batch != 0)?;
        queue.counts.messages_out += u64::from(frame.is_message());
        if !queue.is_pending() {
            queue.corked_at = self.shared.ticks.load(Ordering::Relaxed);
        }
        let first = replace(&mut queue.batch, batch) != batch;
        self.append(&mut queue, frame);
        let limits = &self.shared.limits;
        let much = !queue.writing && queue.pending() > limits.buffer || queue.is_crowded(limits);
        Ok((first, if much || waited { Sent::Crowded } else { Sent::Done }))
    }

    /// Appends messages, whatever waits already, for the caller to write: what a new member gets
    /// first has a bound of its own, and a part of it would be no use. Nothing is taken when the
    /// connection has ended.
    pub fn give(&self, messages: &[Arc<Message>]) {
        let mut queue = self.lock();
        if queue.shut || queue.closing {
            return;
        }
        for message in messages {
            queue.counts.messages_out += 1;
            self.append(&mut queue, &message.frame());
        }
    }

    /// Writes what is pending, unless somebody is writing.
    pub fn write_pending(self: &Arc<Outbox>) -> Sent {
        self.write_pending_of(self.lock())
    }

    /// Returns whether octets are pending that nobody is writing, and for how many ticks.
    pub fn corked_for(&self, tick: usize) -> Option<usize> {
        let queue = self.lock();
        let corked = queue.is_pending() && !queue.writing;
        corked.then_some(tick.wrapping_sub(queue.corked_at))
    }

    /// Returns whether a pong may go out like any other frame; a congested client has one pong
    /// waiting, the newest, and one that was sent a Close frame gets none.
    pub fn may_pong(&self, pong: &Frame) -> bool {
        let mut queue = self.lock();
        if queue.is_congested() && !queue.closing && !queue.shut {
            queue.keep_pong(pong);
        }
        !queue.is_congested()
    }

    /// Appends a Close frame, which the caller writes; nothing is taken after it. Returns whether
    /// it is the first one.
    pub fn queue_close(&self, close: &CloseFrame) -> bool {
        let mut queue = self.lock();
        if queue.closing || queue.shut {
            return false;
        }
        queue.closing = true;
        self.ended.store(true, Ordering::Release);
        queue.take_pong();
        self.append(&mut queue, &Frame::new(OpCode::Close, &close.payload()));
        true
    }

    /// Has the clock end the connection if the client does not answer a Close frame in time.
    pub fn cut_off_late(self: &Arc<Outbox>) {
        let outbox = Arc::downgrade(self);
        self.shared.clock.at(after(self.shared.limits.close_timeout), move || {
            outbox.upgrade().map(|outbox| outbox.close());
        });
    }

    /// Returns whether the Close frame was sent or the socket shut.
    pub fn is_closing(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Notes a message that was not taken, and cuts the client off if that is how the server is set.
    pub fn overflow(&self, full: &Full) {
        let mut queue = self.lock();
        if queue.shut {
            return; // others were faster, and its counts may be summed up
        }
        queue.counts.dropped += 1;
        if full.closed {
            queue.counts.cut_off += 1;
            self.shut(queue);
            log::warn!("cut off {}: it does not read what is sent to it", self.peer);
        }
    }

    /// Notes what the client sent.
    pub fn heard(&self, messages: u64, octets: u64) {
        if octets > 0 {
            let mut queue = self.lock();
            queue.counts.messages_in += messages;
            queue.counts.octets_in += octets;
        }
    }

    /// Returns what has passed so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
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
        let queue = self.lock();
        let open = !queue.shut;
        self.shut(queue);
        open
    }

    fn shut(&self, mut queue: MutexGuard<'_, Queue>) {
        let open = !queue.shut;
        queue.forget();
        self.count(&mut queue);
        self.wake(&mut queue);
        drop(queue);
        self.ended.store(true, Ordering::Release);
        if open {
            // Fails when the peer was faster; then it is shut already.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }

    /// Returns the octets that wait for the client.
    pub fn backlog(&self) -> usize {
        self.lock().octets()
    }

    /// Returns whether the client does not read as fast as it is sent to.
    pub fn is_congested(&self) -> bool {
        self.congested.load(Ordering::Acquire)
    }

    /// Frees memory that a quiet connection does not need.
    pub fn shrink(&self) {
        self.lock().shrink();
    }

    /// Waits until there is room for a message of this length and for what others send, or the
    /// deadline. Without one, whoever writes has one, and cuts off a client that does not read.
    /// Returns what waits if there is no room.
    pub fn wait_for_room(&self, length: usize, deadline: Option<Instant>) -> Result<(), Full> {
        let limits = &self.shared.limits;
        let none = |queue: &Queue| {
            !(queue.shut || queue.closing)
                && (queue.is_crowded(limits)
                    || queue.is_full(length, limits)
                    || queue.is_beyond(self.total(), limits))
        };
        let queue = self.wait_while(none, deadline);
        match none(&queue) {
            true => Err(Full { closed: false, ..self.full(&queue) }),
            false => Ok(()),
        }
    }

    /// Waits while the client is behind and more than a buffer is queued for it. Returns for how long
    /// if it may have waited.
    pub fn wait_for_reader(&self) -> Option<Duration> {
        if !self.is_congested() {
            return None;
        }
        let begun = Instant::now();
        let most = self.shared.limits.buffer;
        drop(self.wait_while(|queue| queue.is_congested() && queue.pending() > most, None));
        Some(begun.elapsed())
    }

    /// Waits until all is written. Returns false when the deadline came first.
    pub fn wait_until_written(&self, deadline: Instant) -> bool {
        let queue = self.wait_while(|queue| queue.octets() > 0, Some(deadline));
        queue.shut || queue.octets() == 0
    }

    fn wait_while(
        &self,
        so: impl Fn(&Queue) -> bool,
        deadline: Option<Instant>,
    ) -> MutexGuard<'_, Queue> {
        let mut queue = self.lock();
        while !queue.shut && so(&queue) {
            queue =
                match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                    Some(Duration::ZERO) => return queue,
                    Some(left) => self.wait(queue, left),
                    None => {
                        queue.waiting = true;
                        self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
                    }
                };
        }
        queue
    }

    /// Waits for a change, or for so long.
    fn wait<'a>(&self, mut queue: MutexGuard<'a, Queue>, left: Duration) -> MutexGuard<'a, Queue> {
        queue.waiting = true;
        self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Returns how many octets the system took so far, modulo the size of the counter.
    pub fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// Returns the queue if a frame of this length may be appended, and whether this thread had to
    /// wait for that. A client is too slow when too much waits behind a write that came up short a
    /// while ago. Until then the senders are too fast: each gives the writer a moment if it may,
    /// which bounds what can pile up. When too much waits for all clients, whoever is behind gets
    /// nothing more, and whoever may be is waited for until the writer knows.
    fn admit(
        &self,
        length: usize,
        patient: bool,
    ) -> Result<(MutexGuard<'_, Queue>, bool), Refused> {
        let limits = &self.shared.limits;
        let full = |queue: &Queue| queue.is_full(length, limits);
        let beyond = |queue: &Queue| queue.is_beyond(self.total(), limits);
        let mut queue = self.lock();
        let wait = patient && (full(&queue) || beyond(&queue)) && !queue.is_too_slow();
        if wait {
            for _ in 0..MOMENTS {
                queue = self.wait(queue, DIRECT_WRITE);
                if !beyond(&queue) || queue.is_congested() {
                    break;
                }
            }
        }
        if queue.shut || queue.closing {
            return Err(Refused::Gone);
        }
        if full(&queue) && queue.is_too_slow() || beyond(&queue) && queue.is_congested() {
            return Err(Refused::Full(self.full(&queue)));
        }
        Ok((queue, wait))
    }

    fn full(&self, queue: &Queue) -> Full {
        let closed = self.shared.limits.overflow == Overflow::Close;
        Full { peer: self.peer, waiting: queue.octets(), closed }
    }

    fn append(&self, queue: &mut Queue, frame: &Frame) {
        queue.append(frame);
        self.count(queue);
        self.wake(queue);
    }

    fn write_pending_of(self: &Arc<Outbox>, mut queue: MutexGuard<'_, Queue>) -> Sent {
        if queue.writing || queue.shut || !queue.is_pending() {
            return Sent::Done;
        }
        queue.writing = true;
        let lot = queue.take_lot();
        drop(queue);
        let sent = self.write([&lot, &[]]);
        self.lock().keep(lot);
        sent
    }

    /// Writes octets, then what others appended meanwhile; the caller has the role.
    #[inline]
    fn write(self: &Arc<Outbox>, parts: [&[u8]; 2]) -> Sent {
        match self.write_once(parts) {
            Some(octets) if octets < parts[0].len() + parts[1].len() => {
                return self.stall(parts, octets)
            }
            _ => {}
        }
        let mut queue = self.lock();
        if queue.is_pending() {
            return self.write_more(queue);
        }
        self.step_down(&mut queue);
        Sent::Done
    }

    /// Writes what others appended, so often; then a flusher does.
    #[cold]
    fn write_more<'a>(self: &'a Arc<Outbox>, mut queue: MutexGuard<'a, Queue>) -> Sent {
        for _ in 0..ROUNDS {
            if !queue.is_pending() {
                self.step_down(&mut queue);
                return Sent::Done;
            }
            let lot = queue.take_lot();
            self.wake(&mut queue);
            drop(queue);
            match self.write_once([&lot, &[]]) {
                Some(octets) if octets < lot.len() => return self.stall([&lot, &[]], octets),
                _ => queue = self.lock(),
            }
        }
        drop(queue);
        self.hand_over(Vec::new(), false);
        Sent::Done
    }

    /// Leaves the rest of what is being written to a flusher.
    #[cold]
    fn stall(self: &Arc<Outbox>, parts: [&[u8]; 2], written: usize) -> Sent {
        let [first, second] = parts;
        let of_first = written.min(first.len());
        self.hand_over([&first[of_first..], &second[written - of_first..]].concat(), true);
        Sent::Stalled
    }

    /// Has writes give up soon: a thread that sends is not to wait for the client.
    fn write_briefly(&self) -> io::Result<()> {
        let hold = if self.stream.is_brittle() { HOLD } else { DIRECT_WRITE };
        self.stream.set_write_timeout(hold)
    }

    /// Makes one `write` call. Returns how many octets the system took, or `None` when the
    /// connection has ended.
    #[inline]
    fn write_once(&self, parts: [&[u8]; 2]) -> Option<usize> {
        loop {
            match self.stream.write(parts) {
                Ok(octets) => return Some(octets),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) && !self.stream.is_brittle() => return Some(0),
                Err(error) if is_timeout(&error) => {
                    self.cut_off("it does not read, and this system cannot wait for it");
                    return None;
                }
                Err(_) => {
                    self.close();
                    return None;
                }
            }
        }
    }

    /// Gives the role and the rest of a lot to a thread of its own, since the sender may not wait
    /// for this client. When no thread can be started a client that stalls is cut off.
    fn hand_over(self: &Arc<Outbox>, rest: Vec<u8>, stalled: bool) {
        let mut queue = self.lock();
        queue.put_back(rest);
        self.congest(&mut queue, stalled);
        drop(queue);
        let outbox = Arc::clone(self);
        let job = Box::new(move || outbox.drain(stalled, true));
        if start_thread("sockling-flush", FLUSHER_STACK, job).is_err() {
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
            let written = match self.write_once([&lot, &[]]) {
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
            let all = write_all(&*self.stream, &lot[written..], deadline);
            // A direct write that follows must be short again.
            if all.and_then(|()| self.write_briefly()).is_err() {
                self.cut_off("it did not read in time");
            }
        }
    }

    /// Returns the next lot, for which a flusher of a slow client waits a while. Without one, the
    /// role is given back.
    fn next_lot(&self, stays: bool) -> Option<Vec<u8>> {
        let until = after(FLUSHER_STAYS);
        let mut queue = self.lock();
        loop {
            queue.settle();
            if !queue.shut && queue.has_work() {
                let lot = queue.take_lot();
                self.count(&mut queue);
                self.wake(&mut queue);
                return Some(lot);
            }
            let left = until.saturating_duration_since(Instant::now());
            if queue.shut || !stays || left.is_zero() {
                self.step_down(&mut queue);
                return None;
            }
            self.congest(&mut queue, false);
            self.wake(&mut queue);
            queue = self.wait(queue, left);
        }
    }

    /// Gives the role back. Nothing is pending, unless the socket is shut.
    fn step_down(&self, queue: &mut Queue) {
        if queue.shut {
            queue.forget();
        }
        queue.writing = false;
        queue.settle();
        self.congest(queue, false);
        self.wake(queue);
    }

    /// Notes whether the client is behind.
    fn congest(&self, queue: &mut Queue, congested: bool) {
        queue.congest(congested);
        self.count(queue);
    }

    /// Brings the marks and the server's total up to date.
    fn count(&self, queue: &mut Queue) {
        self.congested.store(queue.is_congested(), Ordering::Release);
        self.written.store(queue.counts.octets_out as usize, Ordering::Relaxed);
        let waiting = queue.waiting();
        if waiting != queue.counted {
            self.shared.total.fetch_add(waiting.wrapping_sub(queue.counted), Ordering::Relaxed);
            queue.counted = waiting;
        }
    }

    /// Returns whether more waits for all clients of the server than may.
    pub fn is_total_exceeded(&self) -> bool {
        self.total() > self.shared.limits.total_backlog
    }

    fn total(&self) -> usize {
        self.shared.total.load(Ordering::Relaxed)
    }

    fn wake(&self, queue: &mut Queue) {
        if take(&mut queue.waiting) {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
