//! What a thread waits for at an outbox: room, a client that reads, the end of what was written. And what
//! a topic gives to a new member, as far as there is room.

use crate::net::outbox::{Full, Outbox};
use crate::net::queue::{Life, Owner, Queue};
use crate::websocket::message::Message;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

impl Outbox {
    /// Waits until there is room for a message of this length and for what others send, or until the
    /// deadline. Without one, the thread that writes has one, and cuts off a client that does not
    /// read. Returns what waits if there is no room.
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

    /// Waits while the client is behind and more than a buffer is queued for it. Returns for how long
    /// if it may have waited.
    pub fn wait_for_reader(&self) -> Option<Duration> {
        if !self.is_behind() {
            return None;
        }
        let begun = Instant::now();
        let most = self.shared.limits.buffer;
        drop(self.wait_while(|queue| queue.is_behind() && queue.pending() > most, None));
        Some(begun.elapsed())
    }

    /// Waits until all is written. Returns false when the deadline came first.
    pub fn wait_until_written(&self, deadline: Instant) -> bool {
        let queue = self.wait_while(|queue| queue.bytes() > 0, Some(deadline));
        queue.bytes() == 0
    }

    /// Waits while the queue is open and so, or until the deadline.
    fn wait_while(
        &self,
        so: impl Fn(&Queue) -> bool,
        deadline: Option<Instant>,
    ) -> MutexGuard<'_, Queue> {
        let mut queue = self.lock();
        while queue.life() != Life::Shut && so(&queue) {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            queue = self.wait(queue, left);
        }
        queue
    }

    /// Appends what topics kept for a new member, for the caller to write: the newest messages for
    /// which there is room, oldest first. The others are counted as dropped. Nothing is taken when
    /// the connection has ended.
    pub fn give(&self, messages: &[Arc<Message>]) {
        let limits = &self.shared.limits;
        let total = limits.total_backlog.saturating_sub(self.total());
        self.change(|queue| {
            if messages.is_empty() || queue.life() != Life::Open {
                return;
            }
            let (bytes, most) = queue.room(limits);
            let mut room = bytes.min(total);
            let fits = |message: &&Arc<Message>| {
                let left = room.checked_sub(message.frame().len());
                room = left.unwrap_or(0);
                left.is_some()
            };
            let fit = messages.iter().rev().take(most).take_while(fits).count();
            let (missed, given) = messages.split_at(messages.len() - fit);
            queue.counts.dropped += missed.len() as u64;
            for message in given {
                // For no batch: what the total does not count could pass it on many connections.
                queue.append(&message.frame(), Owner::Courier);
            }
        });
    }
}
