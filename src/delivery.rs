//! Sends from one thread to many outboxes: what waits for the end of a batch, and who may wait.
//!
//! A connection's thread handles all whole frames that it has read before it reads again: a batch.
//! While more of the batch is to come, what its handlers send is only appended, to whatever
//! connection it goes, and each outbox is written once at the end. Threads that serve no WebSocket
//! have no batch and write at once.

use crate::outbox::{Outbox, Refused, Shared};
use crate::socket::after;
use std::cell::RefCell;
use std::mem::take;
use std::sync::Arc;

thread_local! {
    static BATCH: RefCell<Option<Batch>> = const { RefCell::new(None) };
}

/// What the thread of a WebSocket has appended and not written.
struct Batch {
    own: Arc<Outbox>,
    shared: Arc<Shared>,
    corked: bool,
    list: Vec<Arc<Outbox>>,
}

impl Batch {
    /// Returns what marks an outbox as being on this list: the address of the thread's own outbox,
    /// which no other living batch has. A flush takes the mark away.
    fn mark(&self) -> usize {
        Arc::as_ptr(&self.own) as usize
    }
}

/// Makes this thread the one that serves a WebSocket, until it is dropped; then everything that
/// was corked is written, also when a handler panicked.
pub(crate) struct Seat(());

impl Seat {
    pub fn take(own: &Arc<Outbox>, shared: &Arc<Shared>) -> Seat {
        let (own, shared) = (Arc::clone(own), Arc::clone(shared));
        BATCH.with(|batch| {
            *batch.borrow_mut() = Some(Batch { own, shared, corked: false, list: Vec::new() });
        });
        Seat(())
    }

    /// Says whether what is sent from here on may wait for the end of the batch.
    pub fn cork(&self, corked: bool) {
        BATCH.with(|batch| {
            if let Some(batch) = &mut *batch.borrow_mut() {
                batch.corked = corked;
            }
        });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        flush();
        BATCH.with(|batch| batch.borrow_mut().take());
    }
}

/// Sends a whole frame to one connection. To its own connection a handler's thread waits for room;
/// another client that does not read is cut off when too much waits for it.
pub(crate) fn deliver(to: &Arc<Outbox>, frame: &[u8]) -> Result<(), Refused> {
    loop {
        match append_or_send(to, frame) {
            Err(Refused::Full(waiting)) => match own_shared(to) {
                Some(shared) => wait_for_room(to, &shared),
                None => {
                    to.cut_off("it does not read what is sent to it");
                    return Err(Refused::Full(waiting));
                }
            },
            result => return result,
        }
    }
}

fn append_or_send(to: &Arc<Outbox>, frame: &[u8]) -> Result<(), Refused> {
    // No batch either when the thread is so near its end that its locals are gone.
    let corked = BATCH.try_with(|batch| match &mut *batch.borrow_mut() {
        Some(batch) if batch.corked => Some(to.cork(frame, batch.mark()).map(|first| {
            if first {
                batch.list.push(Arc::clone(to));
            }
        })),
        _ => None,
    });
    corked.unwrap_or(None).unwrap_or_else(|| to.send(frame))
}

/// Returns what the server shares if this thread serves that connection.
fn own_shared(to: &Arc<Outbox>) -> Option<Arc<Shared>> {
    let own = BATCH.try_with(|batch| match &*batch.borrow() {
        Some(batch) if Arc::ptr_eq(&batch.own, to) => Some(Arc::clone(&batch.shared)),
        _ => None,
    });
    own.unwrap_or(None)
}

/// Waits until nothing waits for the thread's own client, which is cut off when that takes longer
/// than a write may. What was corked for others is written first.
fn wait_for_room(own: &Arc<Outbox>, shared: &Shared) {
    flush();
    if !own.wait_for_room(0, after(shared.limits.write_timeout)) {
        own.cut_off("it does not read its answers");
    }
}

/// Writes what this thread has corked. Ends with every outbox written, or with its octets in the
/// hands of another thread.
pub(crate) fn flush() {
    let list = BATCH.try_with(|batch| match &mut *batch.borrow_mut() {
        Some(batch) => take(&mut batch.list),
        None => Vec::new(),
    });
    for outbox in list.unwrap_or_default() {
        outbox.write_pending();
    }
}
