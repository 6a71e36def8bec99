//! The connections of one server: how many there may be, what each of them is doing, and how all of
//! them end.
//!
//! # Theory of operation
//!
//! A connection has a [`Slot`] from the moment it is admitted until its thread drops the
//! [`SlotGuard`]. On a full server the connection that has been idle longest makes room for a
//! newcomer:
//!
//! ```text
//! newcomer's thread   admit: full ── queues, evicts the idle one ── waits ───────── has the slot
//!                                               │ shuts its receiving side             ▲
//!                                               ▼                                      │ hand over
//! the other's thread  reads ─────────── end of input ── waits a moment ── reads ── drops its guard
//!                                              a request has crossed: ──┘
//!                                              answers it with Connection: close
//! ```
//!
//! *Waiting.* A newcomer waits on its own thread, [`WAIT_FOR_PLACE`] at most. It evicts at most one
//! connection, so no more connections end than newcomers come. Where none is idle it waits too,
//! since one may end or become idle; as each such newcomer holds a thread, only [`SPARE_THREADS`]
//! may. A shutdown waits on the thread that called it.
//!
//! *Locks.* `state` guards the counts and the lists, and each slot's `activity` guards what that
//! connection is doing. The state may be locked first and an activity second, never the other way
//! round. Nothing is written and no handler runs under either.
//!
//! *Orders that must not race.*
//!
//! - A freed slot is handed to the newcomer that has waited longest under the lock that freed it. A
//!   later newcomer cannot take it.
//! - A connection marks itself idle and then reads `seeking`; a newcomer counts itself in `seeking`
//!   and then looks for an idle connection. So one of the two always sees the other.
//! - A connection leaves the idle state, and is evicted, under the lock of its activity. So it
//!   either reads its next request or makes room, never both.
//! - An upgrade stores its WebSocket and looks whether the server is closing; a shutdown says that
//!   it is and looks for the WebSocket. Both do it under the lock of the activity, so one of the
//!   two closes it.

use crate::comms::mailbox::{Mailbox, Place};
use crate::ground::limits::{has_room, Limits, CROSSING, SILENT, SPARE_THREADS, WAIT_FOR_PLACE};
use crate::ground::peer::Peer;
use crate::net::batch::close_all;
use crate::net::outbox::Outbox;
use crate::net::stream::{after, Stream};
use crate::session::id::SessionId;
use crate::websocket::close::CloseFrame;
use std::cell::Cell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, Shutdown};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// The connections of a server.
pub(crate) struct Connections {
    /// Held to count, to list and to clone `Arc`s, never while anything is written.
    state: Mutex<State>,
    /// Notified when a connection ends while the server is closing, and when a shutdown begins to
    /// wait.
    changed: Condvar,
    /// Newcomers that wait and have found no idle connection. Written under the lock, and read
    /// without it after each answer: a lock that all connections share would cost too much there.
    pub seeking: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// Most connections, in all and from one address; 0 is no limit.
    most: usize,
    most_per_address: usize,
    closing: bool,
    last_number: u64,
    slots: HashMap<u64, Arc<Slot>>,
    /// Slots that newcomers have and that are not in `slots` yet.
    reserved: usize,
    /// Newcomers that wait for a slot, in the order in which they came.
    newcomers: Vec<Arc<Newcomer>>,
    /// Connections by [`network`].
    addresses: HashMap<IpAddr, usize>,
    /// Threads that wait in a shutdown. Their own connections are not waited for.
    ending: Vec<ThreadId>,
}

/// A connection that waits for a slot.
struct Newcomer {
    network: Option<IpAddr>,
    proxy: bool,
    /// Whether no connection has been evicted for it.
    seeking: AtomicBool,
    /// Whether it has a slot; it is then no longer among `newcomers`.
    has_slot: AtomicBool,
    /// Notified when it has a slot, when it may find an idle connection, and when the server
    /// closes.
    wake: Condvar,
}

