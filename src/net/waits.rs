//! What a thread waits for at an outbox: room, a client that reads, or the end of all writes. And
//! what a topic gives to a new member, as far as there is room.

use crate::net::outbox::{Full, Outbox};
use crate::net::queue::{Life, Owner, Queue};
#[cfg(feature = "deflate")]
use crate::websocket::forms::place;
use crate::websocket::frame::Frame;
use crate::websocket::message::KeptMessage;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

impl Outbox {
    /// Waits until there is room for a message of this length and for other senders, or until the
    /// deadline. Without one, the wait still ends: the thread that writes has a deadline, and cuts
    /// off a client that does not read. Error: there is no room.
    pub fn wait_for_room(&self, length: usize, deadline: Option<Instant>) -> Result<(), Full> {
        let limits = &self.shared.limits;
        let none = |queue: &Queue| {
            queue.life() == Life::Open
                && (queue.is_crowded(limits)
                    || queue.is_full(length, limits)
                    || queue.is_beyond(self.total(), limits))
        };
        let queue = self.wait_while(none, deadline);
        match none(&queue) {
            true => Err(Full { closed: false, ..self.full(&queue) }),
            false => Ok(()),
        }
    }

    /// Waits while the client is behind, and more than a buffer is pending or half of what makes the
    /// queue full, or until the deadline. Returns false if that came first.
    pub fn wait_for_reader(&self, deadline: Option<Instant>) -> bool {
        let limits = &self.shared.limits;
        let much = |queue: &Queue| {
            queue.life() == Life::Open
                && queue.is_behind()
                && (queue.pending() > limits.buffer || queue.is_crowded(limits))
        };
        let queue = self.wait_while(much, deadline);
        !much(&queue)
    }

    /// Waits until everything is written, for which the thread that writes has a deadline. Returns
    /// false if the socket was shut instead.
    pub fn wait_until_written(&self) -> bool {
        !self.wait_while(|queue| queue.bytes() > 0, None).is_shut()
    }

    /// Waits while the queue is not shut and `so`, or until the deadline.
    fn wait_while(
        &self,
        so: impl Fn(&Queue) -> bool,
        deadline: Option<Instant>,
    ) -> MutexGuard<'_, Queue> {
        let mut queue = self.lock();
        while !queue.is_shut() && so(&queue) {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            queue = self.wait(queue, left);
        }
        queue
    }

    /// Appends what topics kept for a new member, for the caller to write: the newest messages for
    /// which there is room, oldest first. The others are counted as dropped. After the end of the
    /// connection, does nothing.
    pub fn give(&self, messages: &[Arc<KeptMessage>]) {
        let limits = &self.shared.limits;
        let total = limits.total_backlog.saturating_sub(self.total());
        self.change(|queue| {
            if messages.is_empty() || queue.life() != Life::Open {
                return;
            }
            let (bytes, most) = queue.room(limits);
            let mut room = bytes.min(total);
            let fits = |message: &&Arc<KeptMessage>| {
                let left = room.checked_sub(self.in_known_form(message, |frame| frame.len()));
                room = left.unwrap_or(0);
                left.is_some()
            };
            let fit = messages.iter().rev().take(most).take_while(fits).count();
            let (missed, given) = messages.split_at(messages.len() - fit);
            queue.counts.dropped += missed.len() as u64;
            for message in given {
                // For no batch: what the total does not count could pass it on many connections.
                self.in_known_form(message, |frame| queue.append(frame, Owner::Courier));
            }
        });
    }

    /// Passes on what a topic keeps: compressed if this client gets it so, and if that form has been
    /// made for another one, since the registry's lock is held here.
    fn in_known_form<T>(&self, message: &KeptMessage, then: impl FnOnce(&Frame) -> T) -> T {
        #[cfg(feature = "deflate")]
        if let (Some(place), Some(forms)) = (place(self.window()), message.frame().forms()) {
            if let Some(form) = forms.get(place).flatten() {
                return then(&message.frame().compressed(&form));
            }
        }
        then(&message.frame())
    }
}
