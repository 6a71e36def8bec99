//! The write half of one WebSocket: any thread may send, one thread at a time writes, and no thread
//! holds the lock while it writes.
//!
//! Every step goes through [`Outbox::change`], [`Outbox::change_when`] or [`Outbox::admit`], which
//! then publish what other threads rely on: the flags that are read without the lock, the server's
//! total, and the wake-up of waiting threads. Waiting itself is in `waits`.
//!
//! ```text
//! a sender   appends its frame and, unless another thread has the role of the writer, takes it:
//!            it writes what is pending and looks again, at most 16 times
//!   if a write comes up short, or after 16 writes, it leaves the role and the rest to a flusher
//! a flusher  writes lot after lot (what one `write` is given), each with a total deadline, and
//!            stays for a second after it has caught up, so that a client that is slow again
//!            delays no sender
//! ```
//!
//! Only one thread has the role. A frame is appended whole, under the lock, and the rest of a write
//! that came up short goes in front of whatever was appended since: so no frame is interleaved with
//! another one, and messages from one sender arrive in order. A sender's write gives up after 8 ms,
//! because a thread that serves one client must not wait for another. std has no write that does
//! not wait at all (`O_NONBLOCK` would apply to the reader too, which shares the descriptor), so a
//! client that stops reading costs one of its senders these 8 ms. Only a client that is behind has a
//! flusher: a thread and a queue for every client would cost each message two thread switches.
//!
//! So a client that does not read is *behind* from the first write that comes up short. Frames for
//! it wait up to `Limits::backlog` (1 MiB by default) or `Limits::backlog_messages` (1,024); after
//! 100 ms (the *grace*) `Limits::overflow` drops what exceeds that and, by default, cuts the client
//! off. A message that was refused is counted; its sender is told by the number of receivers or, if
//! there is none, by `Error::Full`. Meanwhile the client's own thread sends it no pings and, once
//! more than `Limits::buffer` waits, reads nothing from it. A flusher whose client takes nothing of
//! a lot for `Limits::write_timeout` (30 s) ends the connection. On a system where a write that
//! gave up must be the last (`BRITTLE`), a sender's write takes longer and then cuts off.
//!
//! How long a send may wait for room in all, for however many clients (see [`Patience`]):
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
//! Whoever is refused for the total is cut off, too, if it has been behind for longer than the
//! grace.
//!
//! A handler's thread that sends to its own connection or session waits for room there instead (see
//! `batch`).

use crate::ground::limits::{Limits, Overflow, DIRECT_WRITE, TOTAL_WAIT};
use crate::ground::logger::log_line;
use crate::ground::peer::Peer;
use crate::ground::system::{start_thread, HOLD, WAKE};
#[cfg(feature = "deflate")]
use crate::net::compressors::Compressors;
use crate::net::queue::{Admission, Counts, Life, Next, Owner, Queue};
use crate::net::stream::{after, is_timeout, write_all, Stream};
use crate::net::timer::Clock;
use crate::session::cookie::Session;
use crate::websocket::close::CloseFrame;
#[cfg(feature = "deflate")]
use crate::websocket::forms::{place, Form, Forms, WINDOWS};
use crate::websocket::frame::{Frame, OpCode};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
#[cfg(feature = "deflate")]
use std::sync::atomic::AtomicU8;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Writes that one sender makes for others before a flusher takes over.
const ROUNDS: usize = 16;

/// The most bytes that are assumed to be in the system's buffers on their way to a client.
const SYSTEM_BUFFERS: usize = 4 * 1024 * 1024;
/// Stack of a flusher: it calls `write` and little else.
const FLUSHER_STACK: usize = 128 * 1024;
/// How long a flusher stays after its client has caught up.
const FLUSHER_STAYS: Duration = Duration::from_secs(1);

/// A message is compressed for a client that does not read if a part of it has room: more than it
/// shrinks by is hardly ever left, and then it is refused as it is.
#[cfg(feature = "deflate")]
const LEAST_ROOM: usize = 16;

/// Why a message is dropped, or its client cut off.
const UNREAD: &str = "it does not read what is sent to it";

