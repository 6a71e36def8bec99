//! Several processes and a Redis: what is sent in one arrives in all, once and in order; what happens
//! when Redis or a process dies; and what a hostile publisher can do.
//!
//! Each test starts a `redis-server` of its own on a free port, and processes that are this binary
//! again. Without a `redis-server` they are skipped with a word, unless `SOCKLING_REDIS_TESTS=required`.

#[allow(dead_code)] // another program uses the rest
mod engine;
#[path = "../../../../tests/loopback/mod.rs"]
mod loopback;
mod node;
mod slow;

use engine::Engine;
use loopback::{wait_until, Client};
use node::{Node, Options};
use slow::SlowWay;
use sockling::limits::ENVELOPE;
use sockling::relay::{Bits, Content, Envelope, SessionName, Target};
use sockling_redis::{ANSWER, BATCH, CONNECT, GAP_PACE, LONGEST_PAUSE, REUNION, SILENCE};
use std::time::{Duration, Instant};

/// What a process does; started by the tests, and nothing by itself.
#[test]
#[ignore = "a part of the other tests"]
fn a_process() {
    node::run();
}

/// Returns nothing where there is no Redis, and says so.
macro_rules! engine {
    () => {
        match Engine::start() {
            Some(engine) => engine,
            None => return,
        }
    };
}

const SESSIONS: usize = 300;
const USERS: usize = 200;
const TOPICS: usize = 30;
const MESSAGES: usize = 10_000;
const SENDERS: usize = 6;

/// Who gets a message of the great test.
enum To {
    One(usize),
    Topic(usize),
    Everybody,
}

fn receiver(message: usize) -> To {
    match message % 20 {
        0 => To::Everybody,
        1..=5 => To::Topic(message * 11 % TOPICS),
        _ => To::One(message * 7 % SESSIONS),
    }
}

#[test]
fn ten_thousand_messages_to_three_hundred_sessions_on_three_processes_arrive_once_and_in_order() {
    let engine = engine!();
    let nodes: Vec<Node> = (0..3).map(|_| Node::start(&engine.url(), Options::default())).collect();
    // Sessions 0 to 199 are users, the rest guests; neighbours are on different processes, and ten
    // neighbours in one topic.
    let mut clients = Vec::new();
    let mut names = Vec::new();
    for session in 0..SESSIONS {
        let node = &nodes[session % nodes.len()];
        let mut client = match session < USERS {
            true => node.client(&node.login(session)),
            false => node.client(""),
        };
        client.text("name");
        names.push(client.next_text());
        client.text(&format!("join room/{}", session / (SESSIONS / TOPICS)));
        assert_eq!(client.next_text(), "true");
        clients.push(client);
    }
    nodes.iter().for_each(Node::wait_until_ready);

    // What each client is to get of each sender, in order.
    let mut expected = vec![vec![Vec::new(); SENDERS]; SESSIONS];
    for message in 0..MESSAGES {
        let sender = message % SENDERS;
        match receiver(message) {
            To::One(session) => expected[session][sender].push(message),
            To::Topic(topic) => {
                let ten = SESSIONS / TOPICS;
                let members = &mut expected[topic * ten..(topic + 1) * ten];
                members.iter_mut().for_each(|of| of[sender].push(message));
            }
            To::Everybody => expected.iter_mut().for_each(|of| of[sender].push(message)),
        }
    }
    let deliveries: usize = expected.iter().flatten().map(Vec::len).sum();

    let begun = Instant::now();
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (names, node) = (&names, &nodes[sender % nodes.len()]);
            scope.spawn(move || {
                let mut orders = String::new();
                for message in (sender..MESSAGES).step_by(SENDERS) {
                    orders += &match receiver(message) {
                        To::One(session) => format!("one {} {}\n", names[session], message),
                        To::Topic(topic) => format!("topic room/{} {}\n", topic, message),
                        To::Everybody => format!("all - {}\n", message),
                    };
                }
                node.run(&orders);
                assert_eq!(node.run("flush"), "true");
            });
        }
        for (client, expected) in clients.iter_mut().zip(&expected) {
            scope.spawn(move || {
                let count: usize = expected.iter().map(Vec::len).sum();
                let mut heard = vec![Vec::new(); SENDERS];
                for _ in 0..count {
                    let message: usize = client.next_text().parse().expect("a number");
                    heard[message % SENDERS].push(message);
                }
                assert_eq!(heard, *expected);
            });
        }
    });
    let took = begun.elapsed();
    // Nothing comes a second time: what is sent after all that comes next.
    nodes[0].run("all - end");
    for client in &mut clients {
        assert_eq!(client.next_text(), "end");
    }
    for node in &nodes {
        let stats = node.stats();
        assert_eq!([stats.lost, stats.refused, stats.gaps, stats.dropped], [0; 4], "{:?}", stats);
    }
    println!("{} messages, {} deliveries: {:?}", MESSAGES, deliveries, took);
}

