//! Counts of all servers of the process, for a page that a monitor reads.

use crate::net::outbox::Outbox;
use crate::net::queue::Counts;
use crate::relay::adapter;
use std::sync::{Arc, Mutex, PoisonError};

static PAST: Mutex<Option<Past>> = Mutex::new(None);

#[derive(Default)]
struct Past {
    /// Those that have left the registry and whose conversations are not over.
    leaving: Vec<Arc<Outbox>>,
    /// What has passed on those whose conversations are over.
    sums: Counts,
}

fn with_past<T>(look: impl FnOnce(&mut Past) -> T) -> T {
    let mut past = PAST.lock().unwrap_or_else(PoisonError::into_inner);
    look(past.get_or_insert_with(Past::default))
}

/// Notes that a WebSocket is leaving the registry, whose lock the caller holds: its counts are still
/// changing and must be neither missing nor there twice.
pub(crate) fn leaving(outbox: &Arc<Outbox>) {
    with_past(|past| past.leaving.push(Arc::clone(outbox)));
}

/// Adds the counts of a WebSocket whose conversation is over to the sums.
pub(crate) fn ended(outbox: &Arc<Outbox>) {
    with_past(|past| {
        past.leaving.retain(|other| !Arc::ptr_eq(other, outbox));
        past.sums += outbox.counts();
    });
}

/// Returns the WebSockets that have left the registry and are not in the sums, and the sums. The caller
/// holds the registry's lock.
pub(crate) fn past() -> (Vec<Arc<Outbox>>, Counts) {
    with_past(|past| (past.leaving.clone(), past.sums))
}

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
    /// Returns the counts of these outboxes and of what has passed before and by the relay.
    pub(crate) fn of(
        (outboxes, mut all, [connections, sessions, topics]): (
            Vec<Arc<Outbox>>,
            Counts,
            [usize; 3],
        ),
        relay: adapter::Counts,
    ) -> Stats {
        let mut waiting = 0;
        for outbox in outboxes {
            all += outbox.counts();
            waiting += outbox.backlog();
        }
        Stats {
            connections,
            sessions,
            topics,
            waiting,
            messages_in: all.messages_in,
            messages_out: all.messages_out,
            bytes_in: all.bytes_in,
            bytes_out: all.bytes_out,
            dropped: all.dropped,
            cut_off: all.cut_off,
            relay_out: relay.out,
            relay_lost: relay.lost,
            relay_in: relay.received,
            relay_refused: relay.refused,
            relay_gaps: relay.gaps,
        }
    }
}
