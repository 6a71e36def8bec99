//! Counts of all servers of the process, for a page that a monitor reads.

use crate::comms::registry;

/// How much there is, and how much there has been since the process began.
///
/// Each connection keeps its own sums, which cost it next to nothing, and they are added up when they
/// are asked for. They never go down.
///
/// ```
/// use sockling::prelude::*;
///
/// let stats: sockling::Stats = Comms::stats();
/// let page = format!("connections {}\nmessages_out {}\n", stats.connections, stats.messages_out);
/// assert_eq!(page, "connections 0\nmessages_out 0\n");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// WebSockets that are open.
    pub connections: usize,
    /// Sessions that have one.
    pub sessions: usize,
    /// Topics that have a member.
    pub topics: usize,
    /// Bytes that wait for clients, with those of frame headers.
    pub waiting: usize,
    /// Messages from clients, in all; counted when all that was read at once has been handled.
    pub messages_in: u64,
    /// Messages that were taken for clients, in all; one that goes to ten clients counts ten times.
    pub messages_out: u64,
    /// Bytes of frames from clients, in all.
    pub bytes_in: u64,
    /// Bytes of frames, and of the answers that opened WebSockets, that were written, in all. Of a
    /// write that the end of the connection cut short, nothing is counted.
    pub bytes_out: u64,
    /// Messages that were not taken for a client because it does not read, in all.
    pub dropped: u64,
    /// Clients that were cut off for that, in all.
    pub cut_off: u64,
    /// Envelopes that the relay took for other processes, in all. This and what follows stays 0 without
    /// [`Comms::relay`](crate::Comms::relay).
    pub relay_out: u64,
    /// Envelopes that the relay did not take, in all: it had no room, or they were too long.
    pub relay_lost: u64,
    /// Envelopes from other processes, in all.
    pub relay_in: u64,
    /// What came and was no envelope, or stood on another's channel, in all.
    pub relay_refused: u64,
    /// Times that the relay told of messages that may be missing, in all.
    pub relay_gaps: u64,
}

impl Stats {
    pub(crate) fn take() -> Stats {
        let (counts, served, [connections, sessions, topics]) = registry::census();
        let mut stats = Stats { connections, sessions, topics, ..Stats::default() };
        let mut all = counts;
        for outbox in served {
            all += outbox.counts();
            stats.waiting += outbox.backlog();
        }
        stats.messages_in = all.messages_in;
        stats.messages_out = all.messages_out;
        stats.bytes_in = all.bytes_in;
        stats.bytes_out = all.bytes_out;
        stats.dropped = all.dropped;
        stats.cut_off = all.cut_off;
        let passed = registry::passed();
        stats.relay_out = passed.out;
        stats.relay_lost = passed.lost;
        stats.relay_in = passed.received;
        stats.relay_refused = passed.refused;
        stats.relay_gaps = passed.gaps;
        stats
    }
}