#[test]
fn redis_dies_and_comes_back_and_everybody_hears_that_there_was_a_gap() {
    let mut engine = engine!();
    let options = Options { queue: Some((2000, 4 * 1024 * 1024)) };
    let nodes: Vec<Node> = (0..3).map(|_| Node::start(&engine.url(), options)).collect();
    let [here, there] = [0, 1].map(|node| &nodes[node]);
    let mut near = here.client(&here.login(1));
    let mut far = there.client(&there.login(2));
    nodes.iter().for_each(Node::wait_until_ready);
    here.run("one user-2 before");
    wait_until("it is known how many there are", || here.run("processes") == "3");
    assert_eq!(far.next_text(), "before");

    engine.kill();
    for node in &nodes {
        wait_until("the gap begins on every process", || {
            node.gaps().iter().any(|gap| gap.starts_with("begins") && gap.contains("subscribes"))
        });
    }
    // Those who are here are reached, and nobody waits: 64 MiB to somebody elsewhere.
    here.run("one user-1 still here");
    assert_eq!(near.next_text(), "still here");
    let before = here.process.status("VmRSS");
    let flood = 64 * 1024;
    let longest = here.run(&format!("flood user-2 {}", flood));
    let longest = Duration::from_micros(longest.parse().expect("a number"));
    let grown = here.process.status("VmRSS").saturating_sub(before);
    assert!(longest < node::WRITE_TIMEOUT, "a send took {:?}", longest);
    assert!(grown < 24 * 1024, "{} KiB for a queue of 4 MiB", grown);
    let lost = here.stats().lost;
    assert!(lost > 0, "not all fit");
    here.run("one user-1 still quick");
    assert_eq!(near.next_text(), "still quick");

    engine.restart();
    let begun = Instant::now();
    for node in &nodes {
        wait_until("the gap ends on every process", || {
            node.gaps().iter().any(|gap| gap.starts_with("ends") && gap.contains("subscribes"))
        });
    }
    let resumed = begun.elapsed();
    // Twice what it may take, since machines may be slow.
    assert!(resumed < (LONGEST_PAUSE + CONNECT + REUNION) * 2, "{:?}", resumed);
    nodes.iter().for_each(Node::wait_until_ready);
    wait_until("the losses are told there", || {
        here.gaps().iter().any(|gap| gap.starts_with("ends") && gap.contains("this process"))
    });
    for node in &nodes[1..] {
        wait_until("the losses are told elsewhere", || {
            node.gaps().iter().any(|gap| gap.contains("another process"))
        });
    }
    assert_eq!(here.run("flush"), "true");
    here.run("one user-2 after");
    // What waited comes first, each once and in order. A batch that was in hand may be missing.
    let mut heard: Vec<u64> = Vec::new();
    let last = loop {
        let text = far.next_text();
        match text.split(' ').next().and_then(|number| number.parse().ok()) {
            Some(number) => heard.push(number),
            None => break text,
        }
    };
    assert_eq!(last, "after");
    assert!(heard.windows(2).all(|pair| pair[0] < pair[1]), "in order and once");
    let missing = flood - heard.len();
    assert!(missing <= lost as usize + BATCH, "{} of {}", missing, flood);
    println!(
        "longest send {:?}, {} KiB more memory, {} of {} refused, {} missing, resumed after {:?}",
        longest, grown, lost, flood, missing, resumed
    );
}

