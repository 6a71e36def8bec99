//! Many sessions in many topics, on many threads.

use super::random::Random;
use super::{Script, Stub};
use crate::comms::registry::{join, with_topics, Registration};
use crate::ground::limits::Limits;
use crate::ground::peer::Peer;
use crate::net::outbox::{Outbox, Shared};
use crate::session::cookie::SessionCookie;
use crate::session::id::SessionId;
use crate::session::keys::SessionKeys;
use crate::websocket::frame::FrameHeader;
use crate::Comms;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::thread;

const SESSIONS: usize = 1000;
const TOPICS: usize = 20;
const THREADS: usize = 8;
const ROUNDS: usize = 2000;

struct Client {
    id: SessionId,
    stub: Arc<Stub>,
    registration: Registration,
}

impl Client {
    fn new(shared: &Arc<Shared>) -> Client {
        let keys = SessionKeys::new([[7; 32]]).expect("a long key");
        let session = SessionCookie { name: "s".to_string(), secure: false, keys }.guest();
        let stub = Stub::new(Script::default());
        let peer = Peer::from(IpAddr::from([127, 0, 0, 1]));
        let outbox = Outbox::new(session, stub.clone(), peer, Arc::clone(shared), Vec::new());
        let registration = join(&outbox, 1).expect("room");
        assert!(outbox.open());
        Client { id: session.id, stub, registration }
    }
}

/// Returns the numbers of the messages that a client got, by topic.
fn got(stub: &Stub) -> Vec<(usize, u32)> {
    let output = stub.script().output.clone();
    let (mut rest, mut got) = (&output[..], Vec::new());
    while let Ok(Some((header, used))) = FrameHeader::parse(rest) {
        let (payload, next) = rest[used..].split_at(header.length as usize);
        rest = next;
        let number = payload[1..5].try_into().expect("four bytes");
        got.push((usize::from(payload[0]), u32::from_be_bytes(number)));
    }
    assert_eq!(rest, b"");
    got
}

/// What one thread did.
struct Total {
    told: usize,
    sent: Vec<usize>,
    visitors: Vec<(SessionId, Arc<Stub>)>,
}

#[test]
fn what_1000_sessions_get_in_20_topics_is_what_those_who_sent_were_told() {
    let shared = Shared::new(Limits::default());
    let clients: Vec<Client> = (0..SESSIONS).map(|_| Client::new(&shared)).collect();
    let topics: Vec<_> =
        (0..TOPICS).map(|number| Comms::topic(format!("many/{}", number))).collect();
    // The first twenty stay, each in one topic: they get all that is said there.
    for (client, topic) in clients.iter().zip(&topics) {
        assert!(topic.subscribe(&client.id));
    }
    let number = AtomicU32::new(0);
    let totals: Vec<Total> = thread::scope(|scope| {
        let (clients, topics, number, shared) = (&clients, &topics, &number, &shared);
        let run = move |mut random: Random| {
            let mut total = Total { told: 0, sent: vec![0; TOPICS], visitors: Vec::new() };
            for _ in 0..ROUNDS {
                let which = random.below(TOPICS);
                let client = &clients[TOPICS + random.below(SESSIONS - TOPICS)];
                match random.below(5) {
                    // A session that comes, is in two topics, and goes.
                    3 => {
                        let visitor = Client::new(shared);
                        topics[which].subscribe(&visitor.id);
                        topics[random.below(TOPICS)].subscribe(&visitor.id);
                        thread::yield_now();
                        drop(visitor.registration);
                        total.visitors.push((visitor.id, visitor.stub));
                    }
                    0 | 1 => drop(topics[which].subscribe(&client.id)),
                    2 => drop(topics[which].unsubscribe(&client.id)),
                    _ => {
                        let number = number.fetch_add(1, Ordering::Relaxed).to_be_bytes();
                        let message = [&[which as u8][..], &number].concat();
                        total.told += topics[which].send(message).expect("always Ok");
                        total.sent[which] += 1;
                    }
                }
                (0..random.below(3)).for_each(|_| thread::yield_now());
            }
            total
        };
        let seeds = 1..=THREADS as u64;
        let threads: Vec<_> =
            seeds.map(|seed| scope.spawn(move || run(Random(seed * 0x9e37_79b9)))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });

    let mut arrived = 0;
    let visitors = totals.iter().flat_map(|total| &total.visitors).map(|(_, stub)| stub);
    let stubs = clients.iter().map(|client| &client.stub).chain(visitors);
    for (place, stub) in stubs.enumerate() {
        let got = got(stub);
        arrived += got.len();
        let mut once = HashMap::new();
        got.iter().for_each(|message| *once.entry(message).or_insert(0) += 1);
        assert!(once.values().all(|count| *count == 1), "client {} got one twice", place);
        if place < TOPICS {
            let sent: usize = totals.iter().map(|total| total.sent[place]).sum();
            assert_eq!(got.len(), sent, "client {} was there all the time", place);
            assert!(got.iter().all(|(topic, _)| *topic == place));
        }
    }
    assert_eq!(arrived, totals.iter().map(|total| total.told).sum::<usize>());
    assert!(topics.iter().all(|topic| !topic.is_empty()));
    // Who goes leaves all topics.
    let visitors = totals.iter().flat_map(|total| &total.visitors).map(|(id, _)| *id);
    let ids: Vec<SessionId> = clients.iter().map(|client| client.id).chain(visitors).collect();
    clients.into_iter().for_each(|client| drop(client.registration));
    assert!(topics.iter().all(|topic| topic.is_empty() && topic.members().is_empty()));
    assert!(ids.iter().all(|id| !Comms::is_connected(id)));
    let known = |id| with_topics(|topics, _| topics.knows(id));
    assert!(!ids.iter().any(known));
    assert!(!topics[0].subscribe(&ids[0]), "nobody is there");
}
