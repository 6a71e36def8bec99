//! The sending end of a receiver: takes what there is room for, and counts the rest.

use crate::websocket::message::Message;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::Arc;

#[derive(Clone)]
pub(crate) struct Tap {
    sender: SyncSender<Message>,
    missed: Arc<AtomicUsize>,
}

impl Tap {
    /// Returns a tap, and where its messages come out, of which so many may wait.
    pub fn new(most: usize) -> (Tap, Receiver<Message>) {
        let (sender, receiver) = sync_channel(most);
        (Tap { sender, missed: Arc::default() }, receiver)
    }

    /// Gives a message, or counts it when there is no room.
    pub fn give(&self, message: &Message) {
        if self.sender.try_send(message.clone()).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns how many messages there was no room for.
    pub fn missed(&self) -> usize {
        self.missed.load(Ordering::Relaxed)
    }

    /// Returns whether both have one end.
    pub fn is(&self, other: &Tap) -> bool {
        Arc::ptr_eq(&self.missed, &other.missed)
    }
}
