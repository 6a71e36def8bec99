//! Every order in which up to three threads, two of them with a batch, can go through the write path:
//! a search of all states that the queue and its threads can be in. It takes the queue's own steps; of
//! the threads, it knows between which of them another one may run, and what a write can come to.

use crate::net::queue::{Life, Next, Owner, Queue};
use crate::websocket::frame::{Frame, OpCode};
use std::collections::hash_map::DefaultHasher;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::mem::{discriminant, replace, take};

const THREADS: usize = 3;

/// What a thread does, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Act {
    /// Sends a message, and writes it unless another thread writes.
    Send,
    /// Leaves a message for the end of its batch.
    Cork,
    /// Ends the batch.
    Flush,
    /// Answers a ping.
    Pong,
    /// Appends a message for a courier, and sends one.
    Carry,
    /// Sends a Close frame.
    Close,
    /// Shuts the socket.
    Shut,
    /// Waits until all is written.
    Wait,
}

/// Between which steps a thread is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum At {
    /// It has no role.
    Free,
    /// It is about to take the role if there is something to write.
    TakeRole,
    /// It found a client that is not behind, and is about to send a pong.
    SendPong,
    /// It has the role. It is about to write, has written so much of it, or has an error.
    Write(Vec<u8>),
    Wrote(Vec<u8>, usize),
    Failed(Vec<u8>),
    /// It is about to start a flusher, since a write came up short or it has written enough.
    HandOver {
        stalled: bool,
    },
    /// It drains the queue: as a flusher, or because none could be started.
    Next {
        stays: bool,
        flusher: bool,
    },
    Drain {
        lot: Vec<u8>,
        stays: bool,
        flusher: bool,
    },
    Short {
        lot: Vec<u8>,
        taken: usize,
    },
    Patient {
        rest: Vec<u8>,
    },
    /// It is a flusher that waits for more.
    Stays,
    /// It waits until all is written.
    Waits,
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Thread {
    acts: Vec<Act>,
    at: At,
    /// The outbox is on its list.
    listed: bool,
}

#[derive(Clone, Hash)]
struct State {
    queue: Queue,
    threads: Vec<Thread>,
    /// What the socket took, and whether it is shut.
    socket: Vec<u8>,
    shut: bool,
    /// The messages in the order in which they were taken, and whether a Close frame was.
    taken: Vec<u8>,
    closed: bool,
    /// The server has closed or shut the connection itself: a failed write is neither.
    ended: bool,
    /// The server's total.
    total: usize,
    life: Life,
}

/// Tells owners apart, but not since when a client is behind.
impl Hash for Owner {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        discriminant(self).hash(hasher);
        if let Owner::Batch(id) = self {
            id.hash(hasher);
        }
    }
}

/// Tells lives apart, but not since when a Close frame is written.
impl Hash for Life {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        discriminant(self).hash(hasher);
    }
}

/// Returns whether a thread has the role of the writer there.
fn has_role(at: &At) -> bool {
    !matches!(at, At::Free | At::TakeRole | At::SendPong | At::Waits | At::Ended)
}

impl State {
    fn new(programs: &[&[Act]]) -> State {
        let thread = |acts: &&[Act]| {
            let acts = acts.iter().rev().copied().collect();
            Thread { acts, at: At::Free, listed: false }
        };
        let mut queue = Queue::opening(Vec::new());
        assert_eq!(queue.first_lot(), Next::Write(Vec::new()));
        assert_eq!(queue.written(Vec::new(), false), Next::Leave);
        let (threads, taken) = (programs.iter().map(thread).collect(), Vec::new());
        let (socket, life) = (Vec::new(), Life::Open);
        let (shut, closed, ended, total) = Default::default();
        State { queue, threads, socket, shut, taken, closed, ended, total, life }
    }

