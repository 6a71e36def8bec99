//! The state of one WebSocket's write half, and every step that changes it. There is no lock and no
//! socket here, so a test can try the steps in every order. `outbox` has both, and takes each step
//! in the one function that then tells the rest of the program.
//!
//! ```text
//!            append               take_role              written, nothing pending
//!   Nobody ─────────▶ Batch(id) ─────────────┐          ┌──────────────────▶ Nobody
//!      │      │          ▼ (late)            │          │
//!      │      └─────▶ Courier ──────────────▶│          │
//!      └────────────── send ────────────────▶ Writer ───┤ written, more is pending: the next lot
//!                                               ▲       │
//!                      caught up, and stays     │       └ came_up_short ─▶ Behind ─┐
//!                                               └──────────────────────────────────┘ a flusher's
//!
//!   Open ── close ──▶ Closing ── all is written ──▶ CloseSent ── shut ──▶ Shut
//!     │                                                                    ▲
//!     └── a write fails ──▶ Lost ── close, shut ───────────────────────────┘
//! ```
//!
//! A life only goes forward, and `shut` ends it at any time. What the client sent before a write to
//! it failed still counts, so `Lost` is not `Shut`: its thread goes on with what was received.
//!
//! 1. Nothing is pending without an owner.
//! 2. Only the thread for which the owner is `Writer` or `Behind` writes to the socket. It looks at
//!    the queue again before it gives up that role: what is appended meanwhile is its to write.
//! 3. Nothing is appended after a Close frame, and nothing is pending in a queue that is shut.

use crate::ground::limits::Limits;
use crate::websocket::frame::Frame;
use std::mem::{replace, take};
use std::time::{Duration, Instant};

/// How long a client may be behind before it is cut off or misses messages. Until then its senders
/// are slowed down, because they may be too fast for any client.
const GRACE: Duration = Duration::from_millis(100);
/// The largest capacity of a buffer that is kept for the next lot, in bytes.
const KEPT: usize = 16 * 1024;

/// The traffic of one connection, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) struct Counts {
    pub messages_in: u64,
    pub messages_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Messages that were refused because the client does not read.
    pub dropped: u64,
    /// Clients that were cut off for that.
    pub cut_off: u64,
    /// What was compressed: bytes from clients and to them.
    #[cfg(feature = "deflate")]
    pub compression: Compression,
}

/// The bytes of compressed messages, as they travel and as they are otherwise.
#[cfg(feature = "deflate")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) struct Compression {
    pub compressed_in: u64,
    pub uncompressed_in: u64,
    pub compressed_out: u64,
    pub uncompressed_out: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        self.messages_in += more.messages_in;
        self.messages_out += more.messages_out;
        self.bytes_in += more.bytes_in;
        self.bytes_out += more.bytes_out;
        self.dropped += more.dropped;
        self.cut_off += more.cut_off;
        #[cfg(feature = "deflate")]
        {
            let (all, more) = (&mut self.compression, more.compression);
            all.compressed_in += more.compressed_in;
            all.uncompressed_in += more.uncompressed_in;
            all.compressed_out += more.compressed_out;
            all.uncompressed_out += more.uncompressed_out;
        }
    }
}

/// The party that is going to write what is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nothing is pending.
    Nobody,
    /// The thread of the batch with this id has the outbox on its list: it writes at the end of the
    /// batch, or the clock has it written when that is late.
    Batch(usize),
    /// A thread that has the outbox on another list, and goes through it now.
    Courier,
    /// A thread that is writing, or a flusher that has caught up and stays for more.
    Writer,
    /// A flusher. A write came up short at this time, and the client has not caught up since.
    Behind { since: Instant },
}

/// The stages in which the write half ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Life {
    Open,
    /// A Close frame is in, so nothing may follow (RFC 6455, 5.5.1).
    Closing,
    /// It is written, at this time.
    CloseSent {
        at: Instant,
    },
    /// A write failed before a Close frame was in, so the socket is shut.
    Lost,
    /// The socket is shut, and what the client may still have sent is not handled any more.
    Shut,
}

/// What the thread with the role of the writer does next.
#[derive(PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Next {
    /// It writes these bytes, and reports how many were taken.
    Write(Vec<u8>),
    /// It starts a flusher, which has the role from here on.
    HandOver,
    /// It waits for a change. Only a flusher does.
    Stay,
    /// It does not have the role, or has given it back.
    Leave,
}

