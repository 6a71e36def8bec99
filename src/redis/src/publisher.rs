//! The thread that publishes: it takes what waits, writes it, and awaits the answers.

use crate::backoff::Backoff;
use crate::bounds::{COUNT_PACE, GAP_PACE, HEARTBEAT, REUNION};
use crate::queue::{Batch, Lost};
use crate::shard::{Shard, LONGEST_NOTICE};
use crate::wire::Wire;
use redis::RedisResult;
use sockling::log;
use sockling::relay::{Gap, Link};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// Runs until the process ends.
pub(crate) fn run(shard: &Shard, link: &Link) {
    let mut publisher =
        Publisher { shard, link, backoff: Backoff::new(), begun: false, tried: None };
    loop {
        match shard.connect() {
            Ok(mut wire) => {
                let begun = Instant::now();
                if let Err(error) = publisher.publish(&mut wire) {
                    log::warn!("the connection that publishes to Redis failed: {}", error);
                }
                publisher.backoff.lasted(begun.elapsed());
            }
            // The subscriber's tells it, and tries as often.
            Err(error) => log::debug!("cannot publish to Redis: {}", error),
        }
        publisher.tell_beginning(shard.state.lost());
        sleep(publisher.backoff.pause());
    }
}

/// What Redis said of a batch.
struct Answers {
    /// Messages that it refused.
    refused: u64,
    /// Whether the others were told what was lost.
    told: bool,
}

struct Publisher<'a> {
    shard: &'a Shard,
    link: &'a Link,
    backoff: Backoff,
    /// A gap was told that is not over.
    begun: bool,
    /// When the others were last to be told of the end of a gap.
    tried: Option<Instant>,
}

impl Publisher<'_> {
    /// Publishes until the connection fails.
    fn publish(&mut self, wire: &mut Wire) -> RedisResult<()> {
        self.await_others(wire)?;
        let mut counted = Instant::now();
        let mut woke = Instant::now();
        loop {
            if counted.elapsed() >= COUNT_PACE[1] {
                self.count(wire)?;
                counted = Instant::now();
            }
            let lost = self.shard.state.lost();
            self.tell_beginning(lost);
            // Woken at the latest for the heartbeat, which what is published is none, or to tell what
            // was lost.
            let due = HEARTBEAT.saturating_sub(woke.elapsed());
            let pause = if lost.count > 0 { due.min(self.pace()) } else { due };
            let mut batch = self.shard.state.take(pause, lost);
            batch.wake |= woke.elapsed() >= HEARTBEAT;
            if batch.wake {
                woke = Instant::now();
            }
            // Of what was lost while it waited.
            self.tell_beginning(batch.lost);
            let tells = batch.lost.count > 0 && self.pace().is_zero();
            if tells {
                self.tried = Some(Instant::now());
            }
            let result = self.write(wire, &batch, tells);
            let mut lost = batch.lose(match &result {
                Ok(answers) => answers.refused,
                // Each may have arrived, so none is sent again.
                Err(_) => batch.posts.len() as u64,
            });
            let told = result.as_ref().is_ok_and(|answers| answers.told);
            if !told {
                lost.add(batch.lost);
            }
            self.shard.state.answered(lost);
            result?;
            if told {
                self.tell_end(batch.lost);
            }
        }
    }

    /// Waits until as many processes as before have subscribed: what is published sooner, they miss.
    fn await_others(&mut self, wire: &mut Wire) -> RedisResult<()> {
        let state = &self.shard.state;
        let end = Instant::now() + REUNION;
        while wire.subscribers(&self.shard.gaps())?.unwrap_or(0) < state.processes() {
            if Instant::now() > end {
                log::warn!("sending again, though some other processes are not back at Redis");
                break;
            }
            if state.take_wake() {
                wire.publish([(self.shard.wake(), &b""[..])].into_iter())?;
            }
            sleep(COUNT_PACE[0]);
        }
        // One may have been lost with the connection before.
        wire.publish([(self.shard.wake(), &b""[..])].into_iter())?;
        self.count(wire)
    }

    /// Asks how many processes there are.
    fn count(&self, wire: &mut Wire) -> RedisResult<()> {
        let count = wire.subscribers(&self.shard.gaps())?;
        self.shard.state.set_processes(count.unwrap_or(0));
        Ok(())
    }

    fn write(&self, wire: &mut Wire, batch: &Batch, tells: bool) -> RedisResult<Answers> {
        let shard = self.shard;
        let notice = tells.then(|| {
            let since = batch.lost.since.and_then(|since| since.elapsed().ok());
            let time = since.unwrap_or_default().as_millis().min(LONGEST_NOTICE.into());
            shard.notice(batch.lost.count, time)
        });
        let notice = notice.as_ref().map(|notice| (shard.gaps(), notice.as_bytes()));
        let wake = batch.wake.then(|| (shard.wake(), &b""[..]));
        let posts = batch.posts.iter();
        let posts = posts.map(|post| (shard.prefix.clone() + &post.channel, &post.envelope[..]));
        let taken = wire.publish(wake.into_iter().chain(notice).chain(posts))?;
        let (own, posts) = taken.split_at(taken.len() - batch.posts.len());
        let refused = posts.iter().filter(|taken| !**taken).count() as u64;
        Ok(Answers { refused, told: tells && own.last() == Some(&true) })
    }

    /// Returns how long the end of a gap is not to be told yet.
    fn pace(&self) -> Duration {
        self.tried.map_or(Duration::ZERO, |tried| GAP_PACE.saturating_sub(tried.elapsed()))
    }

    fn tell_beginning(&mut self, lost: Lost) {
        if let (Some(from), false) = (lost.since, self.begun) {
            self.begun = true;
            self.tell(lost, from, None);
        }
    }

    fn tell_end(&mut self, lost: Lost) {
        self.begun = false;
        let now = SystemTime::now();
        self.tell(lost, lost.since.unwrap_or(now), Some(now));
    }

    fn tell(&self, lost: Lost, from: SystemTime, to: Option<SystemTime>) {
        let reason = format!("this process may have lost {} of its messages", lost.count);
        self.shard.tell(self.link, &Gap { from, to, reason });
    }
}