    /// Runs a step on the queue, as `Outbox::change` does.
    fn change<T>(&mut self, step: impl FnOnce(&mut Queue) -> T) -> T {
        let result = step(&mut self.queue);
        let (more, awaited) = self.queue.publish();
        self.total = self.total.wrapping_add(more);
        assert!(self.life <= self.queue.life(), "a life only goes forward");
        self.life = self.queue.life();
        if awaited {
            for thread in &mut self.threads {
                thread.at = match replace(&mut thread.at, At::Ended) {
                    At::Stays => At::Next { stays: true, flusher: true },
                    At::Waits => {
                        thread.acts.push(Act::Wait);
                        At::Free
                    }
                    at => at,
                };
            }
        }
        result
    }

    fn append(&mut self, run: impl FnOnce(&mut Queue, &Frame) -> At) -> At {
        let number = self.taken.len() as u8;
        if self.queue.life() != Life::Open {
            return At::Free;
        }
        self.taken.push(number);
        self.change(|queue| run(queue, &Frame::new(OpCode::Binary, &[number])))
    }

    fn shut(&mut self) {
        let open = self.change(Queue::shut);
        self.shut |= open;
        self.ended = true;
    }

    fn lose(&mut self) {
        let open = self.change(Queue::lose);
        self.shut |= open;
    }

    /// Returns all that can come of a thread's next step.
    fn steps(&self, who: usize) -> Vec<State> {
        let mut next = self.clone();
        let at = replace(&mut next.threads[who].at, At::Ended);
        let mut all = Vec::new();
        let mut add = |mut state: State, at: At| {
            state.threads[who].at = at;
            all.push(state);
        };
        match at {
            At::Free => {
                if let Some(act) = next.threads[who].acts.pop() {
                    let at = next.act(who, act);
                    add(next, at);
                }
            }
            At::TakeRole => {
                let at = role(next.change(Queue::take_role), false);
                add(next, at);
            }
            At::SendPong => {
                let pong = Frame::new(OpCode::Pong, b"");
                let at = match self.life {
                    Life::Open => role(next.change(|queue| queue.send(&pong)), false),
                    _ => At::Free,
                };
                add(next, at);
            }
            At::Write(lot) => {
                if !self.shut {
                    for taken in [0, 1, lot.len()] {
                        let mut state = next.clone();
                        state.socket.extend_from_slice(&lot[..taken]);
                        add(state, At::Wrote(lot.clone(), taken));
                    }
                }
                add(next, At::Failed(lot));
            }
            At::Wrote(lot, taken) if taken < lot.len() => {
                let at = role(next.change(|queue| queue.came_up_short(lot, taken)), true);
                add(next, at);
            }
            At::Wrote(lot, _) => {
                for enough in [false, true] {
                    let mut state = next.clone();
                    let at = role(state.change(|queue| queue.written(lot.clone(), enough)), false);
                    add(state, at);
                }
            }
            At::Failed(lot) => {
                next.lose();
                add(next, At::Wrote(lot.clone(), lot.len()));
            }
            At::HandOver { stalled } => {
                let flusher = At::Next { stays: stalled, flusher: true };
                let mut state = next.clone();
                state.threads.push(Thread { acts: Vec::new(), at: flusher, listed: false });
                add(state, At::Free);
                // No thread can be started.
                if stalled {
                    next.shut();
                }
                add(next, At::Next { stays: false, flusher: false });
            }
            At::Next { stays, flusher } => {
                let at = match next.change(|queue| queue.next_lot(stays)) {
                    Next::Write(lot) => At::Drain { lot, stays, flusher },
                    Next::Stay => {
                        next.queue.awaited = true;
                        At::Stays
                    }
                    Next::Leave => At::Free,
                    Next::HandOver => panic!("it has the role"),
                };
                add(next, at);
            }
            At::Drain { lot, stays, flusher } => {
                if !self.shut {
                    let mut state = next.clone();
                    state.socket.extend_from_slice(&lot);
                    add(state, At::Next { stays, flusher });
                    let mut state = next.clone();
                    state.socket.push(lot[0]);
                    match flusher {
                        true => add(state, At::Short { lot, taken: 1 }),
                        false => {
                            state.shut();
                            add(state, At::Next { stays, flusher });
                        }
                    }
                }
                next.lose();
                add(next, At::Next { stays, flusher });
            }
            At::Short { lot, taken } => {
                next.change(Queue::fall_behind);
                add(next, At::Patient { rest: lot[taken..].to_vec() });
            }
            At::Patient { rest } => {
                if !self.shut {
                    let mut state = next.clone();
                    state.socket.extend_from_slice(&rest);
                    add(state, At::Next { stays: true, flusher: true });
                }
                let mut state = next.clone();
                state.lose();
                add(state, At::Next { stays: true, flusher: true });
                // The deadline has passed.
                next.shut();
                add(next, At::Next { stays: true, flusher: true });
            }
            At::Stays | At::Waits | At::Ended => {}
        }
        all
    }