/// Whether a frame may be appended: the cells of the table in `outbox`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// At once.
    Room,
    /// After the send's one moment, which keeps a sender from being faster than the client for
    /// long.
    Moment,
    /// Only once less waits for all clients together.
    Total,
    /// No: the client has been behind for longer than the grace.
    Full,
    /// No: the connection has ended, or its Close frame has been appended.
    Gone,
}

#[cfg_attr(test, derive(Clone, Hash))]
pub(crate) struct Queue {
    /// Whole frames that nobody is writing.
    pending: Vec<u8>,
    /// The number of these frames.
    messages: usize,
    /// The newest pong for a client that is behind. Older ones are dropped, as RFC 6455, 5.5.3
    /// allows, so that pings cannot fill the memory.
    pong: Option<Vec<u8>>,
    /// Bytes that the writer is writing.
    in_flight: usize,
    owner: Owner,
    life: Life,
    /// The traffic so far. Written bytes are added when the writer reports them.
    pub counts: Counts,
    /// The payload of the Close frame that was appended.
    close: Option<Box<[u8]>>,
    /// A thread waits for a change. Without this flag, each change would cost a system call.
    pub awaited: bool,
    /// The part of the server's total that stands for this queue.
    counted: usize,
}

impl Queue {
    /// Returns a queue with bytes that the caller will write, by [`first_lot`](Queue::first_lot).
    pub fn opening(first: Vec<u8>) -> Queue {
        Queue {
            pending: first,
            messages: 0,
            pong: None,
            in_flight: 0,
            owner: Owner::Writer,
            life: Life::Open,
            counts: Counts::default(),
            close: None,
            awaited: false,
            counted: 0,
        }
    }

    /// Returns what a queue was opened with, and what was appended since.
    pub fn first_lot(&mut self) -> Next {
        Next::Write(self.take_lot(Vec::new()))
    }

    /// Decides about a frame of this length while `total` bytes wait for all clients. One message
    /// is always accepted: otherwise a limit below its length would let nothing through.
    pub fn admission(&self, length: usize, total: usize, limits: &Limits) -> Admission {
        let full = self.is_full(length, limits);
        if self.life != Life::Open {
            Admission::Gone
        } else if full && self.is_too_slow() {
            Admission::Full
        } else if self.is_beyond(total, limits) {
            Admission::Total
        } else if full {
            Admission::Moment
        } else {
            Admission::Room
        }
    }

    /// Appends a frame, and takes the role of the writer unless another thread has it.
    pub fn send(&mut self, frame: &Frame) -> Next {
        self.push(frame);
        self.take_role()
    }

    /// Appends a frame for `by` to write, unless the queue has an owner who will. Returns whether
    /// the caller has to put the queue on the list of `by`.
    pub fn append(&mut self, frame: &Frame, by: Owner) -> bool {
        self.push(frame);
        let free = match self.owner {
            Owner::Nobody => true,
            // Of two batches the one that appended last writes, since its frames are in it too.
            Owner::Batch(_) => self.owner != by,
            // A batch writes at its end even if the courier takes its time.
            Owner::Courier => matches!(by, Owner::Batch(_)),
            Owner::Writer | Owner::Behind { .. } => false,
        };
        if free && self.owner != Owner::Courier {
            self.owner = by;
        }
        free
    }

    /// Appends a Close frame for the caller to write, and returns true. If there is one already, or
    /// the socket is shut, appends nothing and returns false.
    pub fn close(&mut self, frame: &Frame) -> bool {
        match self.life {
            Life::Open => {
                self.take_pong();
                self.append(frame, Owner::Courier);
                self.close = Some(frame.parts()[1].into());
                self.life = Life::Closing;
                true
            }
            Life::Lost => {
                self.life = Life::Shut;
                false
            }
            Life::Closing | Life::CloseSent { .. } | Life::Shut => false,
        }
    }

    /// Drops everything, because the socket is being shut. Returns whether it was open.
    pub fn shut(&mut self) -> bool {
        self.drop_all(Life::Shut)
    }

    /// Drops everything, because a write has failed. Returns whether the socket was open.
    pub fn lose(&mut self) -> bool {
        self.drop_all(if self.life == Life::Open { Life::Lost } else { Life::Shut })
    }

    fn drop_all(&mut self, life: Life) -> bool {
        self.in_flight = 0; // Nobody knows how much of it was written.
        self.pending = Vec::new();
        self.pong = None;
        let open = !self.is_shut();
        self.life = life;
        open
    }

