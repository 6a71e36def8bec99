//! Many threads on one outbox and on the map, which yield at random.

use super::random::Random;
use super::{deliver, guest, Script, Stub};
use crate::comms::registry::{everyone, join, outboxes, NotJoined};
use crate::ground::limits::Limits;
use crate::ground::peer::Peer;
use crate::net::outbox::{Outbox, Patience, Refused, Shared};
use crate::net::queue::Owner;
use crate::session::cookie::{Session, SessionCookie};
use crate::session::keys::SessionKeys;
use crate::session::revoked::{self, Ended};
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::frame::{Frame, FrameHeader, OpCode};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const THREADS: usize = 8;
const MESSAGES: usize = 200;

impl Random {
    /// Lets other threads run, or not.
    fn pause(&mut self) {
        (0..self.below(3)).for_each(|_| thread::yield_now());
    }

    /// Returns what so many writes do: most take all.
    fn writes(&mut self, count: usize) -> Vec<Result<usize, ErrorKind>> {
        let mut write = || match self.below(20) {
            0 => Err(ErrorKind::Interrupted),
            1 => Err(ErrorKind::WouldBlock),
            2..=4 => Ok(1 + self.below(30)),
            _ => Ok(usize::MAX),
        };
        (0..count).map(|_| write()).collect()
    }
}

