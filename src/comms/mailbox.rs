//! The queue behind a receiver: it holds the messages for which there is room, and counts the
//! others. A handler that waits for one is woken when its server shuts down.

use crate::ground::limits::{MESSAGE_OVERHEAD, RECEIVER, RECEIVER_BYTES};
use crate::websocket::message::Message;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Clone, Default)]
pub(crate) struct Mailbox(Arc<Inner>);

#[derive(Default)]
struct Inner {
    held: Mutex<Held>,
    arrived: Condvar,
}

#[derive(Default)]
struct Held {
    messages: VecDeque<Message>,
    bytes: usize,
    missed: usize,
}

/// The connection that a thread serves, as seen by what its handler waits for.
pub(crate) trait Place: Send + Sync {
    /// Notes what the thread waits for, so that the server can wake it.
    fn set_waiting(&self, mailbox: Option<Mailbox>);
    /// Returns whether its server shuts down.
    fn server_closes(&self) -> bool;
}

thread_local! {
    static PLACE: RefCell<Option<Arc<dyn Place>>> = const { RefCell::new(None) };
}

/// Sets the connection that this thread serves, and whose end ends its waits.
pub(crate) fn set_place(place: Option<Arc<dyn Place>>) {
    PLACE.with(|known| *known.borrow_mut() = place);
}

impl Mailbox {
    /// Appends a message, or counts it as missed when there is no room. One message always fits.
    pub fn give(&self, message: &Message) {
        let mut held = self.held();
        let bytes = held.bytes + weight(message);
        let room = held.messages.len() < RECEIVER && bytes <= RECEIVER_BYTES;
        if room || held.messages.is_empty() {
            held.bytes = bytes;
            held.messages.push_back(message.clone());
            self.0.arrived.notify_one();
        } else {
            held.missed += 1;
        }
    }

    /// Takes the next message. Waits up to `longest` for it, or without end, but no longer than until
    /// the server of this thread's connection shuts down.
    pub fn take(&self, longest: Option<Duration>) -> Option<Message> {
        let place = PLACE.with(|place| place.borrow().clone());
        let closing = || place.as_ref().map_or(false, |place| place.server_closes());
        let none = |held: &mut Held| held.messages.is_empty() && !closing();
        // Whoever asks the connection to end says so first, and then wakes what is noted here, for
        // which it locks the queue. So this thread sees the one, or is woken by the other.
        let held = self.held();
        let note = |mailbox| place.as_ref().map_or((), |place| place.set_waiting(mailbox));
        note(Some(self.clone()));
        let mut held = match longest {
            None => self.0.arrived.wait_while(held, none).unwrap_or_else(PoisonError::into_inner),
            Some(longest) => {
                let waited = self.0.arrived.wait_timeout_while(held, longest, none);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        note(None);
        let message = held.messages.pop_front()?;
        held.bytes -= weight(&message);
        Some(message)
    }

    /// Wakes the thread that waits, to look at its place.
    pub fn wake(&self) {
        drop(self.held());
        self.0.arrived.notify_all();
    }

    /// Returns how many messages were missed.
    pub fn missed(&self) -> usize {
        self.held().missed
    }

    /// Returns whether both are the same queue.
    pub fn is(&self, other: &Mailbox) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns how many bytes a message counts for. An empty message takes memory too.
pub(crate) fn weight(message: &Message) -> usize {
    message.as_bytes().len() + MESSAGE_OVERHEAD
}
