//! Who is connected to one server: how many may be, what each is doing, and how to end them all.
//!
//! On a full server the connection that has been idle longest makes room for a newcomer:
//!
//! ```text
//! the newcomer's thread   admit: full ── queues, picks the idle one ── waits ─────── has the place
//!                                                    │ shuts its receiving side         ▲
//!                                                    ▼                                  │ hand_on
//! the other's thread      reads ───────────── the end of input ── a moment ── reads ── leaves
//!                                                    a request has crossed: ──┘
//!                                                    answers it with Connection: close
//! ```
//!
//! A place that becomes free is given to the newcomer that has waited longest, under the lock, so
//! that one that comes later cannot take it.

use crate::ground::limits::{has_room, Limits, CROSSING, SILENT, SPARE_THREADS, WAIT_FOR_PLACE};
use crate::net::batch::close_all;
use crate::net::outbox::Outbox;
use crate::net::stream::{after, Stream};
use crate::websocket::close::CloseFrame;
use std::cell::Cell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// The connections of a server.
pub(crate) struct Connections {
    /// Held to count, to list and to clone `Arc`s, never while anything is written.
    state: Mutex<State>,
    changed: Condvar,
    /// Newcomers that wait and have found no idle connection. Written under the lock, and read
    /// without it after each answer, where a lock that all connections share would cost too much.
    pub seeking: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// Most connections, in all and from one address; 0 is no ceiling.
    most: usize,
    most_per_address: usize,
    closing: bool,
    last_number: u64,
    slots: HashMap<u64, Arc<Slot>>,
    /// Places that were given to newcomers and are not in `slots` yet.
    reserved: usize,
    /// Newcomers that wait for a place, the first to come first.
    newcomers: Vec<Arc<Newcomer>>,
    /// Connections by address, as [`network`] has it.
    addresses: HashMap<IpAddr, usize>,
    /// Threads that wait for the others to end.
    ending: Vec<ThreadId>,
}

/// A connection that waits for a place.
struct Newcomer {
    network: IpAddr,
    proxy: bool,
    /// No connection has been asked to make room for it.
    seeking: AtomicBool,
    /// It has a place, and is not among those that wait any more.
    has_slot: AtomicBool,
    /// Notified when it is given a place, may find an idle connection, or the server closes.
    wake: Condvar,
}

impl State {
    /// Counts one connection more for an address. Returns false when it has as many as it may.
    fn count(&mut self, network: IpAddr) -> bool {
        let count = self.addresses.get(&network).copied().unwrap_or(0);
        let room = has_room(self.most_per_address, count);
        // Without a ceiling nothing is counted.
        if room && self.most_per_address > 0 {
            self.addresses.insert(network, count + 1);
        }
        room
    }

    /// Counts one connection less for an address.
    fn release(&mut self, network: IpAddr) {
        match self.addresses.get_mut(&network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.addresses.remove(&network)),
        }
    }

    /// Gives a place if there is one, and counts it. One for a proxy counts for no client yet.
    fn reserve(&mut self, network: IpAddr, proxy: bool) -> bool {
        let given =
            has_room(self.most, self.slots.len() + self.reserved) && (proxy || self.count(network));
        self.reserved += usize::from(given);
        given
    }

    /// Gives the places that have become free to those that have waited longest.
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

    /// Returns whether only the end of a connection that counts for the same address gives the
    /// newcomer a place: the address has as many as it may.
    fn is_address_full_for(&self, newcomer: &Newcomer) -> bool {
        let count = self.addresses.get(&newcomer.network);
        count.map_or(false, |count| !newcomer.proxy && !has_room(self.most_per_address, *count))
    }

    /// Returns the connection that has been idle longest, of all or of the newcomer's own address.
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

    /// Asks the connection that has been idle longest to end, one of the newcomer's own address
    /// first, and returns it. Its receiving side is the caller's to shut, without the lock.
    fn evict_idle(&self, newcomer: &Newcomer) -> Option<Arc<Slot>> {
        let now = Instant::now();
        loop {
            let slot = match self.longest_idle(Some(newcomer), now) {
                None if !self.is_address_full_for(newcomer) => self.longest_idle(None, now)?,
                own => own?,
            };
            // Its request may have come since; then another one is looked for.
            if slot.evict() {
                return Some(Arc::clone(slot));
            }
        }
    }

    fn others(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.slots.values().filter(move |slot| !self.ending.contains(&slot.thread))
    }
}

/// One connection.
pub(crate) struct Slot {
    pub stream: Arc<dyn Stream>,
    pub peer: SocketAddr,
    /// The peer is a proxy, and counts for those for whom it speaks.
    pub proxy: bool,
    /// The peer's address, as it is counted.
    network: IpAddr,
    thread: ThreadId,
    /// A handler is running.
    handling: AtomicBool,
    /// It was cut off and has not ended all the same.
    abandoned: AtomicBool,
    activity: Mutex<Activity>,
}

