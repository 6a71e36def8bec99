//! The thread that subscribes: it gives what comes to the library, and has the subscriptions follow
//! what this process wants.

use crate::backoff::Backoff;
use crate::bounds::{CHANNELS, SILENCE};
use crate::notices::Notices;
use crate::shard::{index, Shard};
use crate::wire::{Event, Wire};
use redis::{RedisError, RedisResult};
use sockling::log;
use sockling::relay::{Gap, Link};
use std::collections::HashSet;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// Runs until the process ends, for one of so many shards.
pub(crate) fn run(shard: &Shard, link: &Link, place: (usize, usize)) {
    let mut subscriber = Subscriber {
        shard,
        link,
        place,
        backoff: Backoff::new(),
        heard: SystemTime::now(),
        gap: None,
        notices: Notices::default(),
    };
    loop {
        let result = shard.connect().and_then(|mut wire| subscriber.subscribe(&mut wire));
        if let Err(error) = result {
            shard.state.connected(false);
            subscriber.begin_gap(&error);
        }
        subscriber.tell_notices();
        sleep(subscriber.backoff.pause());
    }
}

struct Subscriber<'a> {
    shard: &'a Shard,
    link: &'a Link,
    place: (usize, usize),
    backoff: Backoff,
    /// When Redis was last heard.
    heard: SystemTime,
    /// The gap that is not over.
    gap: Option<Gap>,
    /// What other processes lost.
    notices: Notices,
}

impl Subscriber<'_> {
    /// Subscribes to what is wanted, and delivers what comes until the connection fails.
    fn subscribe(&mut self, wire: &mut Wire) -> RedisResult<()> {
        let state = &self.shard.state;
        let (wake, gaps) = (self.shard.wake(), self.shard.gaps());
        // Before it is asked what is wanted: what changes from here on is told.
        state.connected(true);
        let wanted = self.link.wanted();
        let (index_here, shards) = self.place;
        let mine = wanted.into_iter().filter(|channel| index(channel, shards) == index_here);
        let mut subscribed: HashSet<String> = mine.collect();
        let names = subscribed.iter().map(|channel| self.shard.prefix.clone() + channel);
        let names: Vec<String> = names.chain([wake.clone(), gaps.clone()]).collect();
        state.asked(1, names.len());
        for some in names.chunks(CHANNELS) {
            wire.subscribe("SUBSCRIBE", some)?;
        }
        loop {
            let event = wire.receive(SILENCE)?;
            self.heard = SystemTime::now();
            match event {
                Event::Confirmed(channel) => {
                    // What changed before has woken nobody.
                    if channel == wake.as_bytes() {
                        self.follow(wire, &mut subscribed)?;
                    }
                    if state.confirmed() {
                        self.settled();
                    }
                }
                Event::Message { channel, .. } if channel == wake.as_bytes() => {
                    self.follow(wire, &mut subscribed)?;
                }
                Event::Message { channel, payload } if channel == gaps.as_bytes() => {
                    self.notice(&payload);
                }
                Event::Message { channel, payload } => {
                    let channel = String::from_utf8_lossy(&channel);
                    // Nothing else was subscribed to.
                    if let Some(channel) = channel.strip_prefix(&self.shard.prefix) {
                        self.link.deliver(channel, &payload);
                    }
                }
            }
            self.tell_notices();
        }
    }

    /// Subscribes to what has come to be wanted, and unsubscribes from what is so no more.
    fn follow(&mut self, wire: &mut Wire, subscribed: &mut HashSet<String>) -> RedisResult<()> {
        let changed = self.shard.state.take_changed();
        let (mut come, mut gone) = (Vec::new(), Vec::new());
        for channel in &changed {
            let name = || self.shard.prefix.clone() + channel;
            if self.link.wants(channel) {
                if subscribed.insert(channel.clone()) {
                    come.push(name());
                }
            } else if subscribed.remove(channel) {
                gone.push(name());
            }
        }
        if self.shard.state.asked(changed.len(), come.len() + gone.len()) {
            self.settled();
        }
        for (command, channels) in [("SUBSCRIBE", come), ("UNSUBSCRIBE", gone)] {
            for some in channels.chunks(CHANNELS) {
                wire.subscribe(command, some)?;
            }
        }
        Ok(())
    }

    /// All that is wanted is subscribed to.
    fn settled(&mut self) {
        self.backoff.reset();
        if let Some(gap) = self.gap.take() {
            self.shard.tell(self.link, &Gap { to: Some(SystemTime::now()), ..gap });
        }
    }

    fn begin_gap(&mut self, error: &RedisError) {
        if self.gap.is_some() {
            return log::debug!("Redis is still away: {}", error);
        }
        let reason = format!("the connection that subscribes to Redis failed: {}", error);
        let gap = Gap { from: self.heard, to: None, reason };
        self.shard.tell(self.link, &gap);
        self.gap = Some(gap);
    }

    /// Another process tells what it lost.
    fn notice(&mut self, notice: &[u8]) {
        match self.shard.read_notice(notice) {
            Some((0, _)) => {}
            Some((lost, milliseconds)) => {
                let now = SystemTime::now();
                let from = now.checked_sub(Duration::from_millis(milliseconds)).unwrap_or(now);
                self.notices.add(lost, from, now);
            }
            // No envelope either: refused and counted with those.
            None => self.link.deliver("gap", notice),
        }
    }

    /// Tells what other processes lost, if it is time.
    fn tell_notices(&mut self) {
        if let Some(gap) = self.notices.take(Instant::now()) {
            self.shard.tell(self.link, &gap);
        }
    }
}
