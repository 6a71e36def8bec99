//! The threads that write: any thread may send, one at a time has the role of the writer, and none
//! holds the lock while it writes.
//!
//! ```text
//! a sender       appends its frame, and takes the role unless another thread has it. It writes what
//!                is pending, looks again, and goes on for 16 writes at most
//!   came up short, or wrote 16 times: it leaves the role, and the rest, to a flusher
//! the flusher    writes lot after lot, each with a total deadline, and stays for a second after it
//!                has caught up, so that a client that is slow again costs no sender anything
//! ```
//!
//! A sender's write gives up after 8 ms: a thread that serves one client may not wait for another.
//! std has no way to write without waiting at all (`O_NONBLOCK` would hold for the reader too, which
//! shares the descriptor), so a client that stops reading costs one of its senders these 8 ms.
//!
//! The role is one, and its thread takes the bytes in order, so messages from one sender arrive in
//! order.

use crate::ground::limits::DIRECT_WRITE;
use crate::ground::system::{start_thread, HOLD};
use crate::net::outbox::{Outbox, Patience, Refused, Sent};
use crate::net::queue::{Next, Queue};
use crate::net::stream::{after, is_timeout, write_all, write_deadline};
use crate::websocket::frame::{Frame, OpCode};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Writes that one sender does for others before a flusher takes over.
const ROUNDS: usize = 16;
/// Stack of a flusher: it calls `write` and little else.
const FLUSHER_STACK: usize = 128 * 1024;
/// How long a flusher stays after its client has caught up.
const FLUSHER_STAYS: Duration = Duration::from_secs(1);

impl Outbox {
    /// Writes the first bytes, and what was sent meanwhile. Returns whether the socket took them.
    #[inline(never)]
    pub fn open(self: &Arc<Outbox>) -> bool {
        if self.write_briefly().is_err() {
            self.cut_off("its write timeout cannot be set");
        }
        let first = self.change(Queue::first_lot);
        self.run(first);
        !self.is_shut()
    }

    /// Sends a whole frame: writes it now, or leaves it to the thread that is writing.
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

    /// Sends a ping to a client that has been quiet, and frees memory that it does not need.
    #[inline(never)]
    pub fn ping(self: &Arc<Outbox>) {
        // Refused when the connection has ended, which the next read will tell.
        drop(self.send(&Frame::new(OpCode::Ping, b""), &mut Patience::new()));
        self.change(Queue::shrink);
    }

    /// Writes what is pending, unless another thread has the role.
    pub fn write_pending(self: &Arc<Outbox>) -> Sent {
        self.run(self.change(Queue::take_role))
    }

    /// Writes lot after lot, as the queue says.
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

    /// Has writes give up soon: a thread that sends is not to wait for the client.
    fn write_briefly(&self) -> io::Result<()> {
        let hold = if self.stream.is_brittle() { HOLD } else { DIRECT_WRITE };
        self.stream.set_write_timeout(hold)
    }

    /// Makes one `write` call. Returns how many bytes the system took, or `None` when the connection
    /// has ended: it is shut then, and nothing is pending.
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
                    self.close();
                    return None;
                }
            }
        }
    }

    /// Gives the role, and what is pending, to a thread of its own, since the sender may not wait for
    /// this client. When no thread can be started a client that has stalled is cut off.
    #[cold]
    fn hand_over(self: &Arc<Outbox>, stalled: bool) {
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
            let deadline = write_deadline(self.shared.limits.write_timeout, lot.len());
            let all = write_all(&*self.stream, &lot[taken..], deadline);
            // A direct write that follows must be short again.
            match all.and_then(|()| self.write_briefly()) {
                Ok(()) => {}
                Err(error) if is_timeout(&error) => self.cut_off("it did not read in time"),
                // It has gone by itself.
                Err(_) => drop(self.close()),
            }
        }
    }

    /// Returns the flusher's next lot, for which it waits a while if it stays. Without one, the role
    /// is given back.
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
}