impl State {
    /// Counts one more connection for an address. Returns false when it has as many as it may;
    /// clients without an address have no such bound.
    fn count(&mut self, network: Option<IpAddr>) -> bool {
        let network = match network {
            Some(network) => network,
            None => return true,
        };
        let count = self.addresses.get(&network).copied().unwrap_or(0);
        let room = has_room(self.most_per_address, count);
        // Without a limit nothing is counted.
        if room && self.most_per_address > 0 {
            self.addresses.insert(network, count + 1);
        }
        room
    }

    /// Counts one connection fewer for an address.
    fn release(&mut self, network: IpAddr) {
        match self.addresses.get_mut(&network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.addresses.remove(&network)),
        }
    }

    /// Reserves a slot for a newcomer. Returns false when the server, or the address, has no more.
    /// A proxy's connection counts for no address until it carries a request.
    fn reserve(&mut self, network: Option<IpAddr>, proxy: bool) -> bool {
        let given =
            has_room(self.most, self.slots.len() + self.reserved) && (proxy || self.count(network));
        self.reserved += usize::from(given);
        given
    }

    /// Hands the free slots to the newcomers that have waited longest.
    fn hand_over_slots(&mut self) {
        let mut at = 0;
        while let Some((network, proxy)) =
            self.newcomers.get(at).map(|one| (one.network, one.proxy))
        {
            if self.reserve(network, proxy) {
                let newcomer = self.newcomers.remove(at);
                newcomer.has_slot.store(true, Ordering::Relaxed);
                newcomer.wake.notify_one();
            } else {
                at += 1;
            }
        }
    }

    /// Returns whether the newcomer's address has as many connections as it may: then only the end
    /// of one of those helps.
    fn is_address_full_for(&self, newcomer: &Newcomer) -> bool {
        let count = newcomer.network.and_then(|network| self.addresses.get(&network));
        count.map_or(false, |count| !newcomer.proxy && !has_room(self.most_per_address, *count))
    }

    /// Returns the connection that has been idle longest, among all or of the newcomer's address.
    fn longest_idle(&self, of: Option<&Newcomer>, now: Instant) -> Option<&Arc<Slot>> {
        let mut longest = None;
        let mut since = now;
        for slot in self.slots.values() {
            match slot.activity().idle {
                Some(idle) if idle <= since && of.map_or(true, |one| slot.counts_like(one)) => {
                    since = idle;
                    longest = Some(slot);
                }
                _ => {}
            }
        }
        longest
    }

    /// Evicts the connection that has been idle longest, preferably one of the newcomer's address,
    /// and returns it. The caller shuts its receiving side, without the lock.
    fn evict_idle(&self, newcomer: &Newcomer) -> Option<Arc<Slot>> {
        let now = Instant::now();
        loop {
            let slot = match self.longest_idle(Some(newcomer), now) {
                None if !self.is_address_full_for(newcomer) => self.longest_idle(None, now)?,
                own => own?,
            };
            // Its request may have come meanwhile: then look for another one.
            if slot.evict() {
                return Some(Arc::clone(slot));
            }
        }
    }

    /// Returns the connections whose handlers do not wait in a shutdown.
    fn others(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.slots.values().filter(move |slot| !self.ending.contains(&slot.thread))
    }
}

/// What a server knows of one connection.
pub(crate) struct Slot {
    pub stream: Arc<dyn Stream>,
    pub peer: Peer,
    /// Whether the peer is a trusted proxy. Its connection counts for the client of each request.
    pub proxy: bool,
    /// The peer's [`network`].
    network: Option<IpAddr>,
    thread: ThreadId,
    /// Whether a handler is running.
    handling: AtomicBool,
    /// Whether it was cut off and has not ended even so.
    abandoned: AtomicBool,
    activity: Mutex<Activity>,
}

struct Activity {
    /// Whether it was asked to end: the server is closing, or a newcomer needs the slot.
    closing: bool,
    server_closes: bool,
    /// While it waits for a request of which nothing has come, or for its client to read the last
    /// answer, the time from which it may be evicted.
    idle: Option<Instant>,
    /// The client of the last request; behind a proxy, another one each time.
    client: Peer,
    /// The path of the last request that found a route.
    path: Option<String>,
    websocket: Option<Arc<Outbox>>,
    /// What its handler waits for.
    waiting: Option<Mailbox>,
}

