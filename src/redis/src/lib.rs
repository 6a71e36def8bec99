//! Carries Sockling's messages between processes by the publish/subscribe of Redis or Valkey.
//!
//! ```no_run
//! use sockling::prelude::*;
//! use sockling_redis::Redis;
//!
//! # fn main() -> Result<(), Error> {
//! let redis = Redis::new("redis://:password@10.0.0.5:6379")?
//!     .on_gap(|gap| eprintln!("tell clients to load anew: {}", gap));
//! Comms::relay(redis)?; // before a server is bound
//! let keys = SessionKeys::new(["the same on every process, and nowhere else"])?;
//! Server::new(Vec::new()).session_keys(keys).launch()
//! # }
//! ```
//!
//! What is promised, what is not, and how far it carries stands in the library's guide, on the page
//! "Beyond one host".
//!
//! # How it works
//!
//! ```text
//! senders ──▶ queue ──▶ publisher ──PUBLISH──▶ Redis ──▶ subscriber ──▶ Link::deliver
//!                          ▲                                ▲
//!             what changed └─ PUBLISH wake ─────────────────┘ SUBSCRIBE, UNSUBSCRIBE
//! ```
//!
//! Two threads for each Redis, each with one connection. Senders append to a queue of bounded length
//! and go on. The *publisher* takes what is there, up to [`BATCH`] messages, writes it at once and
//! reads the answers. The *subscriber* is blocked in a read. When this process begins or ends to want a
//! channel, the publisher publishes to a channel that this process alone has subscribed to: that wakes
//! the subscriber, which then subscribes on the connection that it reads from. So nothing is polled,
//! and no message is missed by a change. The same wake is sent when nothing else has been for
//! [`HEARTBEAT`]; a subscriber that hears nothing for [`SILENCE`] has lost its connection. It asks for
//! channels in one command at a time, and of those that Redis refuses it finds the one and goes on
//! without it.
//!
//! What waits while Redis is away is sent when it is back: when as many processes as before have
//! subscribed again, or after [`REUNION`].
//!
//! Nothing is sent twice: what was written to a connection that then failed may have arrived, so it is
//! counted as lost. Redis itself tells nobody that it had no subscriber for a message.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod asking;
mod backoff;
mod bounds;
mod notices;
mod publisher;
mod queue;
mod shard;
mod stream;
mod subscriber;
mod wire;

pub use bounds::{
    ANSWER, BATCH, BATCH_BYTES, CONNECT, FIRST_PAUSE, GAP_PACE, HEARTBEAT, LONGEST_PAUSE,
    QUEUE_BYTES, QUEUE_MESSAGES, REUNION, SILENCE,
};
pub use sockling::relay::Gap;

use shard::{OnGap, Shard};
use sockling::relay::{Link, Relay};
use sockling::Error;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The adapter: [`Comms::relay`](sockling::Comms::relay) takes it, and from then on it runs until the
/// process ends. It has no end of its own: a program that ends by itself calls
/// [`Handle::flush`] after it has shut its servers, and what is then still in the queue is lost.
pub struct Redis {
    shards: Vec<Shard>,
}

impl Redis {
    /// Returns an adapter for the Redis at this URL, `redis://user:password@host:port/`; with a feature
    /// for TLS also `rediss://`. Nothing is connected yet. Error: it is no such URL.
    pub fn new(url: &str) -> Result<Redis, Error> {
        Ok(Redis { shards: vec![Shard::new(url)?] })
    }

    /// Adds a further Redis, to share the load: each channel, so each session and each topic, belongs
    /// to one of them, by a hash of its name. All processes name the same ones in the same order. There
    /// is then no order between what goes to a session, to its topics and to everybody. The other
    /// settings are those of the first one, whenever they are made. Error: as for [`new`](Redis::new).
    pub fn shard(mut self, url: &str) -> Result<Redis, Error> {
        let further = self.shards[0].like(url)?;
        self.shards.push(further);
        Ok(self)
    }

    /// Sets what the names of all channels begin with, so that several applications can have one
    /// Redis. Default `sockling:`. (Redis's numbered databases do not part channels.)
    pub fn prefix(mut self, prefix: &str) -> Redis {
        self.shards.iter_mut().for_each(|shard| shard.prefix = prefix.to_string());
        self
    }

    /// Sets how many messages, and how many bytes of them, wait at most for one Redis that is away
    /// or slow. More are refused and told by a [`Gap`]. Default [`QUEUE_MESSAGES`] and
    /// [`QUEUE_BYTES`].
    pub fn queue(mut self, messages: usize, bytes: usize) -> Redis {
        self.shards.iter_mut().for_each(|shard| shard.state.bound(messages, bytes));
        self
    }