#[test]
fn redis_dies_in_the_middle_and_nothing_comes_twice_or_out_of_order() {
    let mut engine = engine!();
    let nodes: Vec<Node> = (0..3).map(|_| Node::start(&engine.url(), Options::default())).collect();
    let mut client = nodes[0].client(&nodes[0].login(1));
    nodes.iter().for_each(Node::wait_until_ready);
    for node in &nodes {
        wait_until("it is known how many there are", || node.run("processes") == "3");
    }
    let (sent, heard) = std::thread::scope(|scope| {
        let senders: Vec<_> = (1..3)
            .map(|sender| {
                let node = &nodes[sender];
                scope.spawn(move || node.run(&format!("stream user-1 {} 2500", sender)))
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut heard = [0, 0];
            let mut ends = 0;
            let mut last = [-1, -1];
            while ends < 2 {
                let text = client.next_text();
                let (sender, number) = text.split_once(' ').expect("a name and a number");
                let sender = sender.parse::<usize>().expect("a number") - 1;
                let number: i64 = number.parse().expect("a number");
                assert!(number > last[sender], "{} of {} after {}", number, sender, last[sender]);
                last[sender] = number;
                match number {
                    i64::MAX => ends += 1,
                    _ => heard[sender] += 1,
                }
            }
            heard
        });
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(500));
            engine.kill();
            std::thread::sleep(Duration::from_millis(200));
            engine.restart();
        }
        let sent: Vec<u64> = senders
            .into_iter()
            .map(|sender| sender.join().expect("no panic").parse().expect("a number"))
            .collect();
        nodes.iter().for_each(Node::wait_until_ready);
        for (sender, node) in nodes.iter().enumerate().skip(1) {
            assert_eq!(node.run("flush"), "true");
            node.run(&format!("one user-1 {} {}", sender, i64::MAX));
        }
        (sent, reader.join().expect("no panic"))
    });
    for node in &nodes {
        let gaps = node.gaps();
        assert!(gaps.iter().any(|gap| gap.starts_with("ends")), "{:?}", gaps);
    }
    println!("killed twice: of {:?} messages {:?} arrived", sent, heard);
}

#[test]
fn one_process_dies_and_its_clients_go_on_at_another_with_their_cookies() {
    let engine = engine!();
    let mut nodes: Vec<Node> =
        (0..3).map(|_| Node::start(&engine.url(), Options::default())).collect();
    let cookies: Vec<String> = (0..30).map(|user| nodes[user % 3].login(user)).collect();
    let mut clients: Vec<Client> =
        (0..30).map(|user| nodes[user % 3].client(&cookies[user])).collect();
    nodes.iter().for_each(Node::wait_until_ready);
    drop(nodes.remove(2));
    for user in 0..30 {
        nodes[0].run(&format!("one user-{} first", user));
    }
    for (user, client) in clients.iter_mut().enumerate() {
        match user % 3 {
            2 => assert_eq!(client.read_to_end(), b"", "its process has gone"),
            _ => assert_eq!(client.next_text(), "first"),
        }
    }
    for user in (2..30).step_by(3) {
        clients[user] = nodes[1].client(&cookies[user]);
    }
    nodes.iter().for_each(Node::wait_until_ready);
    for user in 0..30 {
        nodes[0].run(&format!("one user-{} second", user));
    }
    for client in &mut clients {
        assert_eq!(client.next_text(), "second");
    }
    for node in &nodes {
        assert_eq!(node.gaps(), [""; 0]);
    }
    // Its topics and sessions left nothing behind in Redis.
    let mut names = engine.channels();
    names.retain(|name| !name.contains(".wake.") && !name.contains(":wake."));
    assert_eq!(names.len(), 30 + 2, "{:?}", names);
}