/// A connection that has not ended in time.
pub(crate) type Rest = (Peer, Option<String>, Option<SessionId>);

/// Holds a connection's slot. Dropping it frees the slot.
pub(crate) struct SlotGuard {
    connections: Arc<Connections>,
    number: u64,
    /// The network that the connection counts for.
    counted: Cell<Option<IpAddr>>,
    slot: Arc<Slot>,
}

impl std::ops::Deref for SlotGuard {
    type Target = Arc<Slot>;

    fn deref(&self) -> &Arc<Slot> {
        &self.slot
    }
}

impl Connections {
    /// Returns the connections of a server with these limits.
    pub fn new(limits: &Limits) -> Arc<Connections> {
        let (most, most_per_address) = (limits.connections, limits.connections_per_address);
        let state = Mutex::new(State { most, most_per_address, ..State::default() });
        Arc::new(Connections { state, changed: Condvar::new(), seeking: AtomicUsize::new(0) })
    }

    /// Admits a connection, on the thread that will serve it. Returns `None` when the server is
    /// closing, or is full and no slot becomes free within [`WAIT_FOR_PLACE`], for which this
    /// waits.
    #[inline(never)]
    pub fn admit(
        self: &Arc<Connections>,
        stream: Arc<dyn Stream>,
        peer: &Peer,
        proxy: bool,
    ) -> Option<SlotGuard> {
        let network = peer.ip().map(network);
        let mut state = self.lock();
        if state.closing {
            return None;
        }
        if !state.reserve(network, proxy) {
            state = self.wait_for_slot(state, network, proxy)?;
        }
        state.reserved -= 1;
        let (peer, client) = (peer.clone(), peer.clone());
        let (closing, server_closes, idle, path, websocket, waiting) = Default::default();
        let activity = Activity { closing, server_closes, idle, client, path, websocket, waiting };
        let (thread, handling, abandoned) = (thread::current().id(), false.into(), false.into());
        let activity = Mutex::new(activity);
        let slot = Slot { stream, peer, proxy, network, thread, handling, abandoned, activity };
        let slot = Arc::new(slot);
        state.last_number += 1;
        let number = state.last_number;
        state.slots.insert(number, Arc::clone(&slot));
        let counted = Cell::new(network.filter(|_| !proxy));
        Some(SlotGuard { connections: Arc::clone(self), number, counted, slot })
    }