    /// Leaves to a courier what a batch has appended, so that it counts in the total.
    pub fn leave_to_courier(&mut self) {
        if let Owner::Batch(_) = self.owner {
            self.owner = Owner::Courier;
        }
    }

    /// Takes the role of the writer if something is pending and no other thread has it.
    pub fn take_role(&mut self) -> Next {
        if self.has_writer() || self.pending.is_empty() {
            return Next::Leave;
        }
        self.owner = Owner::Writer;
        Next::Write(self.take_lot(Vec::new()))
    }

    /// Notes that the writer's lot is written, or that an error has shut the queue. What was
    /// appended meanwhile comes next; if the writer has written `enough`, a flusher writes it.
    pub fn written(&mut self, lot: Vec<u8>, enough: bool) -> Next {
        self.settle();
        if self.pending.is_empty() {
            self.keep(lot);
            return self.step_down();
        }
        match enough {
            true => Next::HandOver,
            false => Next::Write(self.take_lot(lot)),
        }
    }

    /// Notes that the system took only `taken` bytes of the writer's lot: the client is behind, and
    /// a flusher writes the rest.
    pub fn came_up_short(&mut self, mut lot: Vec<u8>, taken: usize) -> Next {
        if self.is_shut() {
            return self.step_down();
        }
        self.in_flight = taken;
        self.settle();
        lot.drain(..taken);
        lot.append(&mut self.pending);
        self.pending = lot;
        self.fall_behind();
        Next::HandOver
    }

    /// Notes that the flusher's lot is written, and returns the next one. If nothing is pending,
    /// the flusher stays, or gives the role back.
    pub fn next_lot(&mut self, stays: bool) -> Next {
        self.settle();
        if !self.pending.is_empty() || self.pong.is_some() {
            Next::Write(self.take_lot(Vec::new()))
        } else if stays && !self.is_shut() {
            self.catch_up(Owner::Writer);
            Next::Stay
        } else {
            self.step_down()
        }
    }

    /// Notes that a flusher's write came up short.
    pub fn fall_behind(&mut self) {
        if !self.is_behind() {
            self.owner = Owner::Behind { since: Instant::now() };
        }
    }

    /// If the client is behind, keeps a pong in place of an older one. Returns whether it is
    /// behind.
    pub fn keep_pong(&mut self, pong: &Frame) -> bool {
        if self.is_behind() && self.life == Life::Open {
            self.pong = Some(pong.parts().concat());
        }
        self.is_behind()
    }

    /// Frees memory that is not in use.
    pub fn shrink(&mut self) {
        if self.pending.is_empty() {
            self.pending = Vec::new();
        }
    }

    fn push(&mut self, frame: &Frame) {
        self.pending.reserve(frame.len());
        frame.parts().iter().for_each(|part| self.pending.extend_from_slice(part));
        self.messages += 1;
        self.counts.messages_out += u64::from(frame.is_message());
        #[cfg(feature = "deflate")]
        if let Some((uncompressed, compressed)) = frame.lengths() {
            self.counts.compression.uncompressed_out += uncompressed as u64;
            self.counts.compression.compressed_out += compressed as u64;
        }
    }

    fn take_pong(&mut self) {
        if let Some(pong) = self.pong.take() {
            self.pending.extend_from_slice(&pong);
        }
    }

    /// Returns everything that is pending, the pong last, and reuses the buffer of the previous
    /// lot.
    fn take_lot(&mut self, mut before: Vec<u8>) -> Vec<u8> {
        self.take_pong();
        self.messages = 0;
        self.in_flight = self.pending.len();
        if before.capacity() > KEPT {
            before = Vec::new();
        }
        before.clear();
        replace(&mut self.pending, before)
    }

    /// Keeps the buffer of a lot for the next one.
    fn keep(&mut self, mut lot: Vec<u8>) {
        if self.pending.capacity() == 0 && lot.capacity() <= KEPT && !self.is_shut() {
            lot.clear();
            self.pending = lot;
        }
    }

    fn settle(&mut self) {
        self.counts.bytes_out += take(&mut self.in_flight) as u64;
    }

    /// Gives the role back. Nothing is pending.
    fn step_down(&mut self) -> Next {
        self.catch_up(Owner::Nobody);
        Next::Leave
    }

