//! Measures one cell with one server, once.

use crate::args::Plan;
use crate::cells::{Cell, Kind, MESSAGE};
use crate::load::deflate;
use crate::load::echo::Echo;
use crate::load::frames::{OpCode, Ring};
use crate::load::idle::one_echo_each;
use crate::load::open::open;
use crate::load::requests::Requests;
use crate::load::room::Room;
use crate::load::stalled::{self, Order};
use crate::load::storm::Storm;
use crate::load::Load;
use crate::proc::{own_cpu, OneCore, Process};
use crate::servers::{Server, Wire};
use std::hint::black_box;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

const DIFFERENT: usize = 64;
/// How much longer it takes when not even the first messages are back.
const MORE_WARM_UP: Duration = Duration::from_millis(20);
/// Time for what a server does after its last answer.
const SETTLE: Duration = Duration::from_millis(300);
/// Bytes of a message, and its pace, past clients that do not read: 6.5 MiB a second for each.
const STALLED_SIZE: usize = 16 * 1024;
const STALLED_INTERVAL: Duration = Duration::from_micros(2400);

/// Returns the numbers of the cell's columns.
pub fn measure(cell: &Cell, server: Server, plan: &Plan) -> io::Result<Vec<f64>> {
    if cell.kind == Kind::Unmask {
        return Ok(vec![unmask(plan.measured)]);
    }
    let wire = server.wire();
    // Taken before the child starts, which inherits it.
    let one_core = match cell.kind {
        Kind::Echo { one_core: true, .. } => Some(OneCore::take()?),
        _ => None,
    };
    let mut process = Process::start(server.command(cell.mode())?)?;
    let address = process.address;
    let ring_of = |first, bytes| match wire {
        Wire::Deflate => deflate::learn(&mut open(address, wire, 1)?[0], first, bytes, DIFFERENT),
        _ => Ok(Ring::new(wire, OpCode::Text, first, bytes, DIFFERENT)),
    };
    let numbers = match cell.kind {
        Kind::Echo { connections, in_flight, bytes, .. } => {
            let streams = open(address, wire, connections)?;
            let mut load = Echo::new(streams, ring_of(b'e', bytes)?, in_flight as u64)?;
            let mut numbers = metered(&process, plan, &mut load)?;
            numbers.extend(load.plain());
            numbers
        }
        Kind::Broadcast { members, in_flight, bytes, .. } => {
            let (ring, echoed) = (ring_of(b'b', bytes)?, ring_of(b'e', bytes)?);
            let mut streams = open(address, wire, members)?;
            // Who has an answer has been told of, and is in the room.
            one_echo_each(&mut streams, &echoed)?;
            let mut load = Room::new(streams, ring, in_flight)?;
            let mut numbers = metered(&process, plan, &mut load)?;
            numbers.extend(load.plain());
            numbers
        }
        Kind::Flood { kib, in_flight } => {
            let ring = Ring::new(wire, OpCode::Binary, b'e', kib * 1024, in_flight);
            let streams = open(address, wire, 1)?;
            metered(&process, plan, &mut Echo::new(streams, ring, in_flight as u64)?)?
        }
        Kind::Requests { connections, ask } => {
            metered(&process, plan, &mut Requests::new(address, connections, ask)?)?
        }
        Kind::Storm { visitors } => {
            let ring = ring_of(b'e', MESSAGE)?;
            metered(&process, plan, &mut Storm::new(address, wire, ring, visitors)?)?
        }
        Kind::Idle { connections, bytes } => {
            let ring = ring_of(b'e', bytes)?;
            // One visit before, so that what all connections share is there.
            one_echo_each(&mut open(address, wire, 1)?, &ring)?;
            sleep(SETTLE);
            let (memory, threads) = (process.memory_kib()?, process.threads()?);
            let mut streams = open(address, wire, connections)?;
            one_echo_each(&mut streams, &ring)?;
            sleep(SETTLE);
            let each = (process.memory_kib()? - memory) / connections as f64;
            vec![each, process.threads()? - threads]
        }
        Kind::Stalled { stalled, clients } => {
            let still = open(address, wire, stalled)?;
            let readers = open(address, wire, clients - stalled)?;
            sleep(SETTLE);
            let before = process.memory_kib()?;
            let order = Order {
                messages: (plan.stalled_volume / STALLED_SIZE) as u64,
                size: STALLED_SIZE,
                interval: STALLED_INTERVAL,
            };
            let outcome = stalled::run(&mut process, readers, still, &order)?;
            vec![
                outcome.p99.as_secs_f64() * 1e3,
                outcome.told.longest.as_secs_f64() * 1e3,
                process.peak_memory_kib()? - before,
                outcome.closed as f64,
                (outcome.told.most - outcome.told.least) as f64,
            ]
        }
        Kind::Unmask => Vec::new(),
    };
    drop(one_core);
    Ok(numbers)
}

/// Runs a load and returns what is done a second, the server's time for each in microseconds, and
/// how busy the client was in percent.
fn metered(process: &Process, plan: &Plan, load: &mut impl Load) -> io::Result<Vec<f64>> {
    load.run_until(Instant::now() + plan.warm_up)?;
    while load.done() < load.in_flight() {
        load.run_until(Instant::now() + MORE_WARM_UP)?;
    }
    let (done, server, own) = (load.done(), process.cpu()?, own_cpu()?);
    let start = Instant::now();
    load.run_until(start + plan.measured)?;
    let elapsed = start.elapsed().as_secs_f64();
    let done = load.done() - done;
    let server = (process.cpu()? - server).as_secs_f64();
    let own = (own_cpu()? - own).as_secs_f64();
    if done == 0.0 {
        return Err(io::Error::other("nothing was done in the measured time"));
    }
    Ok(vec![done / elapsed, server / done * 1e6, own / elapsed * 100.0])
}

/// Returns how many bytes `apply_mask` does a nanosecond.
fn unmask(measured: Duration) -> f64 {
    let mut payload = vec![b'z'; 64 * 1024];
    let (start, mut bytes) = (Instant::now(), 0);
    while start.elapsed() < measured {
        for _ in 0..100 {
            sockling::websocket::apply_mask(black_box(&mut payload), black_box([1, 2, 3, 4]));
        }
        bytes += 100 * payload.len();
    }
    bytes as f64 / start.elapsed().as_nanos() as f64
}