struct Activity {
    /// It was asked to end: the server closes, or a newcomer needs the place.
    closing: bool,
    /// It waits for a request of which nothing has come, and may be asked to make room from this
    /// point in time on.
    idle: Option<Instant>,
    /// Who sent the request that is being answered.
    client: SocketAddr,
    /// The path of the request that is being answered.
    path: Option<String>,
    websocket: Option<Arc<Outbox>>,
}

/// A connection's slot; dropping it leaves.
pub(crate) struct SlotGuard {
    connections: Arc<Connections>,
    number: u64,
    /// The address among whose connections it counts.
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

    /// Takes a connection in, or returns `None` when the server is closing, or has as many as it
    /// may, in all or from this address, and no place becomes free in time. One from a proxy counts
    /// for no client yet. Called on the thread that will serve the connection: it may wait here,
    /// and its stack is kept small, so this is not inlined.
    #[inline(never)]
    pub fn admit(
        self: &Arc<Connections>,
        stream: Arc<dyn Stream>,
        peer: SocketAddr,
        proxy: bool,
    ) -> Option<SlotGuard> {
        let network = network(peer.ip());
        let mut state = self.lock();
        if state.closing {
            return None;
        }
        if !state.reserve(network, proxy) {
            state = self.wait_for_slot(state, network, proxy)?;
        }
        state.reserved -= 1;
        let (client, websocket) = (peer, None);
        let activity = Activity { closing: false, idle: None, client, path: None, websocket };
        let (thread, handling, abandoned) = (thread::current().id(), false.into(), false.into());
        let activity = Mutex::new(activity);
        let slot = Slot { stream, peer, proxy, network, thread, handling, abandoned, activity };
        let slot = Arc::new(slot);
        state.last_number += 1;
        let number = state.last_number;
        state.slots.insert(number, Arc::clone(&slot));
        let counted = Cell::new(Some(network).filter(|_| !proxy));
        Some(SlotGuard { connections: Arc::clone(self), number, counted, slot })
    }