    /// Has a function called for each [`Gap`], twice: when it begins, and when it is over. Then clients
    /// can be told to load anew. It is called by the adapter's threads, which wait for it, so it should
    /// hand on what takes long. Gaps are logged and counted without it, too.
    ///
    /// A gap is told on this process when its own connection that subscribes is lost, when Redis
    /// refuses to have a channel subscribed to, or when messages that it was to send are lost. What
    /// other processes lost is told once, when it is over, and at most once each [`GAP_PACE`]: one gap
    /// then covers what several lost.
    pub fn on_gap(mut self, tell: impl Fn(&Gap) + Send + Sync + 'static) -> Redis {
        let tell: OnGap = Arc::new(tell);
        self.shards.iter_mut().for_each(|shard| shard.on_gap = Some(Arc::clone(&tell)));
        self
    }

    /// Returns what tells how the adapter is doing; it is good also after the adapter was given away.
    pub fn handle(&self) -> Handle {
        Handle { states: self.shards.iter().map(|shard| Arc::clone(&shard.state)).collect() }
    }

    fn shard_of(&self, channel: &str) -> &Shard {
        &self.shards[shard::index(channel, self.shards.len())]
    }
}

impl Relay for Redis {
    fn start(&self, link: Link) -> Result<(), Error> {
        for (index, shard) in self.shards.iter().enumerate() {
            let place = (index, self.shards.len());
            let (publisher, subscriber) = (shard.clone(), shard.clone());
            let (to_publisher, to_subscriber) = (link.clone(), link.clone());
            thread::Builder::new()
                .name("sockling-redis-out".to_string())
                .spawn(move || publisher::run(&publisher, &to_publisher))?;
            thread::Builder::new()
                .name("sockling-redis-in".to_string())
                .spawn(move || subscriber::run(&subscriber, &to_subscriber, place))?;
        }
        Ok(())
    }

    fn publish(&self, channel: &str, envelope: Vec<u8>) -> Result<(), Error> {
        match self.shard_of(channel).state.push(channel, envelope) {
            true => Ok(()),
            false => Err("the queue to Redis is full".into()),
        }
    }

    fn changed(&self, channel: &str) {
        self.shard_of(channel).state.changed(channel);
    }

    fn lost(&self, channel: &str) {
        self.shard_of(channel).state.lose();
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "Redis({} of them)", self.shards.len())
    }
}

/// A time that can be added to any moment.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Tells how an adapter is doing.
#[derive(Clone)]
pub struct Handle {
    states: Vec<Arc<queue::State>>,
}

impl Handle {
    /// Returns whether Redis has confirmed all subscriptions that this process wants at the moment: what
    /// others send to its sessions and topics from here on arrives.
    pub fn is_ready(&self) -> bool {
        self.wait_until_ready(Duration::ZERO)
    }

    /// Waits until this is so, so long at most, and a year. Returns whether it is so.
    pub fn wait_until_ready(&self, longest: Duration) -> bool {
        let end = Instant::now() + longest.min(YEAR);
        self.states.iter().all(|state| state.wait_until_ready(end))
    }

    /// Waits until nothing is in the queue any more, and Redis has answered all that was, or it is lost
    /// and counted; so long at most, and a year. Returns whether it is so. While others go on sending
    /// it may never be.
    pub fn flush(&self, longest: Duration) -> bool {
        let end = Instant::now() + longest.min(YEAR);
        self.states.iter().all(|state| state.wait_until_empty(end))
    }

    /// Returns how many processes had subscribed when Redis was last asked, this one included: some
    /// seconds ago at most while it answers. 0 when it does not say (an ACL without `pubsub|numsub`).
    pub fn processes(&self) -> usize {
        self.states.iter().map(|state| state.processes()).min().unwrap_or(0)
    }

    /// Returns how many messages wait for Redis, and how many bytes.
    pub fn waiting(&self) -> (usize, usize) {
        let waiting = self.states.iter().map(|state| state.waiting());
        waiting.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        let (messages, bytes) = self.waiting();
        write!(out, "Handle({} messages of {} bytes wait)", messages, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_further_redis_has_the_settings_that_were_made_before_and_after() {
        let url = "redis://localhost";
        let redis = Redis::new(url).and_then(|redis| {
            redis.prefix("one:").queue(3, 4).on_gap(|_| {}).shard(url)?.queue(5, 6).shard(url)
        });
        for shard in redis.expect("a URL").shards {
            assert_eq!((&*shard.prefix, shard.state.most()), ("one:", (5, 6)));
            assert!(shard.on_gap.is_some());
        }
    }

    #[test]
    fn the_longest_time_may_be_waited_for() {
        let redis = Redis::new("redis://localhost").expect("a URL");
        assert!(redis.handle().flush(Duration::MAX));
    }
}
