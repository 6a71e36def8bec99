//! Who is connected to one server: how many may be, what each is doing, and how to end them all.

use crate::delivery::close_all;
use crate::limits::{has_room, Limits};
use crate::outbox::Outbox;
use crate::stream::Stream;
use crate::websocket::close::CloseFrame;
use std::cell::Cell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// The connections of a server.
#[derive(Default)]
pub(crate) struct Roster {
    /// Held to count, to list and to clone `Arc`s, never while anything is written.
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    closing: bool,
    count: u64,
    entries: HashMap<u64, Arc<Entry>>,
    /// Connections by address, as [`network`] has it.
    addresses: HashMap<IpAddr, usize>,
    /// Threads that wait for the others to end.
    ending: Vec<ThreadId>,
}

impl State {
    /// Counts one connection more for an address. Returns false when it has as many as it may.
    fn count_for(&mut self, ip: IpAddr, limits: &Limits) -> bool {
        let count = self.addresses.get(&ip).copied().unwrap_or(0);
        let room = has_room(limits.connections_per_address, count);
        if room {
            self.addresses.insert(ip, count + 1);
        }
        room
    }

    /// Counts one connection less for an address.
    fn count_no_more(&mut self, ip: IpAddr) {
        match self.addresses.get_mut(&ip) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.addresses.remove(&ip)),
        }
    }

    fn others(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values().filter(move |entry| !self.ending.contains(&entry.thread))
    }
}

/// One connection.
pub(crate) struct Entry {
    pub stream: Arc<dyn Stream>,
    pub peer: SocketAddr,
    thread: ThreadId,
    /// A handler is running.
    running: AtomicBool,
    /// It was cut off and has not ended all the same.
    abandoned: AtomicBool,
    doing: Mutex<Doing>,
}

struct Doing {
    closing: bool,
    /// Who sent the request that is being answered.
    client: SocketAddr,
    /// The path of the request that is being answered.
    path: Option<String>,
    websocket: Option<Arc<Outbox>>,
}

/// A connection's place in the roster; dropping it leaves.
pub(crate) struct Place {
    roster: Arc<Roster>,
    number: u64,
    /// The address among whose connections it counts.
    counts_for: Cell<Option<IpAddr>>,
    pub entry: Arc<Entry>,
}

impl Roster {
    /// Takes a connection in, or returns `None` when there are as many as may be, in all or from
    /// its address, or the server is closing. One from a proxy counts for nobody yet. Called on the
    /// thread that will serve it, whose stack is kept small: so not inlined.
    #[inline(never)]
    pub fn admit(
        self: &Arc<Roster>,
        stream: Arc<dyn Stream>,
        peer: SocketAddr,
        limits: &Limits,
        proxy: bool,
    ) -> Option<Place> {
        let mut state = self.lock();
        let counts_for = Some(network(peer.ip())).filter(|_| !proxy);
        if state.closing
            || !has_room(limits.connections, state.entries.len())
            || !counts_for.map_or(true, |ip| state.count_for(ip, limits))
        {
            return None;
        }
        let doing = Mutex::new(Doing { closing: false, client: peer, path: None, websocket: None });
        let (thread, running, abandoned) = (thread::current().id(), false.into(), false.into());
        let entry = Arc::new(Entry { stream, peer, thread, running, abandoned, doing });
        state.count += 1;
        let number = state.count;
        state.entries.insert(number, Arc::clone(&entry));
        Some(Place { roster: Arc::clone(self), number, counts_for: Cell::new(counts_for), entry })
    }

    /// Takes nobody in from here on, and asks everybody to end: WebSockets by a Close frame,
    /// others by ending what they read. A handler that is running finishes.
    pub fn close(&self, close: &CloseFrame) {
        self.lock().closing = true;
        let mut websockets = Vec::new();
        for entry in self.entries() {
            let mut doing = entry.doing();
            doing.closing = true;
            match &doing.websocket {
                Some(outbox) => websockets.push(Arc::clone(outbox)),
                // Fails when the peer has gone already.
                None => drop(entry.stream.shutdown(Shutdown::Read)),
            }
        }
        close_all(websockets.iter(), close);
    }