/// What all outboxes of a server share.
#[derive(Default)]
pub(crate) struct Shared {
    pub limits: Limits,
    pub clock: Clock,
    watched: Mutex<Watched>,
    /// The number of bytes that wait in all outboxes behind a write or for a courier.
    total: AtomicUsize,
    /// The compressors, if clients may negotiate compression.
    #[cfg(feature = "deflate")]
    pub compressors: Option<Arc<Compressors>>,
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

    /// Returns the state of a server whose clients may negotiate compression.
    #[cfg(feature = "deflate")]
    pub fn compressing(limits: Limits, compressors: Option<Arc<Compressors>>) -> Arc<Shared> {
        Arc::new(Shared { limits, compressors, ..Shared::default() })
    }

    pub fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outboxes to which a batch has appended something. The thread of the batch writes them at its
/// end; if the batch lasts too long, the clock has them written.
#[derive(Default)]
pub(crate) struct Corked(pub Mutex<List>);

#[derive(Default)]
pub(crate) struct List {
    pub outboxes: Vec<Arc<Outbox>>,
    /// The clock watches the batch.
    pub watched: bool,
    /// The clock has seen these outboxes at one tick.
    pub seen: bool,
}

pub(crate) struct Outbox {
    /// The login whose cookie opened the WebSocket.
    pub session: Session,
    pub stream: Arc<dyn Stream>,
    peer: Peer,
    pub shared: Arc<Shared>,
    /// Locked for a step, never for a write: a client that is stuck must not stop the others.
    queue: Mutex<Queue>,
    changed: Condvar,
    /// What other threads read without the lock: whether the client is behind, whether what it
    /// sends is not handled any more, and the number of bytes written.
    behind: AtomicBool,
    closing: AtomicBool,
    written: AtomicUsize,
    /// The number of bytes that had been written when the client was last heard.
    written_when_heard: AtomicUsize,
    /// Its thread has to be woken for a Close frame of the server.
    wakes: AtomicBool,
    /// The receiving side was shut, to wake its thread for a Close frame of the server.
    woken: AtomicBool,
    /// Its thread serves it, and it has not left its session.
    served: AtomicBool,
    /// It has left its session, as the last that was served.
    last: AtomicBool,
    /// It has missed a message, which was logged.
    missed: AtomicBool,
    /// The bits of the window that the client allows; 0 where no compression was negotiated.
    #[cfg(feature = "deflate")]
    window: AtomicU8,
}

/// What became of a frame that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is written, or another thread is going to write it.
    Done,
    /// Much is pending: the caller has to write it now, or to wait for the thread that is writing.
    Crowded,
    /// The write came up short and delayed this thread: the client does not read fast enough.
    Stalled,
}

/// Why a frame was refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The connection has ended, or its Close frame was sent.
    Gone,
    /// The client does not read.
    Full(Full),
}

/// A client that does not read.
#[derive(Debug)]
pub(crate) struct Full {
    pub peer: Peer,
    /// The number of bytes that wait for it.
    pub waiting: usize,
    /// Whether it is to be cut off.
    pub closed: bool,
}

/// How long one send may still wait for room, by the table above.
#[derive(Default)]
pub(crate) struct Patience {
    moment_until: Option<Instant>,
    total_until: Option<Instant>,
}

impl Patience {
    /// Returns whether a client has delayed the send. Then it waits for no other client.
    pub fn is_spent(&self) -> bool {
        self.moment_until.is_some()
    }

    /// Notes that a client has delayed the send.
    pub fn spend(&mut self) {
        self.moment_until.get_or_insert_with(Instant::now);
    }

    /// Returns what is left of the moment.
    fn for_moment(&mut self) -> Option<Duration> {
        left(*self.moment_until.get_or_insert_with(|| after(DIRECT_WRITE)))
    }

    /// Returns a part of the time that is left to wait for the total, which falls when any outbox
    /// is written.
    pub fn for_total(&mut self) -> Option<Duration> {
        let left = left(*self.total_until.get_or_insert_with(|| after(TOTAL_WAIT)))?;
        Some(left.min(Duration::from_millis(1)))
    }
}

/// Returns the time until then, if there is any.
fn left(until: Instant) -> Option<Duration> {
    Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
}

