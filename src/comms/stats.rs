//! Counts of all servers of the process, for a page that a monitor reads. What has passed on
//! connections that are over is summed up here.

use crate::net::outbox::Outbox;
use crate::net::queue::Counts;
use crate::relay::adapter;
use std::sync::{Arc, Mutex, PoisonError};

static PAST: Mutex<Option<Past>> = Mutex::new(None);

#[derive(Default)]
struct Past {
    /// WebSockets that have left the registry and whose conversations are not over.
    leaving: Vec<Arc<Outbox>>,
    /// The counts of WebSockets whose conversations are over.
    sums: Counts,
}

fn with_past<T>(look: impl FnOnce(&mut Past) -> T) -> T {
    let mut past = PAST.lock().unwrap_or_else(PoisonError::into_inner);
    look(past.get_or_insert_with(Past::default))
}

/// Notes that a WebSocket is leaving the registry, whose lock the caller holds: its counts are
/// still changing and must be neither missing nor there twice.
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

/// Returns the WebSockets that have left the registry and are not in the sums, and the sums. The
/// caller holds the registry's lock.
pub(crate) fn past() -> (Vec<Arc<Outbox>>, Counts) {
    with_past(|past| (past.leaving.clone(), past.sums))
}

/// What there is now, and what has passed since the process started.
///
/// Each connection keeps its own counts, which costs it next to nothing; they are added up when
/// they are asked for. Totals never decrease.
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
    /// Open WebSockets.
    pub connections: usize,
    /// Sessions with an open WebSocket.
    pub sessions: usize,
    /// Topics with a member.
    pub topics: usize,
    /// Bytes that wait for clients, frame headers included.
    pub waiting: usize,
    /// Total of messages from clients; counted when everything that was read at once has been
    /// handled.
    pub messages_in: u64,
    /// Total of messages that were accepted for clients; a message to ten clients counts ten times.
    pub messages_out: u64,
    /// Total of bytes in frames from clients.
    pub bytes_in: u64,
    /// Total of bytes written in frames and in the responses that opened WebSockets. A write that
    /// the end of the connection cut short is not counted.
    pub bytes_out: u64,
    /// Total of messages that were dropped because the client does not read.
    pub dropped: u64,
    /// Total of clients that were cut off because they do not read.
    pub cut_off: u64,
    /// Total of bytes of compressed messages from clients, as they came. This count and the next
    /// three stay 0 without [`Server::deflate`](crate::http::Server::deflate).
    #[cfg(feature = "deflate")]
    pub compressed_in: u64,
    /// Total of bytes of these messages, inflated.
    #[cfg(feature = "deflate")]
    pub uncompressed_in: u64,
    /// Total of bytes of messages that were accepted compressed for clients, as they are sent.
    #[cfg(feature = "deflate")]
    pub compressed_out: u64,
    /// Total of bytes of these messages before compression.
    #[cfg(feature = "deflate")]
    pub uncompressed_out: u64,
    /// Total of envelopes that the relay accepted for other processes. This count and those below
    /// stay 0 without [`Comms::relay`](crate::Comms::relay).
    pub relay_out: u64,
    /// Total of envelopes that the relay did not accept: it had no room, or they were too long.
    pub relay_lost: u64,
    /// Total of envelopes from other processes.
    pub relay_in: u64,
    /// Total of invalid envelopes, and of those that arrived on a channel other than their own.
    pub relay_refused: u64,
    /// Total of gaps that the relay reported.
    pub relay_gaps: u64,
}

impl Stats {
    /// Adds up a census of the registry and the counts of the relay.
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
            #[cfg(feature = "deflate")]
            compressed_in: all.compression.compressed_in,
            #[cfg(feature = "deflate")]
            uncompressed_in: all.compression.uncompressed_in,
            #[cfg(feature = "deflate")]
            compressed_out: all.compression.compressed_out,
            #[cfg(feature = "deflate")]
            uncompressed_out: all.compression.uncompressed_out,
            relay_out: relay.out,
            relay_lost: relay.lost,
            relay_in: relay.received,
            relay_refused: relay.refused,
            relay_gaps: relay.gaps,
        }
    }
}