/// Runs on so many threads at once, each with its number and its own random numbers; returns what
/// they return.
fn on_threads<T: Send>(seed: u64, run: impl Fn(usize, &mut Random) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let run = &run;
        let start = |number: usize| {
            let mut random = Random(seed * 1000 + number as u64 + 1);
            scope.spawn(move || run(number, &mut random))
        };
        let threads: Vec<_> = (0..THREADS).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

pub(super) fn outbox(
    session: Session,
    writes: Vec<Result<usize, ErrorKind>>,
) -> (Arc<Outbox>, Arc<Stub>) {
    let stub = Stub::new(Script { writes: writes.into(), ..Script::default() });
    let peer = Peer::from(IpAddr::from([127, 0, 0, 1]));
    let shared = Shared::new(Limits::default());
    (Outbox::new(session, stub.clone(), peer, shared, Vec::new()), stub)
}

/// Sends by one of the ways that there are. Returns whether it was taken.
fn send(outbox: &Arc<Outbox>, payload: &[u8], random: &mut Random) -> bool {
    let frame = Frame::new(OpCode::Binary, payload);
    let taken = loop {
        let sent = match random.below(4) {
            0 => {
                let corked = outbox.append(
                    &frame,
                    Owner::Batch(1 + payload[0] as usize),
                    &mut Patience::default(),
                );
                random.pause();
                outbox.write_pending();
                corked.map(drop)
            }
            _ => deliver(outbox, &frame),
        };
        match sent {
            Err(Refused::Full(_)) => drop(outbox.wait_for_room(frame.len(), None)),
            result => break result.is_ok(),
        }
    };
    random.pause();
    taken
}

/// Returns the numbers that each thread sent, in the order in which they were written, and whether
/// a Close frame came after them.
fn written(stub: &Stub) -> (Vec<Vec<usize>>, bool) {
    let output = stub.script().output.clone();
    let (mut numbers, mut rest, mut closed) = (vec![Vec::new(); THREADS], &output[..], false);
    while let Ok(Some((header, used))) = FrameHeader::parse(rest) {
        assert!(header.fin && header.masking_key.is_none() && !closed, "{:?}", header);
        if rest.len() - used < header.length as usize {
            // The end came in the middle of a write.
            return (numbers, closed);
        }
        let (payload, next) = rest[used..].split_at(header.length as usize);
        rest = next;
        match header.opcode {
            OpCode::Close => closed = true,
            _ => {
                assert!(payload[3..].iter().all(|byte| *byte == payload[0]), "{:?}", payload);
                let number = u16::from_be_bytes([payload[1], payload[2]]);
                numbers[payload[0] as usize].push(usize::from(number));
            }
        }
    }
    (numbers, closed)
}

fn payload(thread: usize, number: usize, random: &mut Random) -> Vec<u8> {
    let [high, low] = (number as u16).to_be_bytes();
    let mut payload = vec![thread as u8, high, low];
    payload.resize(3 + random.below(200), thread as u8);
    payload
}

#[test]
fn what_many_threads_send_is_written_whole_once_and_in_order() {
    for seed in 0..20 {
        let (outbox, stub) = outbox(guest(), Random(seed + 1).writes(1500));
        assert!(outbox.open());
        on_threads(seed, |thread, random| {
            for number in 0..MESSAGES {
                let payload = payload(thread, number, random);
                assert!(send(&outbox, &payload, random), "nobody closed it");
            }
        });
        let close = CloseFrame { code: CloseCode::NORMAL, reason: String::new() };
        assert!(outbox.queue_close(&close));
        outbox.write_pending();
        assert!(outbox.wait_until_written());
        let (numbers, closed) = written(&stub);
        assert!(closed);
        for of_thread in numbers {
            assert_eq!(of_thread, (0..MESSAGES).collect::<Vec<_>>(), "seed {}", seed);
        }
        outbox.close();
    }
}

#[test]
fn an_outbox_that_is_closed_while_many_send_keeps_nothing_and_tells_all_who_come_later() {
    for seed in 0..20 {
        let (outbox, stub) = outbox(guest(), Random(seed + 1).writes(1500));
        assert!(outbox.open());
        let end = Random(seed + 7).below(THREADS * MESSAGES);
        let sent = AtomicUsize::new(0);
        let taken = on_threads(seed, |thread, random| {
            let take = |number: &usize| {
                if sent.fetch_add(1, Ordering::Relaxed) == end {
                    outbox.close();
                }
                let payload = payload(thread, *number, random);
                send(&outbox, &payload, random)
            };
            (0..MESSAGES).take_while(take).count()
        });
        assert!(!send(&outbox, &[0, 0, 0], &mut Random(1)), "it is closed");
        assert_eq!(outbox.backlog(), 0);
        // A flusher may still have to see it.
        let end = Instant::now() + Duration::from_secs(20);
        while outbox.is_behind() {
            assert!(Instant::now() < end, "seed {}", seed);
            thread::yield_now();
        }
        let (numbers, closed) = written(&stub);
        assert!(!closed);
        for (of_thread, taken) in numbers.iter().zip(taken) {
            assert!(of_thread.iter().copied().eq(0..of_thread.len()), "no gap before the end");
            assert!(of_thread.len() <= taken);
        }
    }
}

#[test]
fn who_joins_and_leaves_on_many_threads_is_in_the_map_exactly_while_it_is_there() {
    const MOST: usize = 5;
    let keys = SessionKeys::new([[7; 32]]).expect("a long key");
    let cookie = SessionCookie { name: "s".to_string(), secure: false, keys };
    for seed in 0..10 {
        let sessions = [cookie.guest(), cookie.guest(), cookie.guest()];
        let refused = on_threads(seed, |_, random| {
            let (mut refused, mut inside) = (0, Vec::new());
            for _ in 0..300 {
                let which = random.below(sessions.len());
                let session = &sessions[which];
                let (outbox, _) = outbox(*session, Vec::new());
                match join(&outbox, MOST) {
                    Ok(registration) => {
                        let found = outboxes(&session.id).expect("somebody is there");
                        assert!(found.iter().any(|member| Arc::ptr_eq(member, &outbox)));
                        assert!(found.len() <= MOST);
                        inside.push((registration, outbox, which));
                    }
                    Err(why) => {
                        assert_eq!(why, NotJoined::TooMany);
                        refused += 1;
                    }
                }
                random.pause();
                while inside.len() > random.below(3) {
                    let (registration, outbox, which) =
                        inside.swap_remove(random.below(inside.len()));
                    drop(registration);
                    let left = outboxes(&sessions[which].id);
                    let gone = |member: &Arc<Outbox>| !Arc::ptr_eq(member, &outbox);
                    assert!(left.map_or(true, |left| left.iter().all(gone)));
                }
            }
            refused
        });
        assert!(refused.iter().sum::<usize>() > 0, "the ceiling was met");
        for session in &sessions {
            assert!(outboxes(&session.id).is_none());
            assert!(everyone().iter().all(|outbox| outbox.session.id != session.id));
        }
        // Who was ended cannot come back, however many try.
        let Session { id, login, issued, .. } = &sessions[0];
        revoked::end(id, Ended::Login(*login, *issued));
        on_threads(seed, |_, _| {
            let (outbox, _) = outbox(sessions[0], Vec::new());
            assert!(matches!(join(&outbox, 0), Err(NotJoined::Revoked)));
        });
    }
}

#[test]
fn threads_are_refused_before_the_systems_mappings_for_them_run_out() {
    use crate::ground::system::fits;
    // Linux's default: std ends the process at some 16,380 threads.
    assert!(fits(14_000, Some(65_530)) && !fits(14_400, Some(65_530)));
    assert!(fits(28_000, Some(131_072)) && !fits(usize::MAX, Some(131_072)));
    assert!(!fits(1, Some(0)) && fits(usize::MAX, None), "no such system tells");
}
