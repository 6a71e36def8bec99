//! Sends from one thread to many outboxes: what waits for the end of a batch, which sends wait for
//! a client, and which thread takes over.
//!
//! A connection's thread handles every whole frame that it has read before it reads again: a batch.
//! While more of the batch is to come, what its handlers send is only appended, to whichever
//! connection it goes, and each outbox is written once at the end. Threads that serve no WebSocket
//! have no batch and write at once.
//!
//! ```text
//! corked     appended, on the batch's list      ── end of the batch ──▶ written
//! late       the batch lasts for 5 to 10 ms     ── the clock ─────────▶ written by a courier
//! delayed    one client delayed the send: the others go to a courier thread, which hands on half
//!            of its list whenever a client delays it
//! ```
//!
//! A handler's thread that sends to its own connection or session waits for room there until the
//! client has read or is cut off. For every other client, and for all clients of a topic or a
//! broadcast, a send waits no longer than the table in `outbox` says: the handler may hold a lock of
//! the application, for which others would wait with it.

use crate::ground::system::start_thread;
use crate::net::outbox::{Corked, Full, List, Outbox, Patience, Refused, Sent, Shared};
use crate::net::queue::{Owner, Queue};
use crate::net::stream::after;
use crate::websocket::close::CloseFrame;
use crate::websocket::frame::Frame;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::mem::{replace, take};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// The clock's interval while it watches a batch. What is corked waits for one to two ticks.
const TICK: Duration = Duration::from_millis(5);
/// Stack of a courier: it calls `write` and little else.
const COURIER_STACK: usize = 128 * 1024;

thread_local! {
    static BATCH: RefCell<Option<Batch>> = const { RefCell::new(None) };
    /// Whether the WebSocket that this thread has served left its session as the last.
    static LAST: Cell<bool> = const { Cell::new(false) };
}

/// The WebSocket that this thread serves, and the outboxes to which the thread has appended.
struct Batch {
    own: Arc<Outbox>,
    corks: bool,
    corked: Arc<Corked>,
}

impl Batch {
    /// Returns the owner that stands for this batch: no other living batch has this outbox.
    fn owner(&self) -> Owner {
        Owner::Batch(Arc::as_ptr(&self.own) as usize)
    }

    /// Puts an outbox on the list. Returns the list if the clock does not watch it yet.
    fn cork(&self, outbox: &Arc<Outbox>) -> Option<(Arc<Shared>, Weak<Corked>)> {
        let mut list = self.corked.list();
        list.outboxes.push(Arc::clone(outbox));
        let new = !replace(&mut list.watched, true);
        new.then(|| (Arc::clone(&self.own.shared), Arc::downgrade(&self.corked)))
    }
}

impl Corked {
    /// Locked for a moment, never for a write.
    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While this guard exists, which is for a whole conversation, its thread serves a WebSocket. It
/// cannot be sent to another thread. When it is dropped, what was corked is written, even after a
/// handler has panicked.
pub(crate) struct BatchGuard(PhantomData<*const ()>);

impl BatchGuard {
    pub fn take(own: &Arc<Outbox>) -> BatchGuard {
        own.serve();
        let batch = Batch { own: Arc::clone(own), corks: false, corked: Arc::default() };
        BATCH.with(|slot| *slot.borrow_mut() = Some(batch));
        BatchGuard(PhantomData)
    }

    /// Sets whether what is sent from here on may wait for the end of the batch.
    pub fn cork(&self, corks: bool) {
        with_batch(|batch| batch.corks = corks);
    }

