//! Who writes an outbox: any thread may send, one writes at a time, none holds the lock while it
//! writes.
//!
//! ```text
//! send(frame)   somebody writes?  yes: append, the writer looks again
//!                                 no:  take the role and write, straight from the frame
//! the writer    all written?      nothing pending: step down; else write that, 16 times at most
//!               came up short?    congested: the rest goes to a flusher thread, with the role
//! the flusher   writes lot after lot, each with a total deadline, and stays for a second after it
//!               has caught up, so that a client that is slow again costs no sender anything
//! ```
//!
//! One thread has the role and takes the bytes in order, so messages from one sender arrive in order.

use crate::ground::limits::DIRECT_WRITE;
use crate::ground::system::{start_thread, HOLD};
use crate::net::outbox::{Outbox, Refused, Sent};
use crate::net::queue::Queue;
use crate::net::stream::{after, is_timeout, write_all, write_deadline};
use crate::websocket::frame::Frame;
use std::io::{self, ErrorKind};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

/// Writes that one sender does for others before a flusher takes over.
const ROUNDS: usize = 16;
/// Stack of a flusher: it calls `write` and little else.
const FLUSHER_STACK: usize = 128 * 1024;
/// How long a flusher stays after its client has caught up.
const FLUSHER_STAYS: Duration = Duration::from_secs(1);

impl Outbox {
    /// Writes the first bytes, and what was sent meanwhile. Returns whether the socket took them.
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

    /// Writes what is pending, unless somebody is writing.
    pub fn write_pending(self: &Arc<Outbox>) -> Sent {
        self.write_pending_of(self.lock())
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

    /// Writes bytes, then what others appended meanwhile; the caller has the role.
    #[inline]
    fn write(self: &Arc<Outbox>, parts: [&[u8]; 2]) -> Sent {
        match self.write_once(parts) {
            Some(bytes) if bytes < parts[0].len() + parts[1].len() => {
                return self.stall(parts, bytes)
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
                Some(bytes) if bytes < lot.len() => return self.stall([&lot, &[]], bytes),
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

    /// Makes one `write` call. Returns how many bytes the system took, or `None` when the
    /// connection has ended.
    #[inline]
    fn write_once(&self, parts: [&[u8]; 2]) -> Option<usize> {
        loop {
            match self.stream.write(parts) {
                Ok(bytes) => return Some(bytes),
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
                Some(bytes) => bytes,
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
            match all.and_then(|()| self.write_briefly()) {
                Ok(()) => {}
                Err(error) if is_timeout(&error) => self.cut_off("it did not read in time"),
                // It has gone by itself.
                Err(_) => drop(self.close()),
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
}