impl Outbox {
    /// Returns an outbox that begins with `first`. No other thread can write before `open`.
    #[inline(never)]
    pub fn new(
        session: Session,
        stream: Arc<dyn Stream>,
        peer: Peer,
        shared: Arc<Shared>,
        first: Vec<u8>,
    ) -> Arc<Outbox> {
        Arc::new(Outbox {
            session,
            stream,
            peer,
            shared,
            queue: Mutex::new(Queue::opening(first)),
            changed: Condvar::new(),
            behind: false.into(),
            closing: false.into(),
            written: 0.into(),
            written_when_heard: 0.into(),
            wakes: false.into(),
            woken: false.into(),
            served: false.into(),
            last: false.into(),
            missed: false.into(),
            #[cfg(feature = "deflate")]
            window: 0.into(),
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

    /// Takes a step on the queue and publishes its result, which no step can forget this way. A
    /// step must not write, and must not lock anything.
    #[inline]
    pub fn change<T>(&self, step: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = self.lock();
        let result = step(&mut queue);
        self.publish(&mut queue);
        result
    }

    /// Does the same until the step succeeds. Its error says how long to wait at most for a change
    /// of the queue before the next attempt.
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
        self.closing.store(queue.is_closing(), Ordering::Release);
        self.written.store(queue.counts.bytes_out as usize, Ordering::Relaxed);
        let (more, awaited) = queue.publish();
        if more != 0 {
            self.shared.total.fetch_add(more, Ordering::Relaxed);
        }
        if awaited {
            self.changed.notify_all();
        }
    }

    /// Waits for room as the table says, and then takes a step that appends a frame of this length.
    #[inline]
    pub fn admit<T>(
        &self,
        length: usize,
        patience: &mut Patience,
        step: impl FnOnce(&mut Queue) -> T,
    ) -> Result<T, Refused> {
        let mut queue = self.lock();
        loop {
            let admission = queue.admission(length, self.total(), &self.shared.limits);
            let wait = match admission {
                Admission::Moment => patience.for_moment(),
                Admission::Total => patience.for_total(),
                Admission::Room | Admission::Full | Admission::Gone => None,
            };
            match (admission, wait) {
                // Nothing has changed, so nobody is woken: two senders would wake each other.
                (_, Some(wait)) => queue = self.wait(queue, Some(wait)),
                (Admission::Room | Admission::Moment, None) => break,
                (Admission::Gone, None) => return Err(Refused::Gone),
                (Admission::Full | Admission::Total, None) => {
                    return Err(Refused::Full(self.full(&queue)));
                }
            }
        }
        let result = step(&mut queue);
        self.publish(&mut queue);
        Ok(result)
    }

    pub fn full(&self, queue: &Queue) -> Full {
        let closed = self.shared.limits.overflow == Overflow::Close && queue.is_too_slow();
        Full { peer: self.peer.clone(), waiting: queue.bytes(), closed }
    }

    /// Writes the first bytes and what was sent meanwhile. Returns whether the socket accepted
    /// them.
    #[inline(never)]
    pub fn open(self: &Arc<Outbox>) -> bool {
        if self.write_briefly().is_err() {
            self.cut_off("its write timeout cannot be set");
        }
        let first = self.change(Queue::first_lot);
        self.run(first);
        !self.is_shut()
    }

    /// Passes on a frame in the form in which this client gets it.
    #[inline]
    pub fn in_form<T>(&self, frame: &Frame, then: impl FnOnce(&Frame) -> T) -> T {
        #[cfg(feature = "deflate")]
        {
            let form = self.form(frame);
            then(&form.as_ref().map_or(*frame, |form| frame.compressed(form)))
        }
        #[cfg(not(feature = "deflate"))]
        then(frame)
    }

    /// Sends a whole frame: writes it, or leaves it to the thread that is writing.
    #[inline]
    pub fn send(
        self: &Arc<Outbox>,
        frame: &Frame,
        patience: &mut Patience,
    ) -> Result<Sent, Refused> {
        let limits = &self.shared.limits;
        let (next, crowded) = self.admit(frame.len(), patience, |queue| {
            let next = queue.send(frame);
            (next, queue.is_crowded(limits))
        })?;
        let sent = self.run(next);
        Ok(if crowded { Sent::Crowded } else { sent })
    }

    /// Sends a ping to a client that has been silent, and frees memory that is not in use. Returns
    /// whether the ping was accepted.
    #[inline(never)]
    pub fn ping(self: &Arc<Outbox>) -> bool {
        let sent = self.send(&Frame::new(OpCode::Ping, b""), &mut Patience::default());
        self.change(Queue::shrink);
        sent.is_ok()
    }

    /// Writes what is pending unless another thread has the role.
    pub fn write_pending(self: &Arc<Outbox>) -> Sent {
        self.run(self.change(Queue::take_role))
    }

    /// Does what the queue says until another thread has the role, or none.
    #[inline]
    fn run(self: &Arc<Outbox>, mut next: Next) -> Sent {
        let mut rounds = 0;
        let mut sent = Sent::Done;
        while let Next::Write(lot) = next {
            rounds += 1;
            next = match self.write_once(&lot) {
                Some(taken) if taken < lot.len() => {
                    sent = Sent::Stalled;
                    self.change(|queue| queue.came_up_short(lot, taken))
                }
                _ => self.change(|queue| queue.written(lot, rounds == ROUNDS)),
            };
        }
        if next == Next::HandOver {
            self.hand_over(sent == Sent::Stalled);
        }
        sent
    }

    /// Makes writes give up soon, because a thread that sends must not wait for the client.
    fn write_briefly(&self) -> io::Result<()> {
        let hold = if self.stream.is_brittle() { HOLD } else { DIRECT_WRITE };
        self.stream.set_write_timeout(hold)
    }

    /// Writes once. Returns the number of bytes that the system took, or `None` if the connection
    /// has ended: then the outbox is shut and nothing is pending.
    #[inline]
    fn write_once(&self, bytes: &[u8]) -> Option<usize> {
        loop {
            match self.stream.write(bytes) {
                Ok(taken) => return Some(taken),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) && !self.stream.is_brittle() => return Some(0),
                Err(error) if is_timeout(&error) => {
                    self.cut_off("it does not read, and this system cannot wait for it");
                    return None;
                }
                Err(_) => {
                    self.lose();
                    return None;
                }
            }
        }
    }

    /// Starts a flusher that takes over the role and what is pending, because the sender must not
    /// wait for this client. If no thread can be started, a client that has stalled is cut off.
    #[cold]
    fn hand_over(self: &Arc<Outbox>, stalled: bool) {
        let outbox = Arc::clone(self);
        let job = Box::new(move || outbox.drain(stalled, true));
        if start_thread("sockling-flush", FLUSHER_STACK, job).is_err() {
            self.drain(stalled, false);
        }
    }

    /// Writes lot after lot, each within its deadline, until nothing is pending. The thread has the
    /// role. If no flusher could be started, the sender's thread does this, and must not wait.
    fn drain(self: &Arc<Outbox>, mut stalled: bool, flusher: bool) {
        if stalled && !flusher {
            self.cut_off("it does not read, and no thread can be started to wait for it");
        }
        while let Some(lot) = self.next_lot(stalled) {
            let taken = match self.write_once(&lot) {
                Some(taken) if taken < lot.len() => taken,
                _ => continue,
            };
            if !flusher {
                self.cut_off("it does not read, and no thread can be started to wait for it");
                continue;
            }
            stalled = true;
            self.change(Queue::fall_behind);
            let limits = &self.shared.limits;
            let all = write_all(&*self.stream, &[&lot[taken..]], limits.write_timeout, limits);
            // The next write must give up soon again.
            match all.and_then(|()| self.write_briefly()) {
                Ok(()) => {}
                Err(error) if is_timeout(&error) => self.cut_off("it did not read in time"),
                Err(_) => self.lose(),
            }
        }
    }

    /// Returns the flusher's next lot, for which it waits a while if it stays, or gives the role
    /// back and returns `None`.
    fn next_lot(&self, stays: bool) -> Option<Vec<u8>> {
        let until = after(FLUSHER_STAYS);
        self.change_when(|queue| {
            let left = until.saturating_duration_since(Instant::now());
            match queue.next_lot(stays && !left.is_zero()) {
                Next::Write(lot) => Ok(Some(lot)),
                Next::Stay => Err(left),
                Next::HandOver | Next::Leave => Ok(None),
            }
        })
    }

    /// Appends a whole frame for `by` to write. Returns whether the caller has to arrange for that,
    /// and whether much is pending.
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

    /// Returns whether a pong may be sent like any other frame. For a client that is behind, the
    /// newest pong is kept; after a Close frame there are none.
    pub fn may_pong(&self, pong: &Frame) -> bool {
        !self.change(|queue| queue.keep_pong(pong))
    }

    /// Appends a Close frame, which the caller writes and after which nothing is accepted. Returns
    /// whether it is the first one.
    pub fn queue_close(&self, close: &CloseFrame) -> bool {
        self.change(|queue| queue.close(&Frame::new(OpCode::Close, &close.payload())))
    }

    /// Returns the server's Close frame, once it has been appended.
    pub fn sent_close(&self) -> Option<CloseFrame> {
        self.lock().close_payload().and_then(|payload| CloseFrame::parse(payload).ok())
    }

    /// Makes the clock wake the thread that reads, unless the client answers the Close frame soon,
    /// and end the connection if the client does not answer in time.
    pub fn await_answer(self: &Arc<Outbox>) {
        let outbox = Arc::downgrade(self);
        let job = move || {
            if let Some(outbox) = outbox.upgrade() {
                outbox.wake();
                outbox.cut_off_late();
            }
        };
        self.shared.clock.at(after(WAKE.min(self.time_to_close())), Box::new(job));
    }

    /// Sets whether its thread has to be woken for a Close frame of another thread: while the
    /// application waits in `receive`, which is to return before the client has answered.
    pub fn set_wakes(&self, wakes: bool) {
        self.wakes.store(wakes, Ordering::Release);
    }

    /// Shuts the receiving side, which wakes the thread in its read. From then on the end of the
    /// client's side cannot be seen, so it is done only where the thread has to be woken.
    fn wake(&self) {
        if !self.wakes.load(Ordering::Acquire) {
            return;
        }
        self.woken.store(true, Ordering::Release);
        // An error means that the peer was faster.
        let _ = self.stream.shutdown(Shutdown::Read);
    }

    /// Returns whether the receiving side was shut to wake the thread: a read that finds nothing
    /// returns at once from then on.
    pub fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }

