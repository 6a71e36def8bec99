//! The queue behind a receiver: it holds the messages for which there is room, and counts the
//! others.

use crate::ground::limits::{MESSAGE_OVERHEAD, RECEIVER, RECEIVER_BYTES};
use crate::websocket::message::Message;
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

    /// Takes the next message; waits up to `longest` for it, or without end.
    pub fn take(&self, longest: Option<Duration>) -> Option<Message> {
        let none = |held: &mut Held| held.messages.is_empty();
        let mut held = match longest {
            None => {
                self.0.arrived.wait_while(self.held(), none).unwrap_or_else(PoisonError::into_inner)
            }
            Some(longest) => {
                let waited = self.0.arrived.wait_timeout_while(self.held(), longest, none);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        let message = held.messages.pop_front()?;
        held.bytes -= weight(&message);
        Some(message)
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