    /// Writes what was corked, and corks nothing from here on. Called before the WebSocket leaves
    /// its session and before its Close frame.
    pub fn end(&self) {
        self.cork(false);
        flush();
    }
}

impl Drop for BatchGuard {
    fn drop(&mut self) {
        flush();
        note_last(was_last());
        BATCH.with(|slot| slot.borrow_mut().take());
    }
}

/// Runs on this thread's batch. Returns `None` if the thread has none, or is so near its end that
/// its locals are gone. `look` must not send, because the batch is borrowed.
fn with_batch<T>(look: impl FnOnce(&mut Batch) -> T) -> Option<T> {
    BATCH.try_with(|slot| slot.borrow_mut().as_mut().map(look)).ok().flatten()
}

/// Returns the WebSocket that this thread serves, until its conversation is over.
pub(crate) fn own() -> Option<Arc<Outbox>> {
    with_batch(|batch| Arc::clone(&batch.own))
}

/// Returns whether the WebSocket that this thread serves, or has served in the handler that still
/// runs, has left its session as the last.
pub(crate) fn was_last() -> bool {
    let now = with_batch(|batch| batch.own.was_last());
    now.unwrap_or_else(|| LAST.try_with(Cell::get).unwrap_or(false))
}

/// Notes the answer for the rest of the handler; `false` when that has ended.
pub(crate) fn note_last(last: bool) {
    // An error is the end of the thread.
    let _ = LAST.try_with(|slot| slot.set(last));
}

fn is_own(to: &Arc<Outbox>) -> bool {
    with_batch(|batch| Arc::ptr_eq(&batch.own, to)).unwrap_or(false)
}

/// What has become of a frame at several connections: how many accepted it, and the last that
/// refused it because its client does not read.
#[derive(Default)]
struct Tally {
    taken: usize,
    full: Option<Full>,
}

impl Tally {
    fn count(&mut self, sent: Result<(), Refused>) {
        match sent {
            Ok(()) => self.taken += 1,
            Err(Refused::Full(full)) => self.full = Some(full),
            Err(Refused::Gone) => {}
        }
    }
}

/// Sends a whole frame to connections, and `waits` for room at the thread's own if it is one of
/// them. Returns how many accepted it, and the last that refused it because its client does not
/// read.
pub(crate) fn deliver_all<'a>(
    to: impl Iterator<Item = &'a Arc<Outbox>>,
    frame: &Frame,
    waits: bool,
) -> (usize, Option<Full>) {
    let (mut tally, mut own) = (Tally::default(), None);
    let (mut patience, mut left) = (Patience::default(), Vec::new());
    for outbox in to {
        if waits && is_own(outbox) {
            own = Some(outbox);
        } else if patience.is_spent() {
            // After one client has delayed this thread, the others are left to a courier.
            tally.count(leave_to_courier(outbox, frame, &mut patience, &mut left));
        } else {
            tally.count(deliver_within(outbox, frame, &mut patience, false));
        }
    }
    send_courier(left);
    // Last, because no other client must wait for this thread's own.
    if let Some(own) = own {
        tally.count(deliver_within(own, frame, &mut patience, true));
    }
    (tally.taken, tally.full)
}

/// Sends a whole frame to the connection that this thread serves, and waits for room. Error: it has
/// ended.
pub(crate) fn deliver_to_own(own: &Arc<Outbox>, frame: &Frame) -> Result<(), Refused> {
    deliver_within(own, frame, &mut Patience::default(), true)
}

/// Sends a whole frame to one connection, and `waits` for room if it is the thread's own. What
/// another connection refuses is counted, and its client is cut off if it is to be.
#[inline]
fn deliver_within(
    to: &Arc<Outbox>,
    frame: &Frame,
    patience: &mut Patience,
    waits: bool,
) -> Result<(), Refused> {
    to.in_form(frame, |frame| loop {
        match append_or_send(to, frame, patience) {
            Err(Refused::Full(_)) if waits => wait_for_own(to, frame.len()),
            Ok(Sent::Crowded) if waits => {
                wait_for_own(to, 0);
                return Ok(());
            }
            Ok(sent) => {
                if sent == Sent::Stalled {
                    patience.spend();
                }
                return Ok(());
            }
            Err(refused) => return Err(noted(to, refused)),
        }
    })
}

/// Waits for the thread's own client, after writing what was corked for others.
fn wait_for_own(own: &Arc<Outbox>, length: usize) {
    flush();
    // Without a deadline there is room, or the connection has ended, which the next send reports.
    let _ = own.wait_for_room(length, None);
}

/// Sends a whole frame to connections, and waits for room at each until the deadline. Returns how
/// many accepted it, and the last that had no room.
#[inline(never)]
pub(crate) fn deliver_patiently<'a>(
    to: impl Iterator<Item = &'a Arc<Outbox>>,
    frame: &Frame,
    deadline: Instant,
) -> (usize, Option<Full>) {
    let mut tally = Tally::default();
    flush();
    for outbox in to {
        // First, so that nothing is compressed for a client that reads nothing.
        let sent = outbox.wait_for_room(0, Some(deadline)).map_err(Refused::Full);
        let sent = sent
            .and_then(|()| outbox.in_form(frame, |frame| deliver_until(outbox, frame, deadline)));
        tally.count(sent.map_err(|refused| noted(outbox, refused)));
    }
    (tally.taken, tally.full)
}

/// Sends a whole frame to one connection, and waits for room until the deadline.
fn deliver_until(to: &Arc<Outbox>, frame: &Frame, deadline: Instant) -> Result<(), Refused> {
    loop {
        to.wait_for_room(frame.len(), Some(deadline)).map_err(Refused::Full)?;
        #[cfg(test)]
        crate::inside::pauses::at("there is room");
        match append_or_send(to, frame, &mut Patience::default()) {
            // Another sender was faster.
            Err(Refused::Full(_)) => {}
            result => return result.map(drop),
        }
    }
}

