//! The write half of one WebSocket as the rest of the program sees it: who may add to it and when,
//! what is known of it without its lock, and its end. Who writes it is in `writer`.
//!
//! Every change goes through [`Outbox::change`], which afterwards publishes what others rely on: the
//! marks that are read without the lock, the server's total, and the wake-up of threads that wait.
//!
//! How long a send may wait for room, in all, for however many clients (a [`Patience`]):
//!
//! ```text
//!   the client has         less than may wait  more, for less       more, for longer
//!                          for it              than the grace       than the grace
//!   ─────────────────────  ──────────────────  ───────────────────  ──────────────────────
//!   the server's total
//!     is not exceeded      taken               a moment (8 ms),     refused, and cut off by
//!                                              then taken           Limits::overflow
//!     is exceeded, and
//!     nothing waits here   taken               (does not occur)     (does not occur)
//!     is exceeded, and     up to 20 ms, then   up to 20 ms, then    refused, and cut off by
//!     something waits      refused             refused              Limits::overflow
//! ```
//!
//! To its own connection a handler's thread waits for room instead (see `batch`).

use crate::ground::limits::{Limits, Overflow, DIRECT_WRITE, TOTAL_WAIT};
use crate::ground::logger::log_line;
use crate::net::queue::{Admission, Counts, Life, Owner, Queue};
use crate::net::stream::{after, Stream};
use crate::net::timer::Clock;
use crate::session::cookie::Session;
use crate::websocket::close::CloseFrame;
use crate::websocket::frame::{Frame, OpCode};
use crate::websocket::message::Message;
use std::mem::take;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// What all outboxes of a server share.
#[derive(Default)]
pub(crate) struct Shared {
    pub limits: Limits,
    pub clock: Clock,
    watched: Mutex<Watched>,
    /// Bytes that wait in all outboxes behind a write, or for a courier.
    total: AtomicUsize,
}

/// The batches that the clock looks after, and whether it ticks for them.
#[derive(Default)]
pub(crate) struct Watched {
    pub batches: Vec<Weak<Corked>>,
    pub ticking: bool,
}

impl Shared {
    pub fn new(limits: Limits) -> Arc<Shared> {
        Arc::new(Shared { limits, ..Shared::default() })
    }

    pub fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outboxes for which a batch has appended something. The thread of the batch writes them at its
/// end; the clock has them written when the batch lasts too long.
#[derive(Default)]
pub(crate) struct Corked(pub Mutex<List>);

#[derive(Default)]
pub(crate) struct List {
    pub outboxes: Vec<Arc<Outbox>>,
    /// The clock knows of the batch.
    pub watched: bool,
    /// The clock has seen these outboxes once.
    pub seen: bool,
}

pub(crate) struct Outbox {
    /// The login whose cookie opened the WebSocket.
    pub session: Session,
    pub stream: Arc<dyn Stream>,
    peer: SocketAddr,
    pub shared: Arc<Shared>,
    /// Held for a step, never while writing: one client that is stuck must not stop the rest.
    queue: Mutex<Queue>,
    changed: Condvar,
    /// What others may read without the lock: whether the client is behind, whether nothing can be
    /// sent any more, and how many bytes were written.
    behind: AtomicBool,
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
    /// It is written, or another thread writes it.
    Done,
    /// Much is pending: the caller writes it now, or waits for the thread that is writing.
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
    /// Whether it is cut off for that.
    pub closed: bool,
}

/// How long one send may still wait for room: the table above.
pub(crate) struct Patience {
    moment: bool,
    total_until: Option<Instant>,
}

impl Patience {
    /// Returns that of a send that has not waited yet.
    pub fn new() -> Patience {
        Patience { moment: true, total_until: None }
    }

    /// Returns whether the send has been held up by a client: then it waits for no further one.
    pub fn is_spent(&self) -> bool {
        !self.moment
    }

    /// Takes the moment, if it is left.
    pub fn spend(&mut self) -> Option<Duration> {
        take(&mut self.moment).then_some(DIRECT_WRITE)
    }

    /// Returns a part of what is left to wait for the total, which another outbox may bring down.
    fn for_total(&mut self) -> Option<Duration> {
        let until = *self.total_until.get_or_insert_with(|| after(TOTAL_WAIT));
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| left.min(DIRECT_WRITE))
    }
}

