//! What waits for Redis, and which subscriptions it has confirmed. Threads that serve clients come
//! here: no lock is held across I/O, and nobody waits for room.

use crate::bounds::{BATCH, BATCH_BYTES, CHANGE, CHANGES, CHANNEL, QUEUE_BYTES, QUEUE_MESSAGES};
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// One envelope, the name of its channel without the prefix, and when it was sent.
pub(crate) struct Post {
    pub channel: String,
    pub envelope: Vec<u8>,
    at: SystemTime,
}

#[derive(Default)]
pub(crate) struct State {
    queue: Mutex<Queue>,
    /// The publisher has something to do.
    came: Condvar,
    /// The queue is empty, and Redis has answered.
    done: Condvar,
    interest: Mutex<Interest>,
    /// All subscriptions are confirmed.
    settled: Condvar,
    /// How many there were when Redis was last asked.
    processes: AtomicUsize,
}

struct Queue {
    posts: VecDeque<Post>,
    bytes: usize,
    most: (usize, usize),
    /// Of the batch that was taken.
    in_hand: usize,
    /// The subscriber is to be woken.
    wake: bool,
    /// The publisher waits in `take`.
    idle: bool,
    /// What was lost since it was last told.
    lost: Lost,
}

/// Messages that were lost, and when the first of them was sent.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lost {
    pub count: u64,
    pub since: Option<SystemTime>,
}

#[derive(Default)]
struct Interest {
    connected: bool,
    /// Channels of which it is to be asked whether they are wanted; `None` for all.
    changed: Option<BTreeSet<String>>,
    /// What they count for.
    changes: usize,
    /// Answers to SUBSCRIBE and UNSUBSCRIBE that are awaited.
    unconfirmed: usize,
    /// Channels that are wanted and that Redis has refused.
    refused: usize,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            posts: VecDeque::new(),
            bytes: 0,
            most: (QUEUE_MESSAGES, QUEUE_BYTES),
            in_hand: 0,
            wake: false,
            idle: false,
            lost: Lost::default(),
        }
    }
}

/// What the publisher is to do.
pub(crate) struct Batch {
    pub posts: Vec<Post>,
    pub wake: bool,
    /// What is to be told; what is not goes back by [`State::answered`].
    pub lost: Lost,
}

impl Post {
    fn weight(&self) -> usize {
        self.channel.len() + self.envelope.len()
    }
}

impl Batch {
    /// Returns so many of its messages as lost.
    pub fn lose(&self, count: u64) -> Lost {
        let first = self.posts.first().filter(|_| count > 0);
        Lost { count, since: first.map(|post| post.at) }
    }
}

impl Lost {
    pub fn add(&mut self, more: Lost) {
        self.count += more.count;
        self.since = self.since.into_iter().chain(more.since).min();
    }
}

impl State {
    pub fn bound(&self, messages: usize, bytes: usize) {
        self.queue().most = (messages, bytes);
    }

    pub fn most(&self) -> (usize, usize) {
        self.queue().most
    }

    /// Takes an envelope, and returns whether there was room. What there was none for is lost.
    pub fn push(&self, channel: &str, envelope: Vec<u8>) -> bool {
        let post = Post { channel: channel.to_string(), envelope, at: SystemTime::now() };
        let mut queue = self.queue();
        let bytes = queue.bytes + post.weight();
        let full = queue.posts.len() >= queue.most.0 || bytes > queue.most.1;
        if full || post.channel.len() > CHANNEL {
            queue.lost.add(Lost { count: 1, since: Some(post.at) });
            return false;
        }
        queue.bytes = bytes;
        queue.posts.push_back(post);
        self.notify(queue);
        true
    }

    /// Notes that a message was lost before it could come here.
    pub fn lose(&self) {
        let mut queue = self.queue();
        queue.lost.add(Lost { count: 1, since: Some(SystemTime::now()) });
        self.notify(queue);
    }

    /// Notes that a channel may have become wanted, or no more.
    pub fn changed(&self, channel: &str) {
        let first = {
            let mut interest = self.interest();
            // One that is not connected asks for all that is wanted, so there is nothing to keep
            // while Redis is away. A name that is too long never carries anything.
            if !interest.connected || channel.len() > CHANNEL {
                return;
            }
            let first = !interest.has_changed();
            interest.add(channel);
            first
        };
        if first {
            self.wake();
        }
    }

    fn wake(&self) {
        let mut queue = self.queue();
        queue.wake = true;
        self.notify(queue);
    }

    /// Wakes the publisher if it waits: that costs a call of the system.
    fn notify(&self, mut queue: MutexGuard<'_, Queue>) {
        if std::mem::take(&mut queue.idle) {
            drop(queue);
            self.came.notify_one();
        }
    }

