//! One Redis of those that share the load: its address, its queue, and how gaps are told.

use crate::backoff::random;
use crate::bounds::CONNECT;
use crate::queue::State;
use crate::stream::{self, End};
use crate::wire::Wire;
use redis::{ConnectionInfo, IntoConnectionInfo, RedisResult};
use sockling::log;
use sockling::relay::{Gap, Link};
use sockling::Error;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

/// Longest time of losses that a process can have told, in milliseconds: a week.
pub(crate) const LONGEST_NOTICE: u64 = 7 * 24 * 60 * 60 * 1000;

/// What the application wants to be done.
pub(crate) type OnGap = Arc<dyn Fn(&Gap) + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Shard {
    address: ConnectionInfo,
    pub prefix: String,
    pub on_gap: Option<OnGap>,
    pub state: Arc<State>,
    /// What tells this process from the others on the adapter's own channels.
    token: String,
}

impl Shard {
    pub fn new(url: &str) -> Result<Shard, Error> {
        // The crate's error says what is wrong and does not repeat the URL, which has the password.
        let refused =
            |error| Error::Setting(format!("Redis is not to be reached by this URL: {}", error));
        Ok(Shard {
            address: url.into_connection_info().map_err(refused)?,
            prefix: "sockling:".to_string(),
            on_gap: None,
            state: Arc::default(),
            token: format!("{:016x}{:016x}", random(), random()),
        })
    }

    /// Returns one at another URL with the same settings.
    pub fn like(&self, url: &str) -> Result<Shard, Error> {
        let (messages, bytes) = self.state.most();
        let shard = Shard::new(url)?;
        shard.state.bound(messages, bytes);
        Ok(Shard { prefix: self.prefix.clone(), on_gap: self.on_gap.clone(), ..shard })
    }

    /// Connects, and shows the password if there is one.
    pub fn connect(&self) -> RedisResult<Wire> {
        let end = End::after(CONNECT);
        let stream = stream::connect(self.address.addr(), &end)?;
        let settings = self.address.redis_settings();
        let login = settings.password().map(|password| (settings.username(), password));
        Wire::new(stream, end, login)
    }

    /// Returns the channel on which this process wakes its own subscriber.
    pub fn wake(&self) -> String {
        format!("{}wake.{}", self.prefix, self.token)
    }

    /// Returns the channel on which processes tell each other what they lost.
    pub fn gaps(&self) -> String {
        format!("{}gap", self.prefix)
    }

    /// Returns what this process tells on that channel.
    pub fn notice(&self, lost: u64, milliseconds: u128) -> String {
        format!("{} {} {}", self.token, lost, milliseconds)
    }

    /// Returns how many messages another process lost, and in how many milliseconds; 0 of its own;
    /// `None` when the notice is none.
    pub fn read_notice(&self, notice: &[u8]) -> Option<(u64, u64)> {
        let mut words = std::str::from_utf8(notice).ok()?.split(' ');
        let (token, lost, time) = (words.next()?, words.next()?, words.next()?);
        let lost = lost.parse().ok().filter(|lost| *lost > 0)?;
        let time = time.parse().ok().filter(|time| *time <= LONGEST_NOTICE)?;
        let whole = words.next().is_none() && token.len() == self.token.len();
        whole.then_some((if token == self.token { 0 } else { lost }, time))
    }

    /// Tells of a gap: to the log, the counts and the application.
    pub fn tell(&self, link: &Link, gap: &Gap) {
        link.gap(gap);
        if let Some(on_gap) = &self.on_gap {
            // A panic of the application's must not end the thread that carries its messages.
            if catch_unwind(AssertUnwindSafe(|| on_gap(gap))).is_err() {
                log::error!("the function that is told of gaps panicked");
            }
        }
    }
}

/// Returns which of several a channel belongs to: the same on every process and in every version, so
/// it is a hash of its own (FNV-1a, 64 bits).
pub(crate) fn index(channel: &str, shards: usize) -> usize {
    let hash = channel.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash % shards.max(1) as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::tests::dripping;

    #[test]
    fn a_notice_is_read_by_others_and_known_as_ones_own() {
        let [one, other] = [(); 2].map(|()| Shard::new("redis://localhost").expect("a URL"));
        let notice = one.notice(12, 3400);
        assert_eq!(other.read_notice(notice.as_bytes()), Some((12, 3400)));
        assert_eq!(one.read_notice(notice.as_bytes()), Some((0, 3400)));
        let late = one.notice(1, u128::from(LONGEST_NOTICE) + 1);
        for wrong in ["", "x 12 3400", "a b c", &notice[..20], &format!("{} 1", notice), &late] {
            assert_eq!(other.read_notice(wrong.as_bytes()), None, "{:?}", wrong);
        }
        assert_eq!(other.read_notice(b"\xff"), None);
    }

    #[test]
    fn an_answer_to_the_password_that_comes_byte_by_byte_is_not_waited_for() {
        let shard = Shard::new(&format!("redis://:password@{}", dripping(b"-"))).expect("a URL");
        let error = shard.connect().err().expect("it has no end");
        assert!(error.is_timeout(), "{:?}", error);
    }

    #[test]
    fn a_url_that_is_none_is_refused_and_no_password_is_told() {
        for url in ["", "http://localhost", "redis://:secret@host:port", "rediss"] {
            let error = Shard::new(url).err().expect(url).to_string();
            assert!(!error.contains("secret"), "{}", error);
        }
    }

    #[test]
    fn channels_are_spread_and_always_alike() {
        // FNV-1a of nothing and of "a", from its specification.
        assert_eq!(index("", usize::MAX), (0xcbf2_9ce4_8422_2325 % usize::MAX as u64) as usize);
        assert_eq!(index("a", usize::MAX), (0xaf63_dc4c_8601_ec8c % usize::MAX as u64) as usize);
        let mut counts = [0; 3];
        (0..3000).for_each(|user| counts[index(&format!("u.{}", user), 3)] += 1);
        assert!(counts.iter().all(|count| *count > 800), "{:?}", counts);
        assert_eq!(index("u.7", 1), 0);
    }
}