#[test]
fn closing_and_the_end_of_a_login_reach_all_processes() {
    let engine = engine!();
    let nodes = [(); 2].map(|()| Node::start(&engine.url(), Options::default()));
    let [here, there] = &nodes;
    let (first, second) = (here.login(1), here.login(1));
    let mut one = there.client(&first);
    let mut two = there.client(&second);
    let mut other = there.client(&there.login(2));
    nodes.iter().for_each(Node::wait_until_ready);
    assert_eq!(here.get("/logout", &first), "out");
    assert_eq!(one.next_close(), (1008, "logged out".to_string()));
    assert_eq!(there.get("/who", &second), "user-1");
    wait_until("the cookie is refused", || there.get("/who", &first).starts_with("guest-"));
    here.run("one user-1 still in");
    assert_eq!(two.next_text(), "still in");
    here.run("close user-1 bye");
    assert_eq!(two.next_close(), (4000, "bye".to_string()));
    here.run("all user-1 others");
    assert_eq!(other.next_text(), "others");
}

#[test]
fn a_hostile_publisher_is_counted_and_nothing_else_comes_of_it() {
    let engine = engine!();
    let node = Node::start(&engine.url(), Options::default());
    let mut client = node.client(&node.login(7));
    client.text("join x");
    assert_eq!(client.next_text(), "true");
    node.wait_until_ready();
    let valid = b"\x01\x01\x01\x02otherotherother!\0\0\0\0\0\0\0\x07\0\0\0\x05valid";
    let mut hostile = engine.connect();
    let mut wrong = 0;
    let mut publish = |channel: &str, payload: &[u8]| {
        assert_eq!(hostile.publish(&format!("sockling:{}", channel), payload), 1, "{}", channel);
        wrong += 1;
    };
    // Cut at each place, and with each bit turned that is no payload; but the first one of the kind
    // of content only says that the message must not be compressed.
    (0..valid.len()).for_each(|end| publish("u.7", &valid[..end]));
    for byte in (0..4).chain(28..32) {
        for bit in (0..8).filter(|bit| (byte, *bit) != (1, 7)) {
            let mut turned = *valid;
            turned[byte] ^= 1 << bit;
            publish("u.7", &turned);
        }
    }
    for channel in ["all", "t.x", "gap"] {
        publish(channel, valid);
        publish(channel, b"");
        publish(channel, b"hello");
    }
    publish("u.7", &vec![1; ENVELOPE + 1]);
    let mut long = b"\x01\x02\x01\x02otherotherother!\0\0\0\0\0\0\0\x07".to_vec();
    let length = (ENVELOPE + 1 - long.len() - 4) as u32;
    long.extend(length.to_be_bytes());
    long.resize(ENVELOPE + 1, 7);
    publish("u.7", &long);
    let before = node.process.status("VmRSS");
    for _ in 0..50 {
        publish("all", &long);
    }
    // Redis itself refuses what is larger than it is told to.
    assert!(engine.connect().try_publish("sockling:all", &vec![1; 3 * 1024 * 1024]).is_none());
    // What is valid is believed: who may publish there is trusted.
    assert_eq!(hostile.publish("sockling:u.7", valid), 1);
    assert_eq!(client.next_text(), "valid");
    node.run("one user-7 the next");
    assert_eq!(client.next_text(), "the next");
    let stats = node.stats();
    assert_eq!((stats.refused, stats.received, stats.gaps), (wrong, 1, 0), "{:?}", stats);
    let grown = node.process.status("VmRSS").saturating_sub(before);
    assert!(grown < 24 * 1024, "{} KiB", grown);
    println!("{} refused, {} KiB more memory", wrong, grown);
}