fn leave_to_courier(
    to: &Arc<Outbox>,
    frame: &Frame,
    patience: &mut Patience,
    left: &mut Vec<Arc<Outbox>>,
) -> Result<(), Refused> {
    let appended = to.in_form(frame, |frame| to.append(frame, Owner::Courier, patience));
    let (new, _) = appended.map_err(|refused| noted(to, refused))?;
    if new {
        left.push(Arc::clone(to));
    }
    // Beyond the total the courier begins at once, and this thread gives it the time that is left.
    while to.is_total_exceeded() {
        match patience.for_total() {
            Some(wait) => {
                send_courier(take(left));
                thread::sleep(wait);
            }
            None => break,
        }
    }
    Ok(())
}

/// Counts a message that was refused, and cuts the client off if it is to be.
fn noted(to: &Arc<Outbox>, refused: Refused) -> Refused {
    if let Refused::Full(full) = &refused {
        to.overflow(full);
    }
    refused
}

#[inline]
fn append_or_send(
    to: &Arc<Outbox>,
    frame: &Frame,
    patience: &mut Patience,
) -> Result<Sent, Refused> {
    let corks = with_batch(|batch| batch.corks.then(|| batch.owner())).flatten();
    match corks {
        Some(batch) => cork(to, frame, batch, patience),
        None => to.send(frame, patience),
    }
}

/// Appends a frame to an outbox, which is written at the end of the batch.
fn cork(
    to: &Arc<Outbox>,
    frame: &Frame,
    batch: Owner,
    patience: &mut Patience,
) -> Result<Sent, Refused> {
    let (new, sent) = to.append(frame, batch, patience)?;
    if new {
        let unwatched = with_batch(|batch| batch.cork(to)).flatten();
        if let Some((shared, corked)) = unwatched {
            watch(&shared, corked);
        }
    }
    // The list may have gone to a courier, and then has this outbox no more.
    if sent == Sent::Crowded && [flush(), to.write_pending()].contains(&Sent::Stalled) {
        patience.spend();
    }
    Ok(sent)
}

/// Sends a Close frame to connections. Returns how many had not been sent one before.
pub(crate) fn close_all(mut list: Vec<Arc<Outbox>>, close: &CloseFrame) -> usize {
    list.retain(|outbox| outbox.queue_close(close));
    // Their threads may be blocked in a read that began without this deadline.
    list.iter().for_each(Outbox::await_answer);
    let count = list.len();
    write_list(list);
    count
}

/// Writes what this thread has corked. When it returns, every outbox is written, or another thread
/// is going to write it.
pub(crate) fn flush() -> Sent {
    let list = with_batch(|batch| {
        let mut list = batch.corked.list();
        list.seen = false;
        take(&mut list.outboxes)
    });
    write_list(list.unwrap_or_default())
}

/// Writes outboxes until one delays the thread, and leaves the rest to a courier. Returns whether
/// one did.
pub(crate) fn write_list(mut list: Vec<Arc<Outbox>>) -> Sent {
    while let Some(outbox) = list.pop() {
        if outbox.write_pending() == Sent::Stalled {
            send_courier(list);
            return Sent::Stalled;
        }
    }
    Sent::Done
}

/// Starts a courier that writes outboxes. If it cannot be started, this thread writes them.
fn send_courier(list: Vec<Arc<Outbox>>) {
    if list.is_empty() {
        return;
    }
    list.iter().for_each(|outbox| outbox.change(Queue::leave_to_courier));
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

/// Makes the clock watch a batch: a handler may turn out to be slow, or may wait for the answer to
/// what it has just sent.
#[inline(never)]
fn watch(shared: &Arc<Shared>, corked: Weak<Corked>) {
    let mut watched = shared.watched();
    watched.batches.push(corked);
    if !replace(&mut watched.ticking, true) {
        drop(watched);
        tick_later(Arc::clone(shared));
    }
}

fn tick_later(shared: Arc<Shared>) {
    let server = Arc::clone(&shared);
    shared.clock.at(after(TICK), Box::new(move || tick(server)));
}

/// Makes a courier write what was on a list at the previous tick and is still there.
pub(crate) fn tick(shared: Arc<Shared>) {
    let mut batches = take(&mut shared.watched().batches);
    let mut due = Vec::new();
    batches.retain(|batch| match batch.upgrade() {
        Some(corked) => corked.list().is_watched_on(&mut due),
        None => false,
    });
    let ticks = {
        let mut watched = shared.watched();
        watched.batches.append(&mut batches);
        watched.ticking = !watched.batches.is_empty();
        watched.ticking
    };
    // Not written here, unless no thread can be started: the clock has other jobs, and must not
    // wait for a client.
    send_courier(due);
    if ticks {
        tick_later(shared);
    }
}

impl List {
    /// Moves the outboxes to those that are due if they have been seen before. Returns whether the
    /// clock goes on watching the batch.
    fn is_watched_on(&mut self, due: &mut Vec<Arc<Outbox>>) -> bool {
        if self.outboxes.is_empty() {
            self.watched = false;
        } else if replace(&mut self.seen, true) {
            due.append(&mut self.outboxes);
            self.seen = false;
        }
        self.watched
    }
}