    /// Ends the connection if the client has not answered the Close frame in time, and looks again
    /// later otherwise.
    fn cut_off_late(self: &Arc<Outbox>) {
        let left = self.time_to_close();
        if left.is_zero() {
            self.close();
            return;
        }
        let outbox = Arc::downgrade(self);
        let job = move || outbox.upgrade().iter().for_each(Outbox::cut_off_late);
        self.shared.clock.at(after(left), Box::new(job));
    }

    /// Returns how long to wait for the client's Close frame, which travels behind what was written
    /// to the client before.
    pub fn time_to_close(&self) -> Duration {
        let limits = &self.shared.limits;
        let whole = limits.close_timeout.saturating_add(self.way());
        self.lock().time_to_close(whole)
    }

    /// Returns the time for what has been written since the client was last heard to reach it: what
    /// the system may hold of it, at `Limits::min_rate`.
    pub fn way(&self) -> Duration {
        let heard = self.written_when_heard.load(Ordering::Relaxed);
        self.shared.limits.earned(self.written().wrapping_sub(heard).min(SYSTEM_BUFFERS))
    }

    /// Notes that bytes have come from the client.
    #[inline]
    pub fn hear(&self) {
        self.written_when_heard.store(self.written(), Ordering::Relaxed);
    }

    /// Returns whether nothing more that the client sends is handled: the Close frame was sent, or
    /// the connection was cut off.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Returns whether nothing more can be sent: by a Close frame, or because the socket is shut.
    pub fn has_ended(&self) -> bool {
        self.lock().life() != Life::Open
    }

