//! Sends from one thread to many outboxes: what waits for the end of a batch, who may wait, and who
//! takes over.
//!
//! A connection's thread handles all whole frames that it has read before it reads again: a batch.
//! While more of the batch is to come, what its handlers send is only appended, to whatever
//! connection it goes, and each outbox is written once at the end. Threads that serve no WebSocket
//! have no batch and write at once.
//!
//! ```text
//! corked     appended, on the thread's list     ── end of the batch ──▶ written
//! late       corked for 5 ms: a handler is slow ── the clock ─────────▶ written
//! stalled    one client held the thread up: what is left goes to a courier thread, which hands
//!            on half of what it has left whenever it is held up itself
//! ```

use crate::ground::system::start_thread;
use crate::net::outbox::{Full, Outbox, Refused, Sent, Shared};
use crate::net::stream::after;
use crate::websocket::close::CloseFrame;
use crate::websocket::frame::Frame;
use std::cell::RefCell;
use std::mem::take;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The clock's pace while anything is corked. What is corked waits for one tick at least and two
/// at most.
const TICK: Duration = Duration::from_millis(5);
/// Stack of a courier: it calls `write` and little else.
const COURIER_STACK: usize = 128 * 1024;

thread_local! {
    static BATCH: RefCell<Option<Batch>> = const { RefCell::new(None) };
}

/// The WebSocket that this thread serves, and what the thread has appended and not written.
struct Batch {
    own: Arc<Outbox>,
    corked: bool,
    list: Vec<Arc<Outbox>>,
}

/// Makes this thread the one that serves a WebSocket, until it is dropped: for the whole of its
/// conversation. What was corked is then written, also when a handler panicked.
pub(crate) struct BatchGuard(());

impl BatchGuard {
    pub fn take(own: &Arc<Outbox>) -> BatchGuard {
        own.serve();
        let batch = Batch { own: Arc::clone(own), corked: false, list: Vec::new() };
        BATCH.with(|slot| *slot.borrow_mut() = Some(batch));
        BatchGuard(())
    }

    /// Says whether what is sent from here on may wait for the end of the batch.
    pub fn cork(&self, corked: bool) {
        with_batch(|batch| batch.corked = corked);
    }

    /// Writes what was corked, and corks nothing from here on: before the WebSocket leaves its
    /// session, and before its Close frame.
    pub fn end(&self) {
        self.cork(false);
        flush();
    }
}

impl Drop for BatchGuard {
    fn drop(&mut self) {
        flush();
        BATCH.with(|slot| slot.borrow_mut().take());
    }
}

/// Runs on this thread's batch; returns `None` when it has none, or is so near its end that its
/// locals are gone. Nothing in `look` may send: the batch is borrowed.
fn with_batch<T>(look: impl FnOnce(&mut Batch) -> T) -> Option<T> {
    BATCH.try_with(|slot| slot.borrow_mut().as_mut().map(look)).ok().flatten()
}

/// Sends a whole frame to connections. Returns how many took it, and the last that does not read and
/// did not.
pub(crate) fn deliver_all<'a>(
    to: impl Iterator<Item = &'a Arc<Outbox>>,
    frame: &Frame,
) -> (usize, Option<Full>) {
    let (mut taken, mut full) = (0, None);
    // After one client has held this thread up, the others are left to a courier; but not when as
    // much waits as may, for then it is the sender who has to wait.
    let (mut held_up, mut left) = (false, Vec::new());
    for outbox in to {
        let left_to_courier = held_up && !is_own(outbox) && !outbox.is_total_exceeded();
        let sent = if left_to_courier {
            append_for_courier(outbox, frame, &mut left)
        } else {
            deliver(outbox, frame)
        };
        match sent {
            Ok(sent) => {
                held_up |= sent == Sent::Stalled;
                taken += 1;
            }
            Err(Refused::Full(one)) => full = Some(one),
            Err(Refused::Gone) => {}
        }
    }
    send_courier(left);
    (taken, full)
}

/// Sends a whole frame to one connection. To its own connection a handler's thread waits for room.
/// When too much waits for another client that does not read, the frame is not taken, and the client
/// is cut off if that is how the server is set.
#[inline]
pub(crate) fn deliver(to: &Arc<Outbox>, frame: &Frame) -> Result<Sent, Refused> {
    loop {
        match append_or_send(to, frame) {
            Err(Refused::Full(_)) if is_own(to) => wait_for_own(to, frame.len()),
            Ok(Sent::Crowded) if is_own(to) => {
                wait_for_own(to, 0);
                return Ok(Sent::Done);
            }
            result => return note_if_full(to, result),
        }
    }
}

/// Waits for the thread's own client. What was corked for others is written first.
fn wait_for_own(own: &Arc<Outbox>, length: usize) {
    flush();
    // Without a deadline there is room, or the connection has ended, which the next send tells.
    let _ = own.wait_for_room(length, None);
}