#[test]
fn a_redis_that_stands_still_holds_nobody_up_and_is_noticed() {
    let engine = engine!();
    let nodes = [(); 2].map(|()| Node::start(&engine.url(), Options::default()));
    let [here, there] = &nodes;
    let mut far = there.client(&there.login(2));
    nodes.iter().for_each(Node::wait_until_ready);
    engine.signal("STOP");
    let begun = Instant::now();
    let longest = Duration::from_micros(here.run("flood user-2 1000").parse().expect("a number"));
    assert!(longest < node::WRITE_TIMEOUT, "a send took {:?}", longest);
    wait_until("the loss is told", || {
        here.gaps().iter().any(|gap| gap.starts_with("begins") && gap.contains("this process"))
    });
    println!("longest send {:?}, noticed after {:?}", longest, begun.elapsed());
    engine.signal("CONT");
    wait_until("the loss is told to its end", || {
        here.gaps().iter().any(|gap| gap.starts_with("ends") && gap.contains("this process"))
    });
    wait_until("the loss is told elsewhere", || {
        there.gaps().iter().any(|gap| gap.contains("another process"))
    });
    nodes.iter().for_each(Node::wait_until_ready);
    here.run("one user-2 after");
    while far.next_text() != "after" {}
}

#[test]
fn the_user_that_the_guide_shows_may_do_all_that_is_needed_and_no_more() {
    let engine = engine!();
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../guide/beyond_one_host.md");
    let guide = std::fs::read_to_string(guide).expect("the guide");
    let line = guide.lines().find(|line| line.starts_with("user ")).expect("a user");
    let url = engine.user(line);
    let nodes = [(); 2].map(|()| Node::start(&url, Options::default()));
    let mut client = nodes[0].client(&nodes[0].login(1));
    nodes.iter().for_each(Node::wait_until_ready);
    nodes[1].run("one user-1 hey");
    assert_eq!(client.next_text(), "hey");
    wait_until("it may count", || nodes[0].run("processes") == "2");
    drop(client);
    wait_until("it may unsubscribe", || {
        !engine.channels().iter().any(|channel| channel.ends_with("u.1"))
    });
    for node in &nodes {
        assert_eq!(node.gaps(), [""; 0]);
    }
    // Another user's password is refused: nothing is ready, and the gap says why.
    let node = Node::start(&url.replace(":password@", ":wrong@"), Options::default());
    wait_until("it is told", || node.gaps().iter().any(|gap| gap.contains("subscribes")));
    assert!(!node.gaps()[0].contains("wrong"), "{:?}", node.gaps());
}

#[test]
fn a_process_that_publishes_all_the_time_and_hears_nothing_keeps_its_connections() {
    let engine = engine!();
    let node = Node::start(&engine.url(), Options::default());
    node.wait_until_ready();
    let time = SILENCE + Duration::from_secs(2);
    node.run(&format!("drip user-999 {}", time.as_millis()));
    assert_eq!(node.gaps(), [""; 0]);
}

#[test]
fn what_redis_refuses_is_one_gap_that_goes_on() {
    let engine = engine!();
    let url = engine
        .user("user chat on >password resetchannels &sockling:* -@all +subscribe +unsubscribe");
    let node = Node::start(&url, Options::default());
    wait_until("the refusal is told", || {
        node.run("one user-9 hey");
        node.gaps().iter().any(|gap| gap.starts_with("begins") && gap.contains("this process"))
    });
    node.run("drip user-9 2500");
    let gaps = node.gaps();
    let of_process = gaps.iter().filter(|gap| gap.contains("this process")).count();
    assert_eq!(of_process, 1, "{:?}", gaps);
}

#[test]
fn two_redis_share_the_channels() {
    let engines = [engine!(), engine!()];
    let urls = format!("{} {}", engines[0].url(), engines[1].url());
    let nodes = [(); 2].map(|()| Node::start(&urls, Options::default()));
    let mut clients: Vec<Client> =
        (0..20).map(|user| nodes[user % 2].client(&nodes[0].login(user))).collect();
    nodes.iter().for_each(Node::wait_until_ready);
    for user in 0..20 {
        nodes[1].run(&format!("one user-{} hey", user));
    }
    for client in &mut clients {
        assert_eq!(client.next_text(), "hey");
    }
    let mine = |engine: &Engine| {
        let names = engine.channels();
        names.iter().filter(|name| name.starts_with("sockling:u.")).count()
    };
    let counts = [mine(&engines[0]), mine(&engines[1])];
    assert_eq!(counts[0] + counts[1], 20, "{:?}", counts);
    assert!(counts[0] > 0 && counts[1] > 0, "{:?}", counts);
}

