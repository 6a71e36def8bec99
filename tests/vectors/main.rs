//! Bytes that a client may send, and what a server must do about them: the tables, a runner for
//! them, and the server that is judged.

mod body;
mod census;
mod closing;
mod fixture;
mod frames;
mod handshake;
mod http;
#[path = "../loopback/mod.rs"]
mod loopback;
mod request;
mod runner;
mod table;
mod transcript;
mod unread;

use census::Census;
use fixture::{impatient, patient, Fixture};
use runner::{run, Delivery};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use table::{Vector, NO_ANSWER};

const WORKERS: usize = 16;

/// The harness may start threads for so many tests meanwhile, which wait for their turn.
const OTHER_TESTS: usize = 4;

/// Longer vectors are not sent byte by byte: it shows nothing more, and takes long.
const SHORT: usize = 600;

#[test]
fn every_vector_gets_the_answer_it_must_get() {
    check(|_| vec![Delivery::Whole]);
}

#[test]
fn a_handler_that_streams_a_body_changes_nothing() {
    check_with(true, |vector| match posts_to_echo(vector) {
        true => vec![Delivery::Whole],
        false => vec![],
    });
}

#[test]
fn a_byte_at_a_time_changes_nothing() {
    check(|vector| match length_of_one_burst(vector) {
        Some(2..=SHORT) => vec![Delivery::Bytewise],
        _ => vec![],
    });
}

#[test]
fn a_cut_in_two_changes_nothing() {
    check(|vector| {
        let length = length_of_one_burst(vector).unwrap_or(0);
        let places =
            (1..length).filter(|&place| place <= 5 || place == length / 2 || place + 5 >= length);
        places.map(Delivery::CutAt).collect()
    });
}

#[test]
fn frames_may_come_in_one_packet_with_the_handshake() {
    check(|vector| match length_of_one_burst(vector) {
        Some(_) if vector.websocket => vec![Delivery::WithHandshake],
        _ => vec![],
    });
}

#[test]
fn the_tables_are_whole_and_name_each_vector_once() {
    let ids: HashSet<_> = vectors().map(|vector| vector.id).collect();
    assert_eq!(vectors().count(), 266);
    assert_eq!(ids.len(), 266);
}

fn vectors() -> impl Iterator<Item = &'static Vector> {
    let tables = [
        request::REQUEST,
        body::BODY,
        http::HTTP,
        handshake::HANDSHAKE,
        frames::FRAMES,
        closing::CLOSING,
        unread::UNREAD,
    ];
    tables.into_iter().flatten()
}

/// The length of a vector without a pause; with a pause it has its cuts already.
fn length_of_one_burst(vector: &Vector) -> Option<usize> {
    match &vector.bursts()[..] {
        [burst] => Some(burst.bytes.len()),
        _ => None,
    }
}

/// The servers; a vector goes to one of them.
struct Servers {
    patient: Fixture,
    impatient: Fixture,
    /// Spoken to by those vectors only that look at its counter of calls.
    quiet: Fixture,
}

impl Servers {
    /// Each of the three keeps up to eight threads that wait for connections.
    const IDLE_THREADS: usize = 3 * 8;

    fn start(streams: bool) -> Servers {
        Servers {
            patient: Fixture::start(patient(), streams),
            impatient: Fixture::start(impatient(), streams),
            quiet: Fixture::start(patient(), streams),
        }
    }

    /// Has each serve a little: what the library starts or opens with its first connections and
    /// keeps is no leak.
    fn warm_up(&self) {
        for server in [&self.patient, &self.impatient, &self.quiet] {
            for vector in [&request::REQUEST[0], &frames::FRAMES[0]] {
                run(vector, Delivery::Whole, server);
            }
        }
    }

    fn for_vector(&self, vector: &Vector) -> &Fixture {
        match (vector.expect.handler_ran, vector.fast) {
            (Some(_), _) => &self.quiet,
            (None, true) => &self.impatient,
            (None, false) => &self.patient,
        }
    }
}

fn posts_to_echo(vector: &Vector) -> bool {
    let path = b" /echo ";
    vector.bursts().iter().any(|burst| burst.bytes.windows(path.len()).any(|seen| seen == path))
}

/// Returns the vector for a handler that streams: one that is told of a body that is cut short can
/// still answer the client.
fn streamed(vector: &Vector) -> Vector {
    match vector.expect.status {
        Some(NO_ANSWER) => Vector { expect: vector.expect.status(400), ..*vector },
        _ => *vector,
    }
}

/// Plays the vectors, each in these ways, and panics with a list of all disagreements.
fn check(deliveries: impl Fn(&Vector) -> Vec<Delivery>) {
    check_with(false, deliveries);
}

/// Plays them with a handler of bodies that `streams`.
fn check_with(streams: bool, deliveries: impl Fn(&Vector) -> Vec<Delivery>) {
    // One run at a time: the census at its end counts the threads of the whole process.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);

    let bare = Census::settled();
    let servers = Servers::start(streams);
    servers.warm_up();
    let serving = Census::settled();
    let vectors: Vec<_> =
        vectors().map(|vector| if streams { streamed(vector) } else { *vector }).collect();
    let jobs: Vec<_> = vectors
        .iter()
        .flat_map(|vector| deliveries(vector).into_iter().map(move |way| (vector, way)))
        .collect();
    let mut disagreements = play(&jobs, &servers);
    disagreements.extend(serving.what_stays(Servers::IDLE_THREADS));
    drop(servers);
    disagreements.extend(bare.what_stays(OTHER_TESTS));
    assert!(
        disagreements.is_empty(),
        "{} of {} runs disagree\n{}\n",
        disagreements.len(),
        jobs.len(),
        disagreements.join("\n")
    );
}

/// Runs the jobs on some threads; returns a line for each disagreement, in the order of the jobs.
fn play(jobs: &[(&Vector, Delivery)], servers: &Servers) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let work = || loop {
        let nth = next.fetch_add(1, Ordering::SeqCst);
        let (vector, delivery) = match jobs.get(nth) {
            Some(job) => *job,
            None => return,
        };
        let wrong = run(vector, delivery, servers.for_vector(vector));
        if !wrong.is_empty() {
            let line = format!("{} ({:?}) | {}", vector.id, delivery, wrong.join("; "));
            found.lock().expect("no panic under this lock").push((nth, line));
        }
    };
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    let mut found = found.into_inner().expect("no panic under this lock");
    found.sort();
    found.into_iter().map(|(_, line)| line).collect()
}

loopback::wire::transports! {
    all {
        every_vector_gets_the_answer_it_must_get
        a_handler_that_streams_a_body_changes_nothing
        frames_may_come_in_one_packet_with_the_handshake
    }
    only over TCP: "the parsers are given the same pieces, whatever has carried them" {
        a_byte_at_a_time_changes_nothing
        a_cut_in_two_changes_nothing
    }
    only over TCP: "it is about the tables" {
        the_tables_are_whole_and_name_each_vector_once
    }
}