/// Sends a whole frame to connections, and waits for room at each until the deadline. Returns how many
/// took it, and the last that had no room.
#[inline(never)]
pub(crate) fn deliver_patiently<'a>(
    to: impl Iterator<Item = &'a Arc<Outbox>>,
    frame: &Frame,
    deadline: Instant,
) -> (usize, Option<Full>) {
    let (mut taken, mut full) = (0, None);
    flush();
    for outbox in to {
        let sent = loop {
            match outbox.wait_for_room(frame.len(), Some(deadline)) {
                Ok(()) => match append_or_send(outbox, frame) {
                    // Others were faster.
                    Err(Refused::Full(_)) => {}
                    result => break result,
                },
                Err(none) => break Err(Refused::Full(none)),
            }
        };
        match sent {
            Ok(_) => taken += 1,
            Err(Refused::Full(one)) => {
                outbox.overflow(&one);
                full = Some(one);
            }
            Err(Refused::Gone) => {}
        }
    }
    (taken, full)
}

fn append_for_courier(
    to: &Arc<Outbox>,
    frame: &Frame,
    left: &mut Vec<Arc<Outbox>>,
) -> Result<Sent, Refused> {
    let appended = to.cork(frame, 0).map(|_| Sent::Done);
    let appended = note_if_full(to, appended)?;
    left.push(Arc::clone(to));
    Ok(appended)
}

fn note_if_full(to: &Arc<Outbox>, result: Result<Sent, Refused>) -> Result<Sent, Refused> {
    if let Err(Refused::Full(full)) = &result {
        to.overflow(full);
    }
    result
}

fn append_or_send(to: &Arc<Outbox>, frame: &Frame) -> Result<Sent, Refused> {
    // The address of the thread's own outbox marks those on its list: no other living batch has it,
    // and a flush takes the mark away.
    let corked = with_batch(|batch| batch.corked.then_some(Arc::as_ptr(&batch.own) as usize));
    let mark = match corked.flatten() {
        Some(mark) => mark,
        None => return to.send(frame),
    };
    let (first, sent) = to.cork(frame, mark)?;
    if first {
        with_batch(|batch| batch.list.push(Arc::clone(to)));
        look_after(to);
    }
    if sent == Sent::Crowded {
        flush();
    }
    Ok(sent)
}

/// Returns the WebSocket that this thread serves, until its conversation is over.
pub(crate) fn own() -> Option<Arc<Outbox>> {
    with_batch(|batch| Arc::clone(&batch.own))
}

fn is_own(to: &Arc<Outbox>) -> bool {
    with_batch(|batch| Arc::ptr_eq(&batch.own, to)).unwrap_or(false)
}

/// Sends a Close frame to connections. Returns how many got none before.
pub(crate) fn close_all<'a>(
    to: impl Iterator<Item = &'a Arc<Outbox>>,
    close: &CloseFrame,
) -> usize {
    let closed: Vec<_> = to.filter(|outbox| outbox.queue_close(close)).cloned().collect();
    // Their threads may be blocked in a read and keep no deadline.
    closed.iter().for_each(Outbox::cut_off_late);
    let count = closed.len();
    write_list(closed);
    count
}

/// Writes what this thread has corked. Ends with every outbox written, or with its bytes in the
/// hands of another thread.
pub(crate) fn flush() {
    write_list(with_batch(|batch| take(&mut batch.list)).unwrap_or_default());
}

/// Writes outboxes until one holds the thread up; the rest is left to a courier.
pub(crate) fn write_list(mut list: Vec<Arc<Outbox>>) {
    while let Some(outbox) = list.pop() {
        if outbox.write_pending() == Sent::Stalled {
            return send_courier(list);
        }
    }
}

/// Has a thread of its own write outboxes. Without one this thread does.
fn send_courier(list: Vec<Arc<Outbox>>) {
    if list.is_empty() {
        return;
    }
    let load = list.clone();
    if start_thread("sockling-courier", COURIER_STACK, Box::new(move || carry(load))).is_err() {
        for outbox in list {
            outbox.write_pending();
        }
    }
}

fn carry(mut list: Vec<Arc<Outbox>>) {
    while let Some(outbox) = list.pop() {
        if outbox.write_pending() == Sent::Stalled {
            send_courier(list.split_off(list.len() / 2));
        }
    }
}

/// Has the clock write an outbox that stays corked for longer than a tick: a handler may turn out
/// to be slow, or to wait for an answer to what it has just sent.
fn look_after(corked: &Arc<Outbox>) {
    let shared = &corked.shared;
    let started = {
        let mut late = shared.late();
        late.corked.push(Arc::downgrade(corked));
        !std::mem::replace(&mut late.ticking, true)
    };
    if started {
        tick_later(Arc::clone(shared));
    }
}

fn tick_later(shared: Arc<Shared>) {
    let server = Arc::clone(&shared);
    shared.clock.at(after(TICK), move || tick(server));
}

fn tick(shared: Arc<Shared>) {
    let tick = shared.ticks.fetch_add(1, Ordering::Relaxed) + 1;
    let corked = {
        let mut late = shared.late();
        late.ticking = !late.corked.is_empty();
        take(&mut late.corked)
    };
    if corked.is_empty() {
        return;
    }
    let (mut young, mut due) = (Vec::new(), Vec::new());
    for outbox in corked.iter().filter_map(Weak::upgrade) {
        match outbox.corked_for(tick) {
            None => {}
            Some(0 | 1) => young.push(Arc::downgrade(&outbox)),
            Some(_) => due.push(outbox),
        }
    }
    shared.late().corked.append(&mut young);
    // Not written here: the clock has other jobs, and may not wait for a client.
    send_courier(due);
    tick_later(shared);
}
