//! The thread that publishes: it takes what waits, writes it, and awaits the answers.

use crate::backoff::Backoff;
use crate::bounds::{ANSWER, COUNT_PACE, GAP_PACE, HEARTBEAT, REUNION};
use crate::queue::{Batch, Lost};
use crate::shard::Shard;
use crate::wire::Wire;
use redis::RedisResult;
use sockling::log;
use sockling::relay::{Gap, Link};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// Runs until the process ends.
pub(crate) fn run(shard: &Shard, link: &Link) {
    let mut publisher =
        Publisher { shard, link, backoff: Backoff::new(), begun: false, told: None };
    loop {
        match shard.connect().and_then(|connection| Wire::new(connection, ANSWER)) {
            Ok(mut wire) => {
                if let Err(error) = publisher.publish(&mut wire) {
                    log::warn!("the connection that publishes to Redis failed: {}", error);
                }
            }
            // The subscriber's tells it, and tries as often.
            Err(error) => log::debug!("cannot publish to Redis: {}", error),
        }
        publisher.tell_beginning(shard.state.lost());
        sleep(publisher.backoff.pause());
    }
}

struct Publisher<'a> {
    shard: &'a Shard,
    link: &'a Link,
    backoff: Backoff,
    /// A gap was told that is not over.
    begun: bool,
    /// When the end of a gap was last told.
    told: Option<Instant>,
}

impl Publisher<'_> {
    /// Publishes until the connection fails.
    fn publish(&mut self, wire: &mut Wire) -> RedisResult<()> {
        self.await_others(wire)?;
        let mut counted = Instant::now();
        loop {
            if counted.elapsed() >= COUNT_PACE[1] {
                self.count(wire)?;
                counted = Instant::now();
            }
            let lost = self.shard.state.lost();
            self.tell_beginning(lost);
            // Woken at the latest to tell what was lost.
            let pause = if lost.count > 0 { self.pace() } else { HEARTBEAT };
            let batch = self.shard.state.take(pause);
            let tells = batch.lost.count > 0 && self.pace().is_zero();
            let result = self.write(wire, &batch, tells);
            let mut lost = batch.lose(match result {
                Ok(refused) => refused,
                // Each may have arrived, so none is sent again.
                Err(_) => batch.posts.len() as u64,
            });
            let told = tells && result.is_ok();
            if !told {
                lost.add(batch.lost);
            }
            self.shard.state.answered(lost);
            result?;
            self.backoff.reset();
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

    fn write(&self, wire: &mut Wire, batch: &Batch, tells: bool) -> RedisResult<u64> {
        let shard = self.shard;
        let notice = tells.then(|| {
            let since = batch.lost.since.and_then(|since| since.elapsed().ok());
            shard.notice(batch.lost.count, since.unwrap_or_default().as_millis())
        });
        let notice = notice.as_ref().map(|notice| (shard.gaps(), notice.as_bytes()));
        // When there is nothing to say it is the heartbeat.
        let wake = batch.wake || (batch.posts.is_empty() && notice.is_none());
        let wake = wake.then(|| (shard.wake(), &b""[..]));
        let posts = batch.posts.iter();
        let posts = posts.map(|post| (shard.prefix.clone() + &post.channel, &post.envelope[..]));
        wire.publish(wake.into_iter().chain(notice).chain(posts))
    }

    /// Returns how long the end of a gap is not to be told yet.
    fn pace(&self) -> Duration {
        self.told.map_or(Duration::ZERO, |told| GAP_PACE.saturating_sub(told.elapsed()))
    }

    fn tell_beginning(&mut self, lost: Lost) {
        if let (Some(from), false) = (lost.since, self.begun) {
            self.begun = true;
            self.tell(lost, from, None);
        }
    }

    fn tell_end(&mut self, lost: Lost) {
        self.begun = false;
        self.told = Some(Instant::now());
        let now = SystemTime::now();
        self.tell(lost, lost.since.unwrap_or(now), Some(now));
    }

    fn tell(&self, lost: Lost, from: SystemTime, to: Option<SystemTime>) {
        let reason = format!("this process may have lost {} of its messages", lost.count);
        self.shard.tell(self.link, &Gap { from, to, reason });
    }
}