    /// Counts a message that was refused, and cuts the client off if it is to be.
    pub fn overflow(&self, full: &Full) {
        let cut_off = self.change(|queue| {
            if queue.is_shut() {
                return None; // Another thread was faster, and the counts may have been summed up.
            }
            queue.counts.dropped += 1;
            queue.counts.cut_off += u64::from(full.closed);
            Some(full.closed && queue.shut())
        });
        match cut_off {
            Some(true) => {
                self.shut_down();
                self.log("cut off", UNREAD);
            }
            Some(false) if !self.missed.swap(true, Ordering::Relaxed) => {
                self.log("dropped a message to", UNREAD);
            }
            _ => {}
        }
    }

    /// Counts what the client sent.
    pub fn heard(&self, messages: u64, bytes: u64) {
        if bytes > 0 {
            self.change(|queue| {
                queue.counts.messages_in += messages;
                queue.counts.bytes_in += bytes;
            });
        }
    }

    /// Returns the traffic so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Ends the connection at once, and logs why.
    pub fn cut_off(&self, why: &str) {
        if self.close() {
            self.log("cut off", why);
        }
    }

    #[inline(never)]
    fn log(&self, what: &str, why: &str) {
        log_line!(Info, "{} {} ({}): {}", what, self.session.id, self.peer, why);
    }