    /// Notes that everything is written, the Close frame included if there is one.
    fn catch_up(&mut self, owner: Owner) {
        self.owner = owner;
        if self.life == Life::Closing {
            self.life = Life::CloseSent { at: Instant::now() };
        }
    }

    pub fn life(&self) -> Life {
        self.life
    }

    /// Returns whether the socket is shut, so that nothing can be written.
    pub fn is_shut(&self) -> bool {
        self.life >= Life::Lost
    }

    /// Returns whether nothing more that the client sends is handled: because of a Close frame of
    /// the server, or because the server has shut the socket.
    pub fn is_closing(&self) -> bool {
        !matches!(self.life, Life::Open | Life::Lost)
    }

    /// Returns the payload of the Close frame that was appended.
    pub fn close_payload(&self) -> Option<&[u8]> {
        self.close.as_deref()
    }

    /// Returns how long to wait for the client's Close frame, of the `whole` time for that. It
    /// begins when the server's own is written, which has a deadline of its own.
    pub fn time_to_close(&self, whole: Duration) -> Duration {
        match self.life {
            Life::Open | Life::Closing => whole,
            Life::CloseSent { at } => whole.saturating_sub(at.elapsed()),
            Life::Lost | Life::Shut => Duration::ZERO,
        }
    }

    /// Returns whether a thread has the role of the writer.
    pub fn has_writer(&self) -> bool {
        matches!(self.owner, Owner::Writer | Owner::Behind { .. })
    }

    /// Returns whether the client does not read as fast as it is sent to.
    pub fn is_behind(&self) -> bool {
        matches!(self.owner, Owner::Behind { .. })
    }

    /// Returns whether the client has been behind for longer than the grace.
    pub fn is_too_slow(&self) -> bool {
        matches!(self.owner, Owner::Behind { since } if since.elapsed() >= GRACE)
    }

    /// Returns the number of bytes that wait for the client.
    pub fn bytes(&self) -> usize {
        self.pending.len() + self.in_flight
    }

    /// Returns the number of bytes that no thread is writing yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Returns what to add to the server's total, modulo the size of the counter, and whether
    /// waiting threads have to be woken. Called after every step.
    #[inline]
    pub fn publish(&mut self) -> (usize, bool) {
        let in_total = self.in_total();
        let more = in_total.wrapping_sub(replace(&mut self.counted, in_total));
        (more, take(&mut self.awaited))
    }

    /// Returns the number of bytes that count in the server's total: those that wait behind a write
    /// or for a courier. What a thread writes at the end of its batch does not count, nor does what
    /// is being written.
    fn in_total(&self) -> usize {
        let counts = match self.owner {
            Owner::Nobody | Owner::Batch(_) => false,
            Owner::Courier => true,
            Owner::Writer | Owner::Behind { .. } => !self.pending.is_empty() || self.counted > 0,
        };
        if counts {
            self.bytes()
        } else {
            0
        }
    }

    /// Returns how many more bytes and messages may be pending.
    pub fn room(&self, limits: &Limits) -> (usize, usize) {
        let messages = limits.backlog_messages.saturating_sub(self.messages);
        (limits.backlog.saturating_sub(self.pending.len()), messages)
    }

    /// Returns whether a frame of this length does not fit behind what waits for a write.
    pub fn is_full(&self, length: usize, limits: &Limits) -> bool {
        self.waits_behind_a_write()
            && (self.pending.len() + length > limits.backlog
                || self.messages >= limits.backlog_messages)
    }

    /// Returns whether half of what makes a queue full waits behind a write. A connection's own
    /// thread stops there, which leaves room for other senders.
    pub fn is_crowded(&self, limits: &Limits) -> bool {
        self.waits_behind_a_write()
            && (self.pending.len() > limits.backlog / 2
                || self.messages > limits.backlog_messages / 2)
    }

    /// Returns whether `total` exceeds the limit and this queue is part of it.
    pub fn is_beyond(&self, total: usize, limits: &Limits) -> bool {
        let waits = match self.owner {
            Owner::Nobody | Owner::Batch(_) => false,
            // What is being written to a client that reads does not wait.
            Owner::Courier | Owner::Writer => !self.pending.is_empty(),
            Owner::Behind { .. } => self.bytes() > 0,
        };
        total > limits.total_backlog && waits
    }

    fn waits_behind_a_write(&self) -> bool {
        self.has_writer() && !self.pending.is_empty()
    }
}
