//! What waits to be written to one client: bytes, counts and marks. No lock and no socket is
//! here; `outbox` has both.
//!
//! ```text
//! append ─▶ pending ── take_lot ─▶ in flight ─▶ the socket
//! ```

use crate::ground::limits::Limits;
use crate::websocket::frame::Frame;
use std::mem::take;
use std::time::{Duration, Instant};

/// How long a client may be congested before what it was sent too much of is held against it. Until
/// then it is the senders who are slowed down.
const GRACE: Duration = Duration::from_millis(100);
/// Largest empty buffer that is kept for the next batch, in bytes.
const KEPT: usize = 16 * 1024;

/// What has passed on one connection, or on all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub messages_in: u64,
    pub messages_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Messages that were not taken because the client does not read.
    pub dropped: u64,
    /// Clients that were cut off for that.
    pub cut_off: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        self.messages_in += more.messages_in;
        self.messages_out += more.messages_out;
        self.bytes_in += more.bytes_in;
        self.bytes_out += more.bytes_out;
        self.dropped += more.dropped;
        self.cut_off += more.cut_off;
    }
}

#[derive(Default)]
pub(crate) struct Queue {
    /// Whole frames that nobody is writing.
    pending: Vec<u8>,
    /// How many.
    messages: usize,
    /// The newest pong that a congested client has not got; older ones are dropped (RFC 6455,
    /// 5.5.3 allows it), so pings cannot fill the memory.
    pong: Option<Vec<u8>>,
    /// Bytes that somebody is writing.
    in_flight: usize,
    /// What has passed; what was written, once it is settled.
    pub counts: Counts,
    /// Somebody has the role of the writer.
    pub writing: bool,
    /// Since when a write came up short and the flusher has not caught up.
    congested_since: Option<Instant>,
    /// A Close frame is in: nothing may follow it (RFC 6455, 5.5.1).
    pub closing: bool,
    /// The socket was shut.
    pub shut: bool,
    /// Somebody waits for a change; waking nobody would cost a system call.
    pub waiting: bool,
    /// The mark of the batch on whose list the outbox is for what is pending; 0 is none.
    pub batch: usize,
    /// The clock's tick at which the oldest of the corked bytes came.
    pub corked_at: usize,
    /// What of this is in the server's total.
    pub counted: usize,
}

impl Queue {
    /// Returns a queue with bytes that its maker will write.
    pub fn opening(first: Vec<u8>) -> Queue {
        Queue { pending: first, writing: true, ..Queue::default() }
    }

    /// Appends a whole frame.
    pub fn append(&mut self, frame: &Frame) {
        let parts = frame.parts();
        self.pending.reserve(frame.len());
        parts.iter().for_each(|part| self.pending.extend_from_slice(part));
        self.messages += 1;
    }

    /// Returns all that is pending, the waiting pong last, for the caller to write. No list needs to
    /// hold the outbox any more.
    pub fn take_lot(&mut self) -> Vec<u8> {
        self.settle();
        self.take_pong();
        self.messages = 0;
        self.batch = 0;
        self.in_flight = self.pending.len();
        take(&mut self.pending)
    }

    /// Notes bytes that are written without having been pending.
    pub fn start(&mut self, bytes: usize) {
        self.writing = true;
        self.in_flight = bytes;
    }

    /// Takes the buffer of a lot that was written, for the next one.
    pub fn keep(&mut self, mut buffer: Vec<u8>) {
        if self.pending.capacity() == 0 && buffer.capacity() <= KEPT && !self.shut {
            buffer.clear();
            self.pending = buffer;
        }
    }

    /// Puts the rest of a lot back in front of what is pending.
    pub fn put_back(&mut self, mut rest: Vec<u8>) {
        self.in_flight = self.in_flight.saturating_sub(rest.len()); // 0 when the socket was shut
        self.settle();
        rest.append(&mut self.pending);
        self.pending = rest;
    }

    /// Notes that what was in flight is written.
    pub fn settle(&mut self) {
        self.counts.bytes_out += take(&mut self.in_flight) as u64;
    }

    /// Drops everything: the socket is shut.
    pub fn forget(&mut self) {
        self.shut = true;
        self.in_flight = 0; // how much of it was written is not known
        self.pending = Vec::new();
        self.pong = None;
    }

    /// Frees memory that is not in use.
    pub fn shrink(&mut self) {
        if self.pending.is_empty() {
            self.pending = Vec::new();
        }
    }

    /// Keeps a pong for a congested client, in place of an older one.
    pub fn keep_pong(&mut self, pong: &Frame) {
        self.pong = Some(pong.parts().concat());
    }

    /// Appends the pong that was kept.
    pub fn take_pong(&mut self) {
        if let Some(pong) = self.pong.take() {
            self.pending.extend_from_slice(&pong);
        }
    }

    /// Returns whether bytes are pending.
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Returns whether there is something to write.
    pub fn has_work(&self) -> bool {
        !self.pending.is_empty() || self.pong.is_some()
    }

    /// Returns the bytes that wait behind a write, or for a courier. What a thread has on its list
    /// is not meant, nor what it writes straight from a frame.
    pub fn waiting(&self) -> usize {
        let waits = match self.writing {
            true => self.is_pending() || self.counted > 0,
            false => self.is_pending() && self.batch == 0,
        };
        if waits {
            self.bytes()
        } else {
            0
        }
    }

    /// Returns the bytes that are pending.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Returns how many bytes may be pending beside those that are.
    pub fn room(&self, limits: &Limits) -> usize {
        limits.backlog.saturating_sub(self.pending.len())
    }

    /// Returns how many messages are pending.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Returns the bytes that wait for the client.
    pub fn bytes(&self) -> usize {
        self.pending.len() + self.in_flight
    }

    /// Notes whether the client is behind.
    pub fn congest(&mut self, congested: bool) {
        if congested != self.is_congested() {
            self.congested_since = congested.then(Instant::now);
        }
    }

    /// Returns whether the client does not read as fast as it is sent to.
    pub fn is_congested(&self) -> bool {
        self.congested_since.is_some()
    }

    /// Returns whether that has been so for a while: not the senders are too fast, it is too slow.
    pub fn is_too_slow(&self) -> bool {
        self.congested_since.map_or(false, |since| since.elapsed() >= GRACE)
    }

    /// Returns whether too much waits behind a write for a frame of this length to be taken. One
    /// message is always taken.
    pub fn is_full(&self, length: usize, limits: &Limits) -> bool {
        self.writing
            && self.is_pending()
            && (self.pending.len() + length > limits.backlog
                || self.messages >= limits.backlog_messages)
    }

    /// Returns whether bytes are being written while too much, `total`, waits for all clients. One
    /// message is always taken.
    pub fn is_beyond(&self, total: usize, limits: &Limits) -> bool {
        self.writing && self.bytes() > 0 && total > limits.total_backlog
    }

    /// Returns whether half of what makes an outbox full waits behind a write: where a connection's
    /// own thread stops, so that there is room for what others send.
    pub fn is_crowded(&self, limits: &Limits) -> bool {
        self.writing
            && self.is_pending()
            && (self.pending.len() > limits.backlog / 2
                || self.messages > limits.backlog_messages / 2)
    }
}