    /// Ends the connection at once: drops what is pending and shuts the socket, so that the thread
    /// that is blocked in a read wakes and leaves the map. Returns whether the socket was open.
    pub fn close(&self) -> bool {
        let open = self.change(Queue::shut);
        if open {
            self.shut_down();
        }
        open
    }

    /// Notes that a write has failed: the client has gone, or reads no more. What was received from
    /// it is still handled.
    fn lose(&self) {
        if self.change(Queue::lose) {
            self.shut_down();
        }
    }

    fn shut_down(&self) {
        // An error means that the peer was faster.
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
        self.lock().is_shut()
    }

    /// Returns the number of bytes that the system took so far, modulo the size of the counter.
    pub fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// Waits for a change, at most for `longest`.
    pub fn wait<'a>(
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

    /// Returns whether more waits for all clients of the server than may.
    pub fn is_total_exceeded(&self) -> bool {
        self.total() > self.shared.limits.total_backlog
    }

    pub fn total(&self) -> usize {
        self.shared.total.load(Ordering::Relaxed)
    }

    pub fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "deflate")]
impl Outbox {
    /// Sets the bits of the window that was negotiated, before any other thread knows the outbox.
    pub fn set_window(&self, bits: u8) {
        self.window.store(bits, Ordering::Relaxed);
    }

    /// Returns the bits of the window, or 0 where no compression was negotiated.
    #[inline]
    pub fn window(&self) -> u8 {
        self.window.load(Ordering::Relaxed)
    }

    /// Counts what the client sent compressed, in bytes as they came and inflated.
    pub fn inflated(&self, (compressed, uncompressed): (u64, u64)) {
        if compressed > 0 {
            self.change(|queue| {
                queue.counts.compression.compressed_in += compressed;
                queue.counts.compression.uncompressed_in += uncompressed;
            });
        }
    }

    /// Returns the compressed form of a frame, which has none itself, or `None` if the frame goes as it
    /// is. No lock is held while the form is made, which takes 10 KiB of stack.
    #[inline]
    fn form(&self, frame: &Frame) -> Form {
        self.make_form(frame.payload(), frame.forms()?, place(self.window())?)
    }

    /// Returns the form at a place, which is made unless it is known.
    #[inline(never)]
    fn make_form(&self, payload: &[u8], forms: &Forms, place: usize) -> Form {
        if let Some(known) = forms.get(place) {
            return known;
        }
        let compressors = self.shared.compressors.as_ref()?;
        if payload.len() < compressors.smallest {
            return None;
        }
        let part = payload.len() / LEAST_ROOM;
        let admission = self.lock().admission(part, self.total(), &self.shared.limits);
        if matches!(admission, Admission::Gone | Admission::Full) {
            // Refused anyway.
            return None;
        }
        // Not noted where no compressor is idle: the next receiver asks again.
        let shorter = payload.len().saturating_sub(1);
        let form = compressors.compress(payload, WINDOWS[place], shorter)?;
        forms.add(place, form.map(Into::into))
    }
}