#[test]
fn what_is_too_long_for_an_envelope_is_a_gap_on_every_process() {
    let engine = engine!();
    let nodes = [(); 2].map(|()| Node::start(&engine.url(), Options::default()));
    let [here, there] = &nodes;
    nodes.iter().for_each(Node::wait_until_ready);
    here.run("long user-9");
    wait_until("it is told here", || {
        let gaps = here.gaps();
        let told = |when| {
            gaps.contains(&format!("{}: this process may have lost 1 of its messages", when))
        };
        told("begins") && told("ends")
    });
    wait_until("it is told elsewhere", || {
        there.gaps() == ["ends: another process may have lost 1 of its messages"]
    });
    assert_eq!(here.stats().lost, 1);
}

#[test]
fn twenty_thousand_forged_notices_are_a_few_gaps_that_sum_them_up() {
    const NOTICES: usize = 20_000;
    let engine = engine!();
    let node = Node::start(&engine.url(), Options::default());
    node.wait_until_ready();
    let begun = Instant::now();
    let forged = vec![format!("{} 3 1000", "f".repeat(32)); NOTICES];
    engine.connect().publish_all("sockling:gap", &forged);
    let lost = |gap: &String| -> usize {
        let words = gap.split(' ').filter_map(|word| word.parse::<usize>().ok());
        words.sum()
    };
    wait_until("all are told of", || node.gaps().iter().map(lost).sum::<usize>() == NOTICES * 3);
    let gaps = node.gaps();
    let most = begun.elapsed().as_secs_f64() / GAP_PACE.as_secs_f64() + 1.0;
    assert!(gaps.len() as f64 <= most, "{} calls where {:.1} are the most", gaps.len(), most);
    assert_eq!(node.stats().gaps, gaps.len() as u64);
    println!("{} notices, {} gaps: {:?}", NOTICES, gaps.len(), gaps);
}

#[test]
fn a_redis_that_sends_a_byte_each_second_is_noticed_on_both_connections() {
    let engine = engine!();
    let way = SlowWay::to(engine.port());
    let here = Node::start(&engine.url_by(way.port()), Options::default());
    let there = Node::start(&engine.url(), Options::default());
    let mut near = here.client(&here.login(1));
    let mut far = there.client(&there.login(2));
    [&here, &there].into_iter().for_each(Node::wait_until_ready);
    way.slow_down();
    let begun = Instant::now();
    here.run("one user-2 first");
    assert_eq!(far.next_text(), "first");
    // It waits for the answer to the first, and then for how many processes there are.
    here.run("one user-2 second");
    assert_eq!(far.next_text(), "second");
    let publisher = begun.elapsed();
    wait_until("the one that subscribes is noticed", || {
        here.gaps().iter().any(|gap| gap.starts_with("begins") && gap.contains("subscribes"))
    });
    let subscriber = begun.elapsed();
    here.wait_until_ready();
    there.run("one user-1 back");
    assert_eq!(near.next_text(), "back");
    // Each answer has its own time; and twice that, since machines may be slow.
    assert!(publisher < ANSWER * 2 * 2, "{:?}", publisher);
    assert!(subscriber < SILENCE * 2, "{:?}", subscriber);
    println!("noticed after {:?} and {:?}: {:?}", publisher, subscriber, here.gaps());
}

/// Returns what another process would publish.
fn envelope_for_user(user: i64, text: &str) -> Vec<u8> {
    let target = Target::Session(SessionName::User(user));
    let envelope = Envelope { node: Bits([9; 16]), target, content: Content::Text(text) };
    envelope.to_bytes().expect("it is short")
}