    /// Ends every connection but that of this thread at once.
    pub fn cut_off(&self) {
        let own = thread::current().id();
        for entry in self.entries().iter().filter(|entry| entry.thread != own) {
            let websocket = entry.doing().websocket.clone();
            websocket.map(|outbox| outbox.close());
            // Fails when the peer has gone already.
            let _ = entry.stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits until all connections have ended, or the longest time. Those whose handlers wait here too,
    /// and those that were given up, are not waited for. Returns those that have not ended: the peer,
    /// and the path if its handler is running.
    pub fn wait_until_empty(&self, longest: Duration) -> Vec<(SocketAddr, Option<String>)> {
        let own = thread::current().id();
        self.lock().ending.push(own);
        self.changed.notify_all();
        let waited_for = |entry: &Arc<Entry>| !entry.abandoned.load(Ordering::Relaxed);
        let mut state = self.wait_while(longest, |state| state.others().any(waited_for));
        let others: Vec<_> = state.others().cloned().collect();
        state.ending.retain(|thread| *thread != own);
        drop(state);
        others.iter().map(|entry| entry.client_and_path()).collect()
    }

    /// Gives up on all connections whose handlers do not wait for the others to end.
    pub fn abandon(&self) {
        let state = self.lock();
        let own = thread::current().id();
        let others = state.others().filter(|entry| entry.thread != own);
        others.for_each(|entry| entry.abandoned.store(true, Ordering::Relaxed));
    }

    /// Waits until all have ended that were not given up, or the longest time: those whose handlers
    /// called the shutdown have an answer to write.
    pub fn wait_for_the_rest(&self, longest: Duration) {
        let given_up = |entry: &Arc<Entry>| entry.abandoned.load(Ordering::Relaxed);
        drop(self.wait_while(longest, |state| !state.entries.values().all(given_up)));
    }

    fn wait_while(&self, longest: Duration, so: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_timeout_while(self.lock(), longest, |state| so(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Returns the number of connections.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        self.lock().entries.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Notes for whom a proxy speaks from here on. Returns false when the client's address has as
    /// many connections as it may.
    #[inline(never)]
    pub fn speaks_for(&self, client: SocketAddr, limits: &Limits) -> bool {
        self.entry.doing().client = client;
        let (old, new) = (self.counts_for.get(), network(client.ip()));
        if old != Some(new) {
            let mut state = self.roster.lock();
            old.into_iter().for_each(|ip| state.count_no_more(ip));
            let counted = state.count_for(new, limits);
            self.counts_for.set(Some(new).filter(|_| counted));
        }
        self.counts_for.get().is_some()
    }
}

impl Entry {
    /// Notes the path of the request that is answered from here on.
    pub fn answering(&self, path: &str) {
        self.doing().path = Some(path.to_string());
    }

    /// Notes whether a handler is running.
    pub fn running(&self, running: bool) {
        self.running.store(running, Ordering::Relaxed);
    }

    fn client_and_path(&self) -> (SocketAddr, Option<String>) {
        let doing = self.doing();
        let running = self.running.load(Ordering::Relaxed);
        (doing.client, doing.path.clone().filter(|_| running))
    }

    /// Notes that the connection has become a WebSocket. Returns whether the server is closing:
    /// then its Close frame is the caller's to send.
    pub fn becomes(&self, websocket: &Arc<Outbox>) -> bool {
        let mut doing = self.doing();
        doing.websocket = Some(Arc::clone(websocket));
        self.running(false);
        doing.closing
    }

    /// Returns whether the server is closing.
    pub fn is_closing(&self) -> bool {
        self.doing().closing
    }

    fn doing(&self) -> MutexGuard<'_, Doing> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the address under which a client's connections are counted. An IPv6 address counts as its
/// /64: a subscriber is given at least that much, and may use another address of it each time.
fn network(ip: IpAddr) -> IpAddr {
    // The prefix of translators (RFC 6052, 2.1) puts all IPv4 clients into one /64, so such an
    // address counts alone.
    const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];
    match ip {
        IpAddr::V6(v6) if v6.segments()[..6] != NAT64 => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        ip => ip,
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.roster.lock();
        state.entries.remove(&self.number);
        if let Some(ip) = self.counts_for.get() {
            state.count_no_more(ip);
        }
        // Nobody waits before, and waking nobody costs a system call.
        if state.closing {
            self.roster.changed.notify_all();
        }
    }
}