    /// Begins to do something. Returns where the thread is then.
    fn act(&mut self, who: usize, act: Act) -> At {
        match act {
            Act::Send => self.append(|queue, frame| role(queue.send(frame), false)),
            Act::Cork => {
                let mut listed = false;
                let at = self.append(|queue, frame| {
                    listed = queue.append(frame, Owner::Batch(who));
                    At::Free
                });
                self.threads[who].listed |= listed;
                at
            }
            Act::Flush => match take(&mut self.threads[who].listed) {
                true => At::TakeRole,
                false => At::Free,
            },
            Act::Carry => self.append(|queue, frame| match queue.append(frame, Owner::Courier) {
                true => At::TakeRole,
                false => At::Free,
            }),
            Act::Pong => {
                let pong = Frame::new(OpCode::Pong, b"");
                match self.change(|queue| queue.keep_pong(&pong)) {
                    true => At::Free,
                    false => At::SendPong,
                }
            }
            Act::Close => {
                let close = Frame::new(OpCode::Close, b"");
                self.closed |= self.change(|queue| queue.close(&close));
                self.ended = true;
                At::TakeRole
            }
            Act::Shut => {
                self.shut();
                At::Free
            }
            Act::Wait => match self.queue.bytes() > 0 {
                true => {
                    self.queue.awaited = true;
                    At::Waits
                }
                false => At::Free,
            },
        }
    }

    /// Returns what the clock can do: it has a courier write what has been corked for long.
    fn clock(&self) -> Vec<State> {
        let late = |who: &usize| self.threads[*who].listed;
        let courier = Thread { acts: Vec::new(), at: At::TakeRole, listed: false };
        let take = |who: usize| {
            let mut state = self.clone();
            state.threads[who].listed = false;
            state.change(Queue::leave_to_courier);
            state.threads.push(courier.clone());
            state
        };
        (0..self.threads.len()).filter(late).map(take).collect()
    }

    /// Checks what must be so in every state.
    fn check(&self) {
        let writers = self.threads.iter().filter(|thread| has_role(&thread.at)).count();
        assert_eq!(writers, usize::from(self.queue.has_writer()), "one writer, or none");
        let waits = |at: &At| self.threads.iter().any(|thread| thread.at == *at);
        let pending = self.queue.pending() > 0;
        assert!(
            !(waits(&At::Stays) && pending),
            "a flusher sleeps while there is something to write"
        );
        assert!(
            !(waits(&At::Waits) && self.queue.bytes() == 0),
            "a thread waits for what has been"
        );
        let listed = |thread: &Thread| thread.listed || thread.at == At::TakeRole;
        let owned = self.queue.has_writer() || self.threads.iter().any(listed);
        assert!(!pending || owned, "something is pending, and no thread will write it");
        assert!(!(pending && self.queue.is_shut()), "something is pending, and lost");
        assert_eq!(self.queue.is_shut(), self.shut, "the socket is shut, or it is not");
        assert_eq!(
            self.queue.is_closing(),
            self.ended,
            "what comes is handled until the server ends"
        );
        let late = self.queue.life() == Life::Closing && self.queue.bytes() == 0;
        assert!(!late, "all is written, and the wait for an answer has not begun");
        self.check_socket();
    }