#[test]
fn a_topic_with_an_endless_name_makes_nobody_else_deaf() {
    let engine = engine!();
    let node = Node::start(&engine.url(), Options::default());
    let mut one = node.client(&node.login(1));
    let mut two = node.client(&node.login(2));
    node.wait_until_ready();
    // Its channel is three times as long, and more than Redis takes. It may be refused before.
    two.text(&format!("join {}", "\u{1}".repeat(900_000)));
    two.next_text();
    let mut hostile = engine.connect();
    hostile.publish("sockling:u.1", &envelope_for_user(1, "heard"));
    assert_eq!(one.next_text(), "heard");
    // Also when all is asked for anew.
    engine.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    wait_until("it is back", || {
        hostile.publish("sockling:u.1", &envelope_for_user(1, "again")) > 0
    });
    while one.next_text() != "again" {}
    node.wait_until_ready();
}

#[test]
fn a_channel_that_redis_refuses_makes_nobody_else_deaf() {
    let engine = engine!();
    let url = engine.user(
        "user chat on >password resetchannels &sockling:all &sockling:gap &sockling:wake.* \
         &sockling:u.* -@all +publish +subscribe +unsubscribe +pubsub|numsub",
    );
    let node = Node::start(&url, Options::default());
    let mut clients: Vec<Client> = (0..20).map(|user| node.client(&node.login(user))).collect();
    node.wait_until_ready();
    let mut member = node.client(&node.login(99));
    member.text("join refused");
    assert_eq!(member.next_text(), "true");
    wait_until("it is told", || {
        node.gaps().iter().any(|gap| gap.starts_with("begins") && gap.contains("refused"))
    });
    let mut publisher = engine.connect();
    let mut all_hear = |text: &str| {
        for (user, client) in clients.iter_mut().enumerate() {
            let channel = format!("sockling:u.{}", user);
            let envelope = envelope_for_user(user as i64, text);
            wait_until("it is subscribed to", || publisher.publish(&channel, &envelope) > 0);
            while client.next_text() != text {}
        }
    };
    all_hear("heard");
    // Also when all is asked for anew, this one among the others.
    engine.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    all_hear("again");
    assert_eq!(node.get("/is_ready", ""), "false", "one is missing");
    let refusals = node.gaps().iter().filter(|gap| gap.contains("refused")).count();
    assert_eq!(refusals, 1, "{:?}", node.gaps());
    // Nothing is missing when nobody wants it, and the next connection ends the gap.
    drop(member);
    node.wait_until_ready();
    engine.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    wait_until("the end is told", || {
        node.gaps().iter().any(|gap| gap.starts_with("ends") && gap.contains("refused"))
    });
    println!("{:?}", node.gaps());
}

#[test]
fn more_channels_than_redis_answers_at_once_are_subscribed_to() {
    const SESSIONS: usize = 30;
    let engine = engine!();
    // Its own buffers are small here, and full before those of the two systems' sockets would be.
    engine.command(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0"]);
    let node = Node::start(&engine.url(), Options::default());
    let mut client = node.client(&node.login(1));
    node.wait_until_ready();
    node.run(&format!("crowd {}", SESSIONS));
    node.wait_until_ready();
    let channels = || engine.channels().len();
    // Each topic, each session in them, the one that is here, and `all`, `gap` and `wake`.
    let all = SESSIONS * 1000 + SESSIONS + 1 + 3;
    assert_eq!(channels(), all);
    engine.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    wait_until("it is told", || !node.gaps().is_empty());
    node.wait_until_ready();
    assert_eq!(channels(), all);
    assert_eq!(engine.connect().publish("sockling:u.1", &envelope_for_user(1, "back")), 1);
    assert_eq!(client.next_text(), "back");
    // Lost once, by the test.
    let lost = node.gaps().iter().filter(|gap| gap.starts_with("begins")).count();
    assert_eq!(lost, 1, "{:?}", node.gaps());
}