    /// Waits until there is something to do, so long at most, and takes it. A loss is something to do
    /// when none is known yet; those after it wait for their time.
    pub fn take(&self, longest: Duration, known: Lost) -> Batch {
        let end = Instant::now() + longest;
        let mut queue = self.queue();
        let untold = |queue: &Queue| known.count == 0 && queue.lost.count > 0;
        while queue.posts.is_empty() && !queue.wake && !untold(&queue) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue.idle = true;
            queue = match self.came.wait_timeout(queue, left) {
                Ok((queue, _)) => queue,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        queue.idle = false;
        let (mut posts, mut bytes) = (Vec::new(), 0);
        while posts.len() < BATCH && bytes < BATCH_BYTES {
            match queue.posts.pop_front() {
                Some(post) => {
                    bytes += post.weight();
                    posts.push(post);
                }
                None => break,
            }
        }
        queue.bytes -= bytes;
        queue.in_hand = posts.len();
        let (wake, lost) = (std::mem::take(&mut queue.wake), std::mem::take(&mut queue.lost));
        Batch { posts, wake, lost }
    }

    /// Notes that Redis has answered what was taken, or never will, and what is to be told as lost.
    pub fn answered(&self, lost: Lost) {
        let mut queue = self.queue();
        queue.in_hand = 0;
        queue.lost.add(lost);
        if queue.posts.is_empty() {
            self.done.notify_all();
        }
    }

    /// Returns whether the subscriber is to be woken, and takes that.
    pub fn take_wake(&self) -> bool {
        std::mem::take(&mut self.queue().wake)
    }

    pub fn processes(&self) -> usize {
        self.processes.load(Ordering::Relaxed)
    }

    pub fn set_processes(&self, count: usize) {
        self.processes.store(count, Ordering::Relaxed);
    }

    pub fn lost(&self) -> Lost {
        self.queue().lost
    }

    pub fn waiting(&self) -> (usize, usize) {
        let queue = self.queue();
        (queue.posts.len() + queue.in_hand, queue.bytes)
    }

    pub fn wait_until_empty(&self, end: Instant) -> bool {
        let full = |queue: &Queue| queue.in_hand > 0 || !queue.posts.is_empty();
        wait(&self.done, self.queue(), end, full)
    }

    /// Notes that the subscriber is about to ask for all that is wanted, after which it calls
    /// [`asked`](State::asked), or has lost its connection.
    pub fn connected(&self, connected: bool) {
        let unconfirmed = usize::from(connected);
        let changed = Some(BTreeSet::new());
        *self.interest() = Interest { connected, changed, unconfirmed, ..Interest::default() };
    }

    /// Takes the channels that changed; `None` when any may have. Until [`asked`](State::asked) is
    /// called, nothing is settled.
    pub fn take_changed(&self) -> Option<BTreeSet<String>> {
        let mut interest = self.interest();
        interest.unconfirmed += 1;
        interest.changes = 0;
        interest.changed.replace(BTreeSet::new())
    }

    /// Notes that channels were looked at, and that so many answers are awaited for them.
    pub fn asked(&self, awaited: usize) -> bool {
        let mut interest = self.interest();
        interest.unconfirmed = (interest.unconfirmed + awaited).saturating_sub(1);
        self.settle(interest)
    }

    /// Notes answers to SUBSCRIBE and UNSUBSCRIBE for so many channels, and how many are refused.
    /// Returns whether all answers are there.
    pub fn answered_for(&self, channels: usize, refused: usize) -> bool {
        let mut interest = self.interest();
        interest.unconfirmed = interest.unconfirmed.saturating_sub(channels);
        interest.refused = refused;
        self.settle(interest)
    }

    fn settle(&self, interest: MutexGuard<'_, Interest>) -> bool {
        let settled = interest.is_settled();
        drop(interest);
        if settled {
            self.settled.notify_all();
        }
        settled
    }

    pub fn wait_until_ready(&self, end: Instant) -> bool {
        let unready = |interest: &Interest| !interest.is_settled() || interest.refused > 0;
        wait(&self.settled, self.interest(), end, unready)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn interest(&self) -> MutexGuard<'_, Interest> {
        self.interest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interest {
    fn is_settled(&self) -> bool {
        self.connected && !self.has_changed() && self.unconfirmed == 0
    }

    fn has_changed(&self) -> bool {
        self.changed.as_ref().is_none_or(|changed| !changed.is_empty())
    }

    fn add(&mut self, channel: &str) {
        let Some(changed) = &mut self.changed else { return };
        if changed.insert(channel.to_string()) {
            self.changes += channel.len() + CHANGE;
        }
        if self.changes > CHANGES {
            self.changed = None;
        }
    }
}

/// Waits while something is so, until the end at most. Returns whether it is so no more.
fn wait<T>(
    condvar: &Condvar,
    guard: MutexGuard<'_, T>,
    end: Instant,
    so: impl Fn(&T) -> bool,
) -> bool {
    let left = end.saturating_duration_since(Instant::now());
    let waited = condvar.wait_timeout_while(guard, left, |value| so(value));
    !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes what is there.
    fn take(state: &State) -> Batch {
        state.take(Duration::ZERO, Lost::default())
    }

    #[test]
    fn the_queue_is_bounded_in_messages_and_bytes_and_counts_what_it_refuses() {
        let state = State::default();
        state.bound(3, 100);
        assert!(state.push("u.1", vec![0; 37]) && state.push("u.2", vec![0; 37]));
        assert!(!state.push("u.3", vec![0; 37]), "bytes");
        assert!(state.push("u.3", Vec::new()) && !state.push("u.4", Vec::new()), "messages");
        assert_eq!((state.waiting(), state.lost().count), ((3, 83), 2));
        let batch = take(&state);
        assert_eq!((batch.posts.len(), batch.wake, batch.lost.count), (3, false, 2));
        assert!(!state.wait_until_empty(Instant::now()), "in hand");
        // One more is lost while those are told.
        (0..4).for_each(|number| assert_eq!(state.push("u.5", Vec::new()), number < 3));
        state.answered(Lost::default());
        assert_eq!(state.lost().count, 1);
        // A batch is lost that was sent before.
        let sent = batch.posts[0].at;
        let mut lost = take(&state).lost;
        lost.add(batch.lose(3));
        state.answered(lost);
        assert_eq!((state.lost().count, state.lost().since), (4, Some(sent)));
        assert!(state.wait_until_empty(Instant::now()));
    }

    #[test]
    fn the_first_loss_wakes_the_publisher_and_the_next_ones_do_not() {
        let state = State::default();
        assert!(!state.push(&"x".repeat(CHANNEL + 1), Vec::new()), "no channel of Redis");
        let known = take(&state).lost;
        assert_eq!(known.count, 1);
        std::thread::scope(|scope| {
            let waits = || state.take(Duration::from_secs(3600), Lost::default());
            let waits = scope.spawn(waits);
            state.lose();
            assert_eq!(waits.join().expect("no panic").lost.count, 1);
        });
        state.lose();
        let begun = Instant::now();
        let pause = Duration::from_millis(20);
        assert_eq!(state.take(pause, known).lost.count, 1);
        assert!(begun.elapsed() >= pause);
    }

    #[test]
    fn a_batch_is_bounded_and_in_order() {
        let state = State::default();
        (0..BATCH + 1).for_each(|number| assert!(state.push(&number.to_string(), Vec::new())));
        let batch = take(&state).posts;
        let numbers: Vec<usize> =
            batch.iter().filter_map(|post| post.channel.parse().ok()).collect();
        assert_eq!(numbers, (0..BATCH).collect::<Vec<_>>());
        assert_eq!(take(&state).posts.len(), 1);
        (0..3).for_each(|_| assert!(state.push("x", vec![0; BATCH_BYTES])));
        assert_eq!(take(&state).posts.len(), 1);
    }

    #[test]
    fn it_is_settled_when_all_that_changed_is_confirmed() {
        let state = State::default();
        let ready = || state.wait_until_ready(Instant::now());
        (0..1000).for_each(|user| state.changed(&user.to_string()));
        assert!(!take(&state).wake, "it asks for all when it connects");
        assert!(
            state.interest().changed.iter().flatten().next().is_none(),
            "and nothing is kept until then"
        );
        assert!(!ready());
        state.connected(true);
        state.changed(&"x".repeat(CHANNEL + 1));
        assert!(!take(&state).wake, "that is no name for Redis");
        // It asks for four channels; one comes meanwhile.
        assert!(!ready());
        assert!(!state.asked(4));
        state.changed("u.2");
        state.changed("u.3");
        assert!(take(&state).wake && !take(&state).wake, "once");
        assert!(!state.answered_for(1, 0) && !state.answered_for(3, 0));
        assert_eq!(state.take_changed().map(|changed| changed.len()), Some(2));
        assert!(!ready(), "not asked yet");
        assert!(!state.asked(1));
        assert!(state.answered_for(1, 1) && !ready(), "one is refused");
        assert!(state.answered_for(0, 0) && ready());
        // More than are remembered: all are to be looked at, and then what comes is remembered again.
        let few = CHANGES / (CHANGE + 8) + 1;
        (0..few).for_each(|topic| state.changed(&format!("{:08}", topic)));
        state.changed("u.4");
        assert!(take(&state).wake && !take(&state).wake && !ready());
        assert_eq!(state.take_changed(), None);
        assert!(state.asked(0) && ready());
        state.changed("u.5");
        assert_eq!(state.take_changed().map(|changed| changed.len()), Some(1));
        state.connected(false);
        assert!(!ready());
    }
}