    /// Waits until the newcomer has a slot, and evicts an idle connection for it.
    #[inline(never)]
    fn wait_for_slot<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        network: Option<IpAddr>,
        proxy: bool,
    ) -> Option<MutexGuard<'a, State>> {
        let deadline = after(WAIT_FOR_PLACE);
        let (seeking, has_slot, wake) = (true.into(), false.into(), Condvar::new());
        let newcomer = Arc::new(Newcomer { network, proxy, seeking, has_slot, wake });
        state.newcomers.push(Arc::clone(&newcomer));
        // Before the search: a connection that becomes idle after the search sees this.
        let others = self.seeking.fetch_add(1, Ordering::Relaxed);
        while !state.closing && !newcomer.has_slot.load(Ordering::Relaxed) {
            if newcomer.seeking.load(Ordering::Relaxed) {
                if let Some(slot) = state.evict_idle(&newcomer) {
                    self.stop_seeking(&newcomer);
                    drop(state);
                    slot.shut_receiving();
                    // Or its socket would stay open for as long as this thread waits.
                    drop(slot);
                    state = self.lock();
                    continue;
                }
                if others >= SPARE_THREADS {
                    break;
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = newcomer.wake.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.stop_seeking(&newcomer);
        if newcomer.has_slot.load(Ordering::Relaxed) && !state.closing {
            return Some(state);
        }
        state.newcomers.retain(|other| !Arc::ptr_eq(other, &newcomer));
        None
    }

    fn stop_seeking(&self, newcomer: &Newcomer) {
        if newcomer.seeking.swap(false, Ordering::Relaxed) {
            self.seeking.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Wakes a newcomer that found no idle connection, now that this one is idle.
    #[inline(never)]
    fn wake_a_newcomer(&self, idle: &Slot) {
        let state = self.lock();
        let seeks = |newcomer: &&Arc<Newcomer>| {
            newcomer.seeking.load(Ordering::Relaxed)
                && (idle.counts_like(newcomer) || !state.is_address_full_for(newcomer))
        };
        if let Some(newcomer) = state.newcomers.iter().find(seeks) {
            newcomer.wake.notify_one();
        }
    }

    /// Admits nobody from here on and asks every connection to end: a WebSocket by a Close frame,
    /// any other by shutting its receiving side. A handler that is running finishes; one that waits
    /// for a receiver is woken.
    pub fn close(&self, close: &CloseFrame) {
        {
            let mut state = self.lock();
            state.closing = true;
            state.newcomers.iter().for_each(|newcomer| newcomer.wake.notify_one());
        }
        let mut websockets = Vec::new();
        for slot in self.slots() {
            let mut activity = slot.activity();
            activity.closing = true;
            activity.server_closes = true;
            let waiting = activity.waiting.take();
            match &activity.websocket {
                Some(outbox) => websockets.push(Arc::clone(outbox)),
                None => slot.shut_receiving(),
            }
            drop(activity);
            if let Some(mailbox) = waiting {
                mailbox.wake();
            }
        }
        close_all(websockets, close);
    }

    /// Shuts the socket of every connection but this thread's own.
    pub fn cut_off(&self) {
        let own = thread::current().id();
        for slot in self.slots().iter().filter(|slot| slot.thread != own) {
            let websocket = slot.activity().websocket.clone();
            websocket.map(|outbox| outbox.close());
            // An error means that the peer has gone.
            let _ = slot.stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits until every connection has ended, for so long at most, but not for those whose
    /// handlers wait here too nor for those that were abandoned. Returns the client of each that
    /// has not ended, with the path if its handler is running, and the session if it is a WebSocket.
    pub fn wait_until_empty(&self, longest: Duration) -> Vec<Rest> {
        let own = thread::current().id();
        self.lock().ending.push(own);
        self.changed.notify_all();
        let waited_for = |slot: &Arc<Slot>| !slot.abandoned.load(Ordering::Relaxed);
        let mut state = self.wait_while(longest, |state| state.others().any(waited_for));
        let others: Vec<_> = state.others().cloned().collect();
        state.ending.retain(|thread| *thread != own);
        drop(state);
        others.iter().map(|slot| slot.rest()).collect()
    }

    /// Marks every connection that has not ended, but for those whose handlers wait in a shutdown:
    /// no later wait is for them.
    pub fn abandon(&self) {
        let state = self.lock();
        let own = thread::current().id();
        let others = state.others().filter(|slot| slot.thread != own);
        others.for_each(|slot| slot.abandoned.store(true, Ordering::Relaxed));
    }

    /// Waits until every connection that was not abandoned has ended, for so long at most: those
    /// whose handlers called the shutdown have an answer to write.
    pub fn wait_for_the_rest(&self, longest: Duration) {
        let abandoned = |slot: &Arc<Slot>| slot.abandoned.load(Ordering::Relaxed);
        drop(self.wait_while(longest, |state| !state.slots.values().all(abandoned)));
    }

    fn wait_while(&self, longest: Duration, so: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_timeout_while(self.lock(), longest, |state| so(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Returns the number of connections.
    pub fn len(&self) -> usize {
        self.lock().slots.len()
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.lock().slots.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SlotGuard {
    /// Marks the connection as idle: it may be evicted at once if it waits for its next request, or
    /// after [`SILENT`] if it is `spared`, because its client has just connected or is reading the
    /// last answer.
    #[inline(never)]
    pub fn set_idle(&self, spared: bool) {
        self.slot.activity().idle = Some(if spared { after(SILENT) } else { Instant::now() });
        // Read after the activity's lock was held; written before a newcomer takes that lock.
        // Either the newcomer sees that this connection is idle, or this thread sees the newcomer.
        if self.connections.seeking.load(Ordering::Relaxed) > 0 {
            self.connections.wake_a_newcomer(&self.slot);
        }
    }

    /// Marks the connection as no longer idle. Returns whether it was asked to end.
    pub fn set_busy(&self) -> bool {
        let mut activity = self.slot.activity();
        activity.idle = None;
        activity.closing
    }

    /// Counts a proxy's connection for the client of its request. Returns false when the client's
    /// address has as many connections as it may.
    #[inline(never)]
    pub fn count_client(&self, client: &Peer) -> bool {
        self.slot.activity().client = client.clone();
        self.release_client();
        let client = client.ip().map(network);
        // The client may have read its last answer before the connection that brought it was
        // released. So wait a moment, once.
        let mut counted = self.connections.lock().count(client);
        if !counted {
            thread::sleep(CROSSING);
            counted = self.connections.lock().count(client);
        }
        self.counted.set(client.filter(|_| counted));
        counted
    }

    /// Counts a proxy's connection for nobody until its next request.
    pub fn release_client(&self) {
        if let Some(client) = self.counted.take() {
            let mut state = self.connections.lock();
            state.release(client);
            state.hand_over_slots();
        }
    }
}

impl Slot {
    /// Notes the path of the request, for the report of a shutdown.
    pub fn set_path(&self, path: &str) {
        self.activity().path = Some(path.to_string());
    }

    /// Notes whether a handler is running, for the report of a shutdown.
    pub fn set_handling(&self, handling: bool) {
        self.handling.store(handling, Ordering::Relaxed);
    }

    fn rest(&self) -> Rest {
        let activity = self.activity();
        let handling = self.handling.load(Ordering::Relaxed);
        let session = activity.websocket.as_ref().map(|outbox| outbox.session.id);
        (activity.client.clone(), activity.path.clone().filter(|_| handling), session)
    }

    /// Makes the connection a WebSocket. Returns whether the server is closing: then the caller
    /// sends the Close frame.
    pub fn upgrade(&self, websocket: &Arc<Outbox>) -> bool {
        let mut activity = self.activity();
        activity.websocket = Some(Arc::clone(websocket));
        self.set_handling(false);
        activity.closing
    }

    /// Returns whether the connection was asked to end.
    pub fn is_closing(&self) -> bool {
        self.activity().closing
    }

    /// Returns whether the connection counts for the same address as the newcomer.
    fn counts_like(&self, newcomer: &Newcomer) -> bool {
        self.network == newcomer.network && self.proxy == newcomer.proxy
    }

    /// Asks the connection to end if it is idle. Returns whether it is.
    fn evict(&self) -> bool {
        let mut activity = self.activity();
        let idle = activity.idle.take().is_some();
        activity.closing |= idle;
        idle
    }

    /// Shuts the receiving side, which wakes the thread in its read. An answer can still be
    /// written.
    fn shut_receiving(&self) {
        // An error means that the peer has gone.
        let _ = self.stream.shutdown(Shutdown::Read);
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place for Slot {
    fn set_waiting(&self, mailbox: Option<Mailbox>) {
        self.activity().waiting = mailbox;
    }

    fn server_closes(&self) -> bool {
        self.activity().server_closes
    }
}

/// Returns the address for which a client's connections are counted. An IPv6 address counts as its
/// /64: a subscriber is given at least that much and may use another address of it each time.
fn network(ip: IpAddr) -> IpAddr {
    const NAT64: u128 = 0x64_ff9b << 96;
    match ip {
        // Translators use this prefix of 96 bits (RFC 6052, 2.1). One /64 of it holds every IPv4
        // client, so such an address counts by itself.
        IpAddr::V6(v6) if u128::from(v6) >> 32 != NAT64 >> 32 => {
            Ipv6Addr::from(u128::from(v6) >> 64 << 64).into()
        }
        ip => ip,
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        let mut state = self.connections.lock();
        state.slots.remove(&self.number);
        if let Some(network) = self.counted.get() {
            state.release(network);
        }
        state.hand_over_slots();
        // Nobody waits before a shutdown, and to wake nobody costs a system call.
        if state.closing {
            self.connections.changed.notify_all();
        }
    }
}