    /// Checks that the socket took whole frames in the order in which they were sent.
    fn check_socket(&self) {
        let (mut rest, mut messages, mut closed) = (&self.socket[..], 0, false);
        loop {
            assert!(!closed || rest.is_empty(), "a frame follows the Close frame");
            rest = match *rest {
                [0x82, 1, number, ref rest @ ..] => {
                    assert_eq!(
                        number, self.taken[messages],
                        "messages in order, none lost or doubled"
                    );
                    messages += 1;
                    rest
                }
                [0x8a, 0, ref rest @ ..] => rest,
                [0x88, 0, ref rest @ ..] => {
                    closed = true;
                    rest
                }
                [] | [0x82 | 0x88 | 0x8a] | [0x82, 1] => break,
                _ => panic!("no frame: {:?}", rest),
            };
        }
        let sent = matches!(self.queue.life(), Life::CloseSent { .. });
        assert!(!sent || closed, "the wait for an answer begins before the Close frame is written");
        let done = |thread: &Thread| thread.acts.is_empty() && thread.at == At::Free;
        if !self.shut && !self.threads.iter().any(|thread| !done(thread) || thread.listed) {
            assert_eq!((messages, closed), (self.taken.len(), self.closed), "all is written");
            assert_eq!(self.queue.counts.bytes_out, self.socket.len() as u64);
        }
        if self.threads.iter().all(done) && !self.threads.iter().any(|thread| thread.listed) {
            assert_eq!((self.total, self.queue.bytes()), (0, 0), "nothing counts any more");
        }
    }

    /// Drops the flushers and couriers that have ended, and orders the others: which is which makes no
    /// difference.
    fn tidy(&mut self) {
        let mut number = 0;
        self.threads.retain(|thread| {
            number += 1;
            number <= THREADS || thread.at != At::Free
        });
        self.threads[THREADS..].sort();
    }
}

/// Returns where a thread is that the queue has told what comes next.
fn role(next: Next, stalled: bool) -> At {
    match next {
        Next::Write(lot) => At::Write(lot),
        Next::HandOver => At::HandOver { stalled },
        Next::Leave => At::Free,
        Next::Stay => panic!("it is no flusher"),
    }
}

/// Visits every state that the programs can come to. Returns how many there are.
fn explore(programs: &[&[Act]]) -> usize {
    let (mut seen, mut open) = (HashSet::new(), vec![State::new(programs)]);
    while let Some(mut state) = open.pop() {
        state.tidy();
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        if !seen.insert(hasher.finish()) {
            continue;
        }
        state.check();
        let steps = (0..state.threads.len()).flat_map(|who| state.steps(who));
        let mut next: Vec<State> = steps.chain(state.clock()).collect();
        if next.is_empty() {
            // All that is left is time: a flusher that stays does so for a second.
            let stays = |thread: &&mut Thread| thread.at == At::Stays;
            let mut later = state.clone();
            if let Some(flusher) = later.threads.iter_mut().find(stays) {
                flusher.at = At::Next { stays: false, flusher: true };
                next.push(later);
            }
            let waits = state.threads.iter().any(|thread| thread.at == At::Waits);
            assert!(!waits || !next.is_empty(), "a thread waits for ever");
        }
        open.append(&mut next);
    }
    seen.len()
}

#[test]
fn in_every_order_of_three_threads_nothing_is_lost_doubled_or_left_and_nobody_waits_in_vain() {
    use Act::*;
    const BATCH: usize = 1;
    const PROGRAMS: [&[Act]; 7] =
        [&[Send, Send], &[Cork, Flush], &[Pong], &[Carry], &[Close], &[Shut], &[Wait]];
    let mut states = explore(&[&[Cork, Cork, Flush], &[Cork, Flush, Cork, Flush], &[Send]]);
    for (number, first) in PROGRAMS.iter().enumerate() {
        for (other, second) in PROGRAMS.iter().enumerate().skip(number) {
            // Three batches would differ from two in nothing but the number of states.
            let third = if number == BATCH { other.max(BATCH + 1) } else { other };
            for third in &PROGRAMS[third..] {
                states += explore(&[first, second, third]);
            }
        }
    }
    assert!(states > 300_000, "{} states: the search has become shallow", states);
}
