//! Every bound of the adapter, with its reason.

use std::time::Duration;

/// Messages that wait for Redis at most, by default: what a busy process sends in some seconds, which
/// is how long a restart of Redis takes.
pub const QUEUE_MESSAGES: usize = 16 * 1024;
/// Bytes of messages that wait for Redis at most, by default.
pub const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// Most messages that are written to Redis at once. Their answers are awaited before more is written:
/// so many are lost at most when a connection fails.
pub const BATCH: usize = 256;
/// Bytes above which no further message is written at once.
pub const BATCH_BYTES: usize = 256 * 1024;
/// Longest that it may take to connect, once the system has looked up the host's name: TCP, TLS and
/// the answer to a password together. If the name has several addresses, each is tried for its share.
pub const CONNECT: Duration = Duration::from_secs(3);
/// Longest that Redis may take to read a batch and to answer all of it, or to answer what else it is
/// asked. It is a total, whatever comes meanwhile: a Redis that answers a byte at a time has failed.
/// So a way to Redis that carries a message of the largest size in more than this is too slow.
pub const ANSWER: Duration = Duration::from_secs(5);
/// Pause after which the subscriber is woken though nothing has changed, so that it knows that its
/// connection lives.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
/// Time after which the subscriber connects anew when nothing came: three heartbeats. What comes
/// counts when it is whole, and each message has this time anew.
pub const SILENCE: Duration = Duration::from_secs(15);
/// First pause after a connection failed. It doubles, and is cut by up to a half by chance, so that
/// the processes do not come all at once to a Redis that has just started.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two tries to connect.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Longest that what waits is held back when the connection that publishes was made anew, for the other
/// processes: those that were there before come back within their longest pause and some.
pub const REUNION: Duration = Duration::from_secs(6);
/// Time after which Redis is asked again how many processes there are: while they are waited for, and
/// else.
pub(crate) const COUNT_PACE: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];
/// Least time between two gaps that tell of lost messages, so that one that lasts is not told for
/// every batch; and between two that tell what other processes lost. What these tell sooner is told
/// together, with the next message or heartbeat after that time.
pub const GAP_PACE: Duration = Duration::from_secs(1);
/// Channels that are named in one SUBSCRIBE.
pub(crate) const CHANNELS: usize = 512;
/// Bytes of the names of channels that may have become wanted, or no more, each with [`CHANGE`]. When
/// there are more, all channels are looked at.
pub(crate) const CHANGES: usize = 1024 * 1024;
/// Bytes that such a name counts for beyond its own.
pub(crate) const CHANGE: usize = 64;
/// Longest name of a channel in bytes, without the prefix: more than that of the longest topic of an
/// envelope, 65,535 bytes of which each may stand as three. Redis ends a connection on which a longer
/// name than it takes is written.
pub(crate) const CHANNEL: usize = 256 * 1024;