impl Outbox {
    /// Returns an outbox whose first bytes are `first`. No other thread can write before `open`.
    #[inline(never)]
    pub fn new(
        session: Session,
        stream: Arc<dyn Stream>,
        peer: SocketAddr,
        shared: Arc<Shared>,
        first: Vec<u8>,
    ) -> Arc<Outbox> {
        let queue = Mutex::new(Queue::opening(first));
        let (changed, behind, ended, written, served, last) = Default::default();
        Arc::new(Outbox {
            session,
            stream,
            peer,
            shared,
            queue,
            changed,
            behind,
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

    /// Runs a step on the queue, and publishes what has come of it. There is no other way to change
    /// a queue, so nothing of that can be forgotten. A step may not write, and may lock nothing.
    #[inline]
    pub fn change<T>(&self, step: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = self.lock();
        let result = step(&mut queue);
        self.publish(&mut queue);
        result
    }

    /// Does the same, and again after each change of the queue or after so long, as long as the step
    /// says how long to wait.
    #[inline]
    pub fn change_when<T>(&self, mut step: impl FnMut(&mut Queue) -> Result<T, Duration>) -> T {
        let mut queue = self.lock();
        loop {
            let result = step(&mut queue);
            self.publish(&mut queue);
            match result {
                Ok(result) => return result,
                Err(longest) => queue = self.wait(queue, Some(longest)),
            }
        }
    }

    #[inline]
    fn publish(&self, queue: &mut Queue) {
        self.behind.store(queue.is_behind(), Ordering::Release);
        self.ended.store(queue.life() != Life::Open, Ordering::Release);
        self.written.store(queue.counts.bytes_out as usize, Ordering::Relaxed);
        let (more, awaited) = queue.publish();
        if more != 0 {
            self.shared.total.fetch_add(more, Ordering::Relaxed);
        }
        if awaited {
            self.changed.notify_all();
        }
    }

    /// Waits for room as the table says, and then runs a step that appends a frame of this length.
    #[inline]
    pub fn admit<T>(
        &self,
        length: usize,
        patience: &mut Patience,
        step: impl Fn(&mut Queue) -> T,
    ) -> Result<T, Refused> {
        self.change_when(|queue| {
            let admission = queue.admission(length, self.total(), &self.shared.limits);
            let wait = match admission {
                Admission::Room => None,
                Admission::Moment => patience.spend(),
                Admission::Total => patience.for_total(),
                Admission::Full | Admission::Gone => None,
            };
            match (admission, wait) {
                (_, Some(wait)) => Err(wait),
                (Admission::Room | Admission::Moment, None) => Ok(Ok(step(queue))),
                (Admission::Gone, None) => Ok(Err(Refused::Gone)),
                (Admission::Full | Admission::Total, None) => {
                    Ok(Err(Refused::Full(self.full(queue))))
                }
            }
        })
    }

    fn full(&self, queue: &Queue) -> Full {
        let closed = self.shared.limits.overflow == Overflow::Close && queue.is_too_slow();
        Full { peer: self.peer, waiting: queue.bytes(), closed }
    }

    /// Appends a whole frame for `by` to write. Returns whether it is now the caller's to see to, and
    /// whether much is pending.
    pub fn append(
        &self,
        frame: &Frame,
        by: Owner,
        patience: &mut Patience,
    ) -> Result<(bool, Sent), Refused> {
        let limits = &self.shared.limits;
        self.admit(frame.len(), patience, |queue| {
            let callers = queue.append(frame, by);
            let much = !queue.has_writer() && queue.pending() > limits.buffer;
            let crowded = much || queue.is_crowded(limits);
            (callers, if crowded { Sent::Crowded } else { Sent::Done })
        })
    }

    /// Appends what topics kept for a new member, for the caller to write: the newest messages for
    /// which there is room, oldest first. The others are counted as dropped. Nothing is taken when
    /// the connection has ended.
    pub fn give(&self, messages: &[Arc<Message>]) {
        let limits = &self.shared.limits;
        let total = limits.total_backlog.saturating_sub(self.total());
        self.change(|queue| {
            if messages.is_empty() || queue.life() != Life::Open {
                return;
            }
            let (bytes, most) = queue.room(limits);
            let mut room = bytes.min(total);
            let fits = |message: &&Arc<Message>| {
                let left = room.checked_sub(message.frame().len());
                room = left.unwrap_or(0);
                left.is_some()
            };
            let fit = messages.iter().rev().take(most).take_while(fits).count();
            let (missed, given) = messages.split_at(messages.len() - fit);
            queue.counts.dropped += missed.len() as u64;
            for message in given {
                // For no batch: what the total does not count could pass it on many connections.
                queue.append(&message.frame(), Owner::Courier);
            }
        });
    }

    /// Returns whether a pong may go out like any other frame. For a client that is behind one waits,
    /// the newest; one that was sent a Close frame gets none.
    pub fn may_pong(&self, pong: &Frame) -> bool {
        !self.change(|queue| queue.keep_pong(pong))
    }

    /// Appends a Close frame, which the caller writes; nothing is taken after it. Returns whether it
    /// is the first one.
    pub fn queue_close(&self, close: &CloseFrame) -> bool {
        self.change(|queue| queue.close(&Frame::new(OpCode::Close, &close.payload())))
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

    /// Counts a message that was not taken, and cuts the client off if that is how the server is set.
    pub fn overflow(&self, full: &Full) {
        let cut_off = self.change(|queue| {
            if queue.life() == Life::Shut {
                return false; // others were faster, and its counts may be summed up
            }
            queue.counts.dropped += 1;
            queue.counts.cut_off += u64::from(full.closed);
            full.closed && queue.shut()
        });
        if cut_off {
            self.shut_down();
            self.log_cut_off("it does not read what is sent to it");
        }
    }

    /// Notes what the client sent.
    pub fn heard(&self, messages: u64, bytes: u64) {
        if bytes > 0 {
            self.change(|queue| {
                queue.counts.messages_in += messages;
                queue.counts.bytes_in += bytes;
            });
        }
    }

    /// Returns what has passed so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Ends the connection at once and logs why.
    pub fn cut_off(&self, why: &str) {
        if self.close() {
            self.log_cut_off(why);
        }
    }

    #[inline(never)]
    fn log_cut_off(&self, why: &str) {
        log_line!(Info, "cut off {} ({}): {}", self.session.id, self.peer, why);
    }

    /// Ends the connection at once: drops what is pending and shuts the socket, so that the thread
    /// that is blocked in a read wakes and leaves the map. Returns whether it was open.
    pub fn close(&self) -> bool {
        let open = self.change(Queue::shut);
        if open {
            self.shut_down();
        }
        open
    }

    fn shut_down(&self) {
        // Fails when the peer was faster; then it is shut already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Returns the bytes that wait for the client.
    pub fn backlog(&self) -> usize {
        self.lock().bytes()
    }

    /// Returns whether the client does not read as fast as it is sent to.
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    /// Returns whether the socket was shut.
    pub fn is_shut(&self) -> bool {
        self.lock().life() == Life::Shut
    }

    /// Returns how many bytes the system took so far, modulo the size of the counter.
    pub fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// Waits until there is room for a message of this length and for what others send, or until the
    /// deadline. Without one, the thread that writes has one, and cuts off a client that does not
    /// read. Returns what waits if there is no room.
    pub fn wait_for_room(&self, length: usize, deadline: Option<Instant>) -> Result<(), Full> {
        let limits = &self.shared.limits;
        let none = |queue: &Queue| {
            queue.life() == Life::Open
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
        if !self.is_behind() {
            return None;
        }
        let begun = Instant::now();
        let most = self.shared.limits.buffer;
        drop(self.wait_while(|queue| queue.is_behind() && queue.pending() > most, None));
        Some(begun.elapsed())
    }

    /// Waits until all is written. Returns false when the deadline came first.
    pub fn wait_until_written(&self, deadline: Instant) -> bool {
        let queue = self.wait_while(|queue| queue.bytes() > 0, Some(deadline));
        queue.bytes() == 0
    }

    /// Waits while the queue is open and so, or until the deadline.
    fn wait_while(
        &self,
        so: impl Fn(&Queue) -> bool,
        deadline: Option<Instant>,
    ) -> MutexGuard<'_, Queue> {
        let mut queue = self.lock();
        while queue.life() != Life::Shut && so(&queue) {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            queue = self.wait(queue, left);
        }
        queue
    }

    /// Waits for a change, or for so long.
    fn wait<'a>(
        &'a self,
        mut queue: MutexGuard<'a, Queue>,
        longest: Option<Duration>,
    ) -> MutexGuard<'a, Queue> {
        queue.awaited = true;
        match longest {
            None => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            Some(longest) => {
                let waited = self.changed.wait_timeout(queue, longest);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    fn total(&self) -> usize {
        self.shared.total.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
