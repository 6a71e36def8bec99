//! The thread that subscribes: it gives what comes to the library, and has the subscriptions follow
//! what this process wants.

use crate::asking::{Asking, Verb};
use crate::backoff::Backoff;
use crate::bounds::{CHANNEL, SILENCE};
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
        refusal: None,
        notices: Notices::default(),
    };
    loop {
        // A connection that never came to be has not lasted, however long that took.
        let mut begun = None;
        let result = shard.connect().and_then(|mut wire| {
            begun = Some(Instant::now());
            subscriber.subscribe(&mut wire)
        });
        if let Err(error) = result {
            shard.state.connected(false);
            subscriber.failed(&error);
        }
        subscriber.tell_notices();
        subscriber.backoff.lasted(begun.map_or(Duration::ZERO, |begun| begun.elapsed()));
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
    /// That of channels which Redis refuses: it lasts until a connection on which it refuses none.
    refusal: Option<Gap>,
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
        let mut subscribed = self.wanted();
        let names: Vec<String> =
            subscribed.iter().map(|channel| self.shard.prefix.clone() + channel).collect();
        let mut asking = Asking::default();
        state.asked(names.len() + 2);
        asking.ask(Verb::Subscribe, names);
        // Last, since the other processes count by the second who is back.
        asking.ask(Verb::Subscribe, vec![wake.clone(), gaps.clone()]);
        let mut woken = false;
        loop {
            // What changes meanwhile is taken together: so what is to be asked stays bounded.
            if woken && asking.is_idle() {
                woken = false;
                self.follow(&mut asking, &mut subscribed);
            }
            asking.send(wire)?;
            let event = wire.receive(SILENCE)?;
            self.heard = SystemTime::now();
            match event {
                Event::Confirmed(channel) => {
                    // What changed before has woken nobody.
                    woken |= channel == wake.as_bytes();
                    let asked = asking.confirmed(&String::from_utf8_lossy(&channel));
                    if state.answered_for(asked.into(), asking.count_refused()) {
                        self.settled(&asking);
                    }
                }
                Event::Refused(error) => {
                    let error = RedisError::from(error);
                    let answered = asking.refused(&gaps).ok_or_else(|| error.clone())?;
                    if asking.count_refused() > 0 && self.refusal.is_none() {
                        let reason = format!("Redis refused to subscribe to channels: {}", error);
                        self.refusal = Some(self.begin_gap(reason));
                    }
                    if state.answered_for(answered, asking.count_refused()) {
                        self.settled(&asking);
                    }
                }
                Event::Message { channel, .. } if channel == wake.as_bytes() => woken = true,
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

    /// Returns the channels that this process wants of this Redis.
    fn wanted(&self) -> HashSet<String> {
        let (index_here, shards) = self.place;
        let mine =
            |channel: &String| channel.len() <= CHANNEL && index(channel, shards) == index_here;
        self.link.wanted().into_iter().filter(mine).collect()
    }

    /// Has what has come to be wanted subscribed to, and what is so no more unsubscribed from.
    fn follow(&mut self, asking: &mut Asking, subscribed: &mut HashSet<String>) {
        let state = &self.shard.state;
        let changed = state.take_changed();
        let changed =
            changed.unwrap_or_else(|| subscribed.iter().cloned().chain(self.wanted()).collect());
        let (mut come, mut gone) = (Vec::new(), Vec::new());
        for channel in &changed {
            let name = self.shard.prefix.clone() + channel;
            if self.link.wants(channel) {
                if subscribed.insert(channel.clone()) {
                    come.push(name);
                }
            } else if subscribed.remove(channel) && !asking.forget(&name) {
                gone.push(name);
            }
        }
        state.answered_for(0, asking.count_refused());
        if state.asked(come.len() + gone.len()) {
            self.settled(asking);
        }
        asking.ask(Verb::Subscribe, come);
        asking.ask(Verb::Unsubscribe, gone);
    }

    /// All that is wanted is subscribed to, or refused.
    fn settled(&mut self, asking: &Asking) {
        let gaps = [self.gap.take(), self.refusal.take_if(|_| !asking.has_refused())];
        for gap in gaps.into_iter().flatten() {
            self.shard.tell(self.link, &Gap { to: Some(SystemTime::now()), ..gap });
        }
    }

    /// The connection cannot be had, or is no more.
    fn failed(&mut self, error: &RedisError) {
        if self.gap.is_some() {
            return log::debug!("Redis is still away: {}", error);
        }
        let reason = format!("the connection that subscribes to Redis failed: {}", error);
        self.gap = Some(self.begin_gap(reason));
    }

    fn begin_gap(&self, reason: String) -> Gap {
        let gap = Gap { from: self.heard, to: None, reason };
        self.shard.tell(self.link, &gap);
        gap
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