    /// Waits until the newcomer is given a place. It asks one connection at most to end, so no more
    /// end than there are newcomers. Where none is idle it waits as well, for one may end by itself
    /// or become idle; only a few may do so, since each holds a thread. Those that have asked one
    /// are no more than there were idle connections.
    #[inline(never)]
    fn wait_for_slot<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        network: IpAddr,
        proxy: bool,
    ) -> Option<MutexGuard<'a, State>> {
        let deadline = after(WAIT_FOR_PLACE);
        let (seeking, has_slot, wake) = (true.into(), false.into(), Condvar::new());
        let newcomer = Arc::new(Newcomer { network, proxy, seeking, has_slot, wake });
        state.newcomers.push(Arc::clone(&newcomer));
        // Before the search: a connection that becomes idle after it sees this.
        let others = self.seeking.fetch_add(1, Ordering::Relaxed);
        while !state.closing && !newcomer.has_slot.load(Ordering::Relaxed) {
            if newcomer.seeking.load(Ordering::Relaxed) {
                if let Some(slot) = state.evict_idle(&newcomer) {
                    self.stop_seeking(&newcomer);
                    drop(state);
                    slot.shut_receiving();
                    // Or the socket would stay open until this thread has waited.
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

    /// Has a newcomer that found no idle connection look again, now that this one is idle.
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

    /// Takes nobody in from here on, and asks everybody to end: WebSockets by a Close frame,
    /// others by ending what they read. A handler that is running finishes.
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
            match &activity.websocket {
                Some(outbox) => websockets.push(Arc::clone(outbox)),
                None => slot.shut_receiving(),
            }
        }
        close_all(websockets.iter(), close);
    }

    /// Ends every connection but that of this thread at once.
    pub fn cut_off(&self) {
        let own = thread::current().id();
        for slot in self.slots().iter().filter(|slot| slot.thread != own) {
            let websocket = slot.activity().websocket.clone();
            websocket.map(|outbox| outbox.close());
            // Fails when the peer has gone already.
            let _ = slot.stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits until all connections have ended, or the longest time. Those whose handlers wait here too,
    /// and those that were given up, are not waited for. Returns those that have not ended: the peer,
    /// and the path if its handler is running.
    pub fn wait_until_empty(&self, longest: Duration) -> Vec<(SocketAddr, Option<String>)> {
        let own = thread::current().id();
        self.lock().ending.push(own);
        self.changed.notify_all();
        let waited_for = |slot: &Arc<Slot>| !slot.abandoned.load(Ordering::Relaxed);
        let mut state = self.wait_while(longest, |state| state.others().any(waited_for));
        let others: Vec<_> = state.others().cloned().collect();
        state.ending.retain(|thread| *thread != own);
        drop(state);
        others.iter().map(|slot| slot.client_and_path()).collect()
    }

    /// Gives up on all connections whose handlers do not wait for the others to end.
    pub fn abandon(&self) {
        let state = self.lock();
        let own = thread::current().id();
        let others = state.others().filter(|slot| slot.thread != own);
        others.for_each(|slot| slot.abandoned.store(true, Ordering::Relaxed));
    }

    /// Waits until all have ended that were not given up, or the longest time: those whose handlers
    /// called the shutdown have an answer to write.
    pub fn wait_for_the_rest(&self, longest: Duration) {
        let given_up = |slot: &Arc<Slot>| slot.abandoned.load(Ordering::Relaxed);
        drop(self.wait_while(longest, |state| !state.slots.values().all(given_up)));
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
    /// Notes that the connection waits for a request, the first or the next one, of which nothing
    /// has come: it may be asked to make room. A client that has just connected gets a second to
    /// begin.
    #[inline(never)]
    pub fn set_idle(&self, first: bool) {
        self.slot.activity().idle = Some(if first { after(SILENT) } else { Instant::now() });
        // Read after the slot's lock was held, and written before a newcomer takes that lock:
        // either the newcomer sees that this connection is idle, or this thread sees the newcomer.
        if self.connections.seeking.load(Ordering::Relaxed) > 0 {
            self.connections.wake_a_newcomer(&self.slot);
        }
    }

    /// Notes that the connection is not idle any more. Returns whether it was asked to end.
    pub fn set_busy(&self) -> bool {
        let mut activity = self.slot.activity();
        activity.idle = None;
        activity.closing
    }

    /// Notes for whom a proxy speaks from here on. Returns false when the client's address has as
    /// many connections as it may.
    #[inline(never)]
    pub fn count_client(&self, client: SocketAddr) -> bool {
        self.slot.activity().client = client;
        self.release_client();
        let client = network(client.ip());
        // It may have seen its last answer before that one's count has ended: so a moment, once.
        let mut counted = self.connections.lock().count(client);
        if !counted {
            thread::sleep(CROSSING);
            counted = self.connections.lock().count(client);
        }
        self.counted.set(Some(client).filter(|_| counted));
        counted
    }

    /// Notes that a proxy's connection speaks for nobody until its next request.
    pub fn release_client(&self) {
        if let Some(client) = self.counted.take() {
            let mut state = self.connections.lock();
            state.release(client);
            state.hand_over_slots();
        }
    }
}

impl Slot {
    /// Notes the path of the request that is answered from here on.
    pub fn set_path(&self, path: &str) {
        self.activity().path = Some(path.to_string());
    }

    /// Notes whether a handler is running.
    pub fn set_handling(&self, handling: bool) {
        self.handling.store(handling, Ordering::Relaxed);
    }

    fn client_and_path(&self) -> (SocketAddr, Option<String>) {
        let activity = self.activity();
        let handling = self.handling.load(Ordering::Relaxed);
        (activity.client, activity.path.clone().filter(|_| handling))
    }

    /// Notes that the connection has become a WebSocket. Returns whether the server is closing:
    /// then its Close frame is the caller's to send.
    pub fn upgrade(&self, websocket: &Arc<Outbox>) -> bool {
        let mut activity = self.activity();
        activity.websocket = Some(Arc::clone(websocket));
        self.set_handling(false);
        activity.closing
    }

    /// Returns whether the connection is of the newcomer's address, and counts as it does.
    fn counts_like(&self, newcomer: &Newcomer) -> bool {
        self.network == newcomer.network && self.proxy == newcomer.proxy
    }

    /// Asks the connection to end. Returns false if it is not idle any more, and is left alone.
    fn evict(&self) -> bool {
        let mut activity = self.activity();
        let idle = activity.idle.take().is_some();
        activity.closing |= idle;
        idle
    }

    /// Shuts the receiving side, which wakes the thread that reads. An answer can still be written.
    fn shut_receiving(&self) {
        // Fails when the peer has gone already.
        let _ = self.stream.shutdown(Shutdown::Read);
    }

    /// Returns whether the connection was asked to end.
    pub fn is_closing(&self) -> bool {
        self.activity().closing
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the address under which a client's connections are counted. An IPv6 address counts as
/// its /64: a subscriber is given at least that much, and may use another address of it each time.
fn network(ip: IpAddr) -> IpAddr {
    const NAT64: u128 = 0x64_ff9b << 96;
    match ip {
        // Translators use this prefix of 96 bits (RFC 6052, 2.1), so that a /64 of it has all IPv4
        // clients; such an address counts alone.
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
        // Nobody waits before, and waking nobody costs a system call.
        if state.closing {
            self.connections.changed.notify_all();
        }
    }
}
