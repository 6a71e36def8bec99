//! The write half of one WebSocket: what waits to be written, who may add to it, and its end. Who
//! writes it is in `writer`.
//!
//! ```text
//! taken      appended whole, or, when nobody writes, written straight from the frame
//! refused    gone: shut, or its Close frame was sent
//!            full: more waits than may, behind a write that came up short
//! close      once: drop what is pending, shut the socket, wake who waits
//! ```
//!
//! Whole frames are appended, so frames never interleave. Whatever is pending has a writer, or is on
//! the list of a thread that will write it (see `batch`).

use crate::ground::limits::{Limits, Overflow, DIRECT_WRITE};
use crate::ground::logger::log_line;
use crate::net::queue::{Counts, Queue};
use crate::net::stream::{after, Stream};
use crate::net::timer::Clock;
use crate::session::cookie::Session;
use crate::websocket::close::CloseFrame;
use crate::websocket::frame::{Frame, OpCode};
use crate::websocket::message::Message;
use std::mem::{replace, take};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How often a sender waits for a writer that is in the middle of a write.
const MOMENTS: usize = 100;

/// What all outboxes of a server share.
#[derive(Default)]
pub(crate) struct Shared {
    pub limits: Limits,
    pub clock: Clock,
    /// The clock's ticks so far.
    pub ticks: AtomicUsize,
    late: Mutex<Late>,
    /// Bytes that wait in all outboxes behind a write, or for a courier.
    total: AtomicUsize,
}

/// What the clock looks after (see `batch`).
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
    /// The login whose cookie opened the WebSocket.
    pub session: Session,
    pub stream: Arc<dyn Stream>,
    peer: SocketAddr,
    pub shared: Arc<Shared>,
    /// Held to append and to take, never while writing: one stuck client must not stop the rest.
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Marks of the queue, to be read without its lock: the client is behind; a Close frame was
    /// sent or the socket shut; how many bytes were written.
    congested: AtomicBool,
    ended: AtomicBool,
    written: AtomicUsize,
    /// Its thread serves it, and it has not left its session.
    served: AtomicBool,
    /// It has left its session, as the last that was served.
    last: AtomicBool,
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
    /// Bytes.
    pub waiting: usize,
    /// Whether it is to be cut off for that.
    pub closed: bool,
}

impl Outbox {
    /// Returns an outbox whose first bytes are `first`. Nobody else can write before `open`.
    pub fn new(
        session: Session,
        stream: Arc<dyn Stream>,
        peer: SocketAddr,
        shared: Arc<Shared>,
        first: Vec<u8>,
    ) -> Arc<Outbox> {
        let queue = Mutex::new(Queue::opening(first));
        let (changed, congested, ended, written, served, last) = Default::default();
        Arc::new(Outbox {
            session,
            stream,
            peer,
            shared,
            queue,
            changed,
            congested,
            ended,
            written,
            served,
            last,
        })
    }

    /// Notes that a thread serves it from here on.
    pub fn serve(&self) {
        self.served.store(true, Ordering::Release);
    }

    /// Notes that it has left its session, as the last that was served or not.
    pub fn leave(&self, last: bool) {
        self.last.store(last, Ordering::Release);
        self.served.store(false, Ordering::Release);
    }

    /// Returns whether its thread serves it and it has not left its session.
    pub fn is_served(&self) -> bool {
        self.served.load(Ordering::Acquire)
    }

    /// Returns whether it has left its session as the last that was served.
    pub fn was_last(&self) -> bool {
        self.last.load(Ordering::Acquire)
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

    /// Appends what topics kept for a new member, for the caller to write: the newest messages that
    /// there is room for, oldest first. The others are counted as dropped. Nothing is taken when the
    /// connection has ended.
    pub fn give(&self, messages: &[Arc<Message>]) {
        let mut queue = self.lock();
        if messages.is_empty() || queue.shut || queue.closing {
            return;
        }
        let limits = &self.shared.limits;
        let mut room = queue.room(limits).min(limits.total_backlog.saturating_sub(self.total()));
        let fits = |message: &&Arc<Message>| {
            let left = room.checked_sub(message.frame().len());
            room = left.unwrap_or(0);
            left.is_some()
        };
        let most = limits.backlog_messages.saturating_sub(queue.messages());
        let fit = messages.iter().rev().take(most).take_while(fits).count();
        let (missed, given) = messages.split_at(messages.len() - fit);
        queue.counts.dropped += missed.len() as u64;
        queue.counts.messages_out += given.len() as u64;
        // On no batch's list: what the total does not count could pass it on many connections at once.
        queue.batch = 0;
        given.iter().for_each(|message| self.append(&mut queue, &message.frame()));
    }

    /// Returns whether bytes are pending that nobody is writing, and for how many ticks.
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
            log_line!(Info, "cut off {}: it does not read what is sent to it", self.peer);
        }
    }

    /// Notes what the client sent.
    pub fn heard(&self, messages: u64, bytes: u64) {
        if bytes > 0 {
            let mut queue = self.lock();
            queue.counts.messages_in += messages;
            queue.counts.bytes_in += bytes;
        }
    }

    /// Returns what has passed so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Ends the connection at once and logs why.
    pub fn cut_off(&self, why: &str) {
        if self.close() {
            log_line!(Info, "cut off {}: {}", self.peer, why);
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

    /// Returns the bytes that wait for the client.
    pub fn backlog(&self) -> usize {
        self.lock().bytes()
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
        let queue = self.wait_while(|queue| queue.bytes() > 0, Some(deadline));
        queue.shut || queue.bytes() == 0
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
    pub fn wait<'a>(
        &self,
        mut queue: MutexGuard<'a, Queue>,
        left: Duration,
    ) -> MutexGuard<'a, Queue> {
        queue.waiting = true;
        self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Returns how many bytes the system took so far, modulo the size of the counter.
    pub fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// Returns the queue if a frame of this length may be appended, and whether this thread had to
    /// wait for that. A client is too slow when too much waits behind a write that came up short a
    /// while ago. Until then the senders are too fast: each gives the writer a moment if it may,
    /// which bounds what can pile up. When too much waits for all clients, whoever is behind gets
    /// nothing more, and whoever may be is waited for until the writer knows.
    pub fn admit(
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
        Full { peer: self.peer, waiting: queue.bytes(), closed }
    }

    pub fn append(&self, queue: &mut Queue, frame: &Frame) {
        queue.append(frame);
        self.count(queue);
        self.wake(queue);
    }

    /// Notes whether the client is behind.
    pub fn congest(&self, queue: &mut Queue, congested: bool) {
        queue.congest(congested);
        self.count(queue);
    }

    /// Brings the marks and the server's total up to date.
    pub fn count(&self, queue: &mut Queue) {
        self.congested.store(queue.is_congested(), Ordering::Release);
        self.written.store(queue.counts.bytes_out as usize, Ordering::Relaxed);
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

    pub fn wake(&self, queue: &mut Queue) {
        if take(&mut queue.waiting) {
            self.changed.notify_all();
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
