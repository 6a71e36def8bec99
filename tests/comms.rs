//! Sending to many, and to those who do not read. These tests share the process's session map, so
//! they run one at a time.

mod loopback;

use loopback::wire::transports;
use loopback::{masked, wait_until, Client, Frame, Running};
use sockling::limits::{Limits, Overflow};
use sockling::prelude::*;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

static ALONE: Mutex<()> = Mutex::new(());

/// What a handler that holds waits for.
static HELD: Mutex<Vec<Receiver<()>>> = Mutex::new(Vec::new());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Reports the ids of those who connect, and does what a message says.
struct Desk(Mutex<Sender<SessionId>>);

impl WebsocketController for Desk {
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        self.0.lock().map_err(|_| "poisoned")?.send(*client).map_err(Error::other)
    }

    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        let text = message.as_text().unwrap_or_default().to_string();
        match text.split_once(' ').unwrap_or((&text, "")) {
            // Sends many small messages to itself.
            ("drops", count) => {
                for _ in 0..count.parse::<u32>().map_err(Error::other)? {
                    Comms::websocket(client).send(&[7u8; 500][..])?;
                }
                0
            }
            // Sends, and then takes as long as it is let.
            ("hold", text) => {
                for part in text.split(' ') {
                    Comms::notify().send(part)?;
                    let held = HELD.lock().map_err(|_| "poisoned")?.pop();
                    held.map(|held| held.recv());
                }
                0
            }
            ("others", text) => Comms::broadcast(client).send(text)?,
            ("all", text) => Comms::notify().send(text)?,
            ("panic", _) => resume_unwind(Box::new("as told")),
            // More than may wait for a client, in one call of a handler.
            ("stream", count) => {
                for number in 0..count.parse::<u32>().map_err(Error::other)? {
                    let mut piece = vec![7; 64 * 1024];
                    piece[..4].copy_from_slice(&number.to_be_bytes());
                    Comms::websocket(client).send(piece)?;
                }
                0
            }
            (_, _) => Comms::websocket(client).send(text)?,
        };
        Ok(())
    }
}

impl Controller for Desk {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

/// Returns a server; whoever connects to it is told of.
fn server(limits: Limits) -> (Server, Receiver<SessionId>) {
    let (tell, told) = channel();
    let panic = |_: &Request| resume_unwind(Box::new("as told"));
    let routes = vec![Handler::new("/ws", Desk(Mutex::new(tell))), Handler::new("/panic", panic)];
    (Server::new(routes).limits(limits), told)
}

/// Connects so many clients, each with a session of its own.
fn connect(
    count: usize,
    address: SocketAddr,
    told: &Receiver<SessionId>,
) -> Vec<(Client, SessionId)> {
    let connect = |_| {
        let client = Client::websocket(address, "/ws", "");
        (client, told.recv().expect("it has connected"))
    };
    (0..count).map(connect).collect()
}

/// Starts a server and connects this many clients.
fn start(count: usize, limits: Limits) -> (Running, Vec<(Client, SessionId)>) {
    let (server, told) = server(limits);
    let running = Running::start(server);
    let clients = connect(count, running.address, &told);
    (running, clients)
}

/// Returns the number of the library's threads, all named alike, but for the log's, which outlasts
/// every server. None where there is no `/proc`.
fn server_threads() -> usize {
    let named = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of_servers = |name: &String| name.starts_with("sockling") && name != "sockling-log\n";
    tasks.filter_map(named).filter(of_servers).count()
}

/// Returns the number of open descriptors. None where there is no `/proc`.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count())
}

/// Returns whether a client has something to read, be it the end.
fn is_told(client: &Client) -> bool {
    client.stream.set_nonblocking(true).expect("a socket option");
    let peeked = client.stream.peek(&mut [0]);
    client.stream.set_nonblocking(false).expect("a socket option");
    !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn a_broadcast_reaches_all_others_and_a_notification_everybody() {
    let _alone = alone();
    let (_running, mut clients) = start(5, Limits::default());
    clients[0].0.text("others hey");
    clients[0].0.text("all bye");
    assert_eq!(clients[0].0.next_text(), "bye");
    for (client, _) in &mut clients[1..] {
        assert_eq!(
            (client.next_text(), client.next_text()),
            ("hey".to_string(), "bye".to_string())
        );
    }
    assert_eq!(Comms::notify().send(&b"\x01"[..]).expect("room"), 5);
    assert_eq!(Comms::broadcast(clients[0].1).send("4 of 5").expect("room"), 4);
}

#[test]
fn a_session_can_be_closed_from_outside_and_only_with_a_code_that_may_be_sent() {
    let _alone = alone();
    let (_running, mut clients) = start(2, Limits::default());
    let (client, id) = clients.remove(0);
    let mut client = client;
    for code in [0, 999, 1005, 1006, 1015, 2999, 5000] {
        let error = Comms::websocket(id).close(CloseCode(code), "").expect_err("may not be sent");
        assert_eq!(error.to_string(), "cannot send a Close frame with a forbidden code");
    }
    // A reason of 200 bytes is cut after a whole character.
    let reason = "é".repeat(100);
    assert_eq!(Comms::websocket(id).close(CloseCode(4000), &reason).expect("a good code"), 1);
    assert_eq!(client.next_close(), (4000, "é".repeat(61)));
    assert_eq!(Comms::websocket(id).send("after the Close frame").expect("no error"), 0);
    assert_eq!(Comms::websocket(id).close(CloseCode(4000), "twice").expect("a good code"), 0);
    client.frame(0x88, b"\x0f\xa0");
    client.assert_end();
    wait_until("it has left the map", || !Comms::websocket(id).is_connected());
    assert!(Comms::websocket(clients[0].1).is_connected());
    assert_eq!(Comms::notify().close(CloseCode::NORMAL, "all").expect("a good code"), 1);
    assert_eq!(clients[0].0.next_close(), (1000, "all".to_string()));
}

#[test]
fn sending_to_nobody_is_no_error_and_leaves_nothing() {
    let _alone = alone();
    let keys = SessionKeys::random().expect("random numbers");
    for _ in 0..1000 {
        let id = Request::get("/").session_id();
        let id = SessionId::from_token(&id.to_token(&keys), &keys).expect("a token");
        let nobody = Comms::websocket(id);
        assert_eq!((nobody.send("hey").expect("no error"), nobody.is_connected()), (0, false));
        assert_eq!(nobody.backlog(), 0);
    }
    assert_eq!(Comms::notify().send("anybody?").expect("no error"), 0);
}

/// Threads that send, and messages that each sends to each client.
const SENDERS: usize = 8;
const MESSAGES: u32 = 10_000;

fn numbered(sender: usize, number: u32) -> Vec<u8> {
    let mut message = vec![sender as u8; 5 + (number as usize * 37) % 400];
    message[1..5].copy_from_slice(&number.to_be_bytes());
    message
}

/// What a client got: how many of each sender, in order and whole, or it panics. Reads so many
/// messages, or until the connection ends, and counts them in `got`.
fn read_numbered(stream: impl Read, most: usize, got: &AtomicUsize) -> [u32; SENDERS] {
    let mut stream = BufReader::with_capacity(256 * 1024, stream);
    let mut next = [0; SENDERS];
    for _ in 0..most {
        let mut header = [0; 4];
        if stream.read_exact(&mut header[..2]).is_err() {
            break;
        }
        assert_eq!(header[0], 0x82, "a binary message begins here");
        let length = match header[1] {
            126 => match stream.read_exact(&mut header[2..]) {
                Ok(()) => u16::from_be_bytes([header[2], header[3]]).into(),
                Err(_) => break,
            },
            short => usize::from(short),
        };
        let mut message = vec![0; length];
        if stream.read_exact(&mut message).is_err() {
            break;
        }
        let sender = usize::from(message[0]);
        assert_eq!(message, numbered(sender, next[sender]), "the next one, whole");
        next[sender] += 1;
        got.fetch_add(1, Ordering::Relaxed);
    }
    next
}

#[test]
fn what_was_taken_arrives_once_and_in_order_while_others_stall_and_leave() {
    let _alone = alone();
    let (_running, clients) = start(8, Limits::default());
    let ids: Vec<SessionId> = clients.iter().map(|(_, id)| *id).collect();
    // The first two read a little and stop, the third reads more and leaves, five read all.
    let most = |index| [1_000, 20_000, 30_000].get(index).copied().unwrap_or(usize::MAX);
    let read: Arc<[AtomicUsize; 8]> = Arc::default();
    let readers: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(index, (client, _))| {
            let read = Arc::clone(&read);
            std::thread::spawn(move || {
                let most = most(index).min(SENDERS * MESSAGES as usize);
                let got = read_numbered(&client.stream, most, &read[index]);
                (got, (index < 2).then_some(client))
            })
        })
        .collect();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (ids, read) = (ids.clone(), Arc::clone(&read));
            std::thread::spawn(move || {
                // How many each client took, and how often the sender was told that one did not.
                let (mut taken, mut lost) = ([0; 8], [0; 8]);
                for number in 0..MESSAGES {
                    // All senders together are fewer messages ahead than may wait for a client, so one
                    // that reads, and waits for a processor, does not count as one that does not.
                    let least = (number as usize).saturating_sub(100) * SENDERS;
                    wait_until("who reads all is near", || {
                        read[3..].iter().all(|read| read.load(Ordering::Relaxed) >= least)
                    });
                    for (index, id) in ids.iter().enumerate() {
                        match Comms::websocket(id).send(numbered(sender, number)) {
                            Ok(1) => {
                                assert_eq!(lost[index], 0, "nothing follows a lost message");
                                taken[index] += 1;
                            }
                            Ok(0) | Err(Error::Full { .. }) => lost[index] += 1,
                            other => panic!("{:?}", other),
                        }
                    }
                }
                (taken, lost)
            })
        })
        .collect();
    let told: Vec<_> = senders.into_iter().map(|thread| thread.join().expect("whole")).collect();
    for (index, thread) in readers.into_iter().enumerate() {
        let (got, stalled) = thread.join().expect("in order and whole");
        for (sender, (taken, lost)) in told.iter().enumerate() {
            assert_eq!(taken[index] + lost[index], MESSAGES, "each is taken or told");
            assert!(got[sender] <= taken[index], "nothing comes twice");
            if index >= 3 {
                assert_eq!(got[sender], MESSAGES, "who reads gets all, and is never cut off");
            }
        }
        if let Some(client) = stalled {
            wait_until("it was cut off", || {
                // On a slow machine it has not been behind for long enough when all have sent.
                let _ = Comms::websocket(ids[index]).send(numbered(0, MESSAGES));
                !Comms::websocket(ids[index]).is_connected()
            });
            drop(client);
        }
    }
    let lost = |index: usize| told.iter().map(|(_, lost)| lost[index]).sum::<u32>();
    assert!((0..3).all(|index| lost(index) > 0) && (3..8).all(|index| lost(index) == 0));
}

#[test]
fn a_client_that_does_not_read_is_cut_off_the_sender_told_and_the_others_served() {
    let _alone = alone();
    let limits = Limits { write_timeout: loopback::PATIENCE * 2, ..Limits::default() };
    let (_running, mut clients) = start(3, limits);
    let (stalled, stalled_id) = clients.remove(0);
    let message = vec![0u8; 64 * 1024];
    // What the system holds for a socket comes before what waits here.
    let mut slowest = Duration::ZERO;
    let error = (0..1000).find_map(|_| {
        let begun = Instant::now();
        let result = Comms::websocket(stalled_id).send(message.clone());
        slowest = slowest.max(begun.elapsed());
        result.err()
    });
    let error = error.expect("64 MiB are more than anybody holds for it");
    assert!(
        matches!(error, Error::Full { waiting, closed: true, .. } if waiting <= 4 * 1024 * 1024),
        "{}",
        error
    );
    assert!(slowest < loopback::PATIENCE, "a sender waits for no client: {:?}", slowest);
    wait_until("it has left the map", || !Comms::websocket(stalled_id).is_connected());
    assert_eq!(Comms::notify().send("the rest").expect("room"), 2);
    for (client, _) in &mut clients {
        assert_eq!(client.next_text(), "the rest");
    }
    drop(stalled);
}

#[test]
fn a_handler_that_streams_to_its_own_client_waits_for_it() {
    let _alone = alone();
    let (_running, mut clients) = start(1, Limits::default());
    let (client, id) = &mut clients[0];
    client.text("stream 1024");
    // Of 64 MiB, to a client that does not read yet: what waits for it is bounded.
    wait_until("the handler waits", || Comms::websocket(*id).backlog() > 512 * 1024);
    assert!(Comms::websocket(*id).backlog() < 3 * 1024 * 1024);
    for number in 0..1024u32 {
        assert_eq!(client.next().payload[..4], number.to_be_bytes());
    }
    client.text("done");
    assert_eq!(client.next_text(), "done");
}

#[test]
fn a_flood_of_pings_to_a_client_that_does_not_read_takes_no_memory() {
    let _alone = alone();
    let (_running, mut clients) = start(1, Limits::default());
    let (client, id) = &mut clients[0];
    // Fill what the system holds for it, so that pongs have to wait.
    while Comms::websocket(*id).backlog() == 0 {
        Comms::websocket(*id).send(vec![0u8; 64 * 1024]).expect("room");
    }
    let ping = loopback::masked(0x89, &[7; 125]);
    let flood: Vec<u8> = std::iter::repeat(ping).take(20_000).flatten().collect();
    let mut writer = client.stream.try_clone().expect("a second handle");
    // The server may stop reading from who does not read; then this ends with the connection.
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &flood));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(300) {
        assert!(Comms::websocket(*id).backlog() < 1024 * 1024);
    }
    // Once it reads it gets the newest pong.
    let pong = loop {
        let frame = client.next();
        if frame.opcode == 10 {
            break frame;
        }
    };
    assert_eq!(pong.payload, [7; 125]);
    let mut reader = clients.remove(0).0;
    let draining = std::thread::spawn(move || {
        reader.text("end");
        while reader.next().opcode != 1 {}
    });
    writing.join().expect("no panic").expect("all was read");
    draining.join().expect("no panic");
}

#[test]
fn a_client_that_reads_is_not_cut_off_however_fast_others_send() {
    let _alone = alone();
    const SENDERS: usize = 4;
    const MESSAGES: usize = 10_000;
    let (_running, mut clients) = start(1, Limits::default());
    let (mut client, id) = clients.remove(0);
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            std::thread::spawn(move || {
                for _ in 0..MESSAGES {
                    assert_eq!(Comms::websocket(id).send(vec![7u8; 100]).expect("room"), 1);
                }
            })
        })
        .collect();
    for _ in 0..SENDERS * MESSAGES {
        assert_eq!(client.next().payload.len(), 100);
    }
    for sender in senders {
        sender.join().expect("every message was taken");
    }
}

#[test]
fn what_a_handler_sends_does_not_wait_for_its_end_when_more_input_is_there() {
    let _alone = alone();
    let (_running, mut clients) = start(2, Limits::default());
    let (release, held) = channel();
    HELD.lock().expect("no panic").push(held);
    // Quick before, and with a further frame in the same packet.
    let frames = ["a", "b", "hold now", "c"].map(|text| loopback::masked(0x81, text.as_bytes()));
    clients[0].0.send(&frames.concat());
    assert_eq!(clients[1].0.next_text(), "now", "the handler has not returned");
    for text in ["a", "b", "now"] {
        assert_eq!(clients[0].0.next_text(), text);
    }
    release.send(()).expect("the handler waits");
    assert_eq!(clients[0].0.next_text(), "c");
}

#[test]
fn a_large_message_reaches_a_slow_but_steady_client_whatever_its_heartbeat() {
    let _alone = alone();
    let limits = Limits {
        write_timeout: Duration::from_secs(1),
        ping_interval: Duration::from_millis(200),
        pong_timeout: Duration::from_millis(200),
        close_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let (_running, mut clients) = start(1, limits);
    let (client, id) = &mut clients[0];
    const SIZE: usize = 12 * 1024 * 1024;
    assert_eq!(Comms::websocket(*id).send(vec![7u8; SIZE]).expect("one is always taken"), 1);
    // 64 KiB each 20 ms: it takes four times the write timeout, and is never silent.
    let mut read = 0;
    let mut buffer = vec![0; 64 * 1024];
    while read < SIZE {
        let bytes = std::io::Read::read(&mut client.stream, &mut buffer).expect("no reset");
        assert!(bytes > 0, "ended after {} bytes", read);
        read += bytes;
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_follows_a_close_frame_not_even_a_pong() {
    let _alone = alone();
    let (_running, mut clients) = start(1, Limits::default());
    let (client, id) = &mut clients[0];
    while Comms::websocket(*id).backlog() == 0 {
        Comms::websocket(*id).send(vec![0u8; 64 * 1024]).expect("room");
    }
    client.frame(0x89, b"before");
    assert_eq!(Comms::websocket(*id).close(CloseCode::NORMAL, "bye").expect("a good code"), 1);
    client.frame(0x89, b"after");
    let last = loop {
        let frame = client.next();
        if frame.opcode == 8 {
            break frame;
        }
    };
    assert_eq!(last.payload, b"\x03\xe8bye");
    client.frame(0x88, b"\x03\xe8");
    client.assert_end();
}

#[test]
#[cfg(target_os = "linux")]
fn a_client_whose_batch_was_cut_keeps_no_descriptor_of_those_it_sent_to() {
    let _alone = alone();
    let (running, mut clients) = start(21, Limits::default());
    let (mut speaker, _) = clients.remove(0);
    let before = descriptors();
    // Two frames for all, and a third that the first read buffer cuts.
    let frames = ["all one", "all two"].map(|text| loopback::masked(0x81, text.as_bytes()));
    let mut bytes = frames.concat();
    bytes.extend(loopback::masked(0x82, &[0; 20_000]));
    speaker.send(&bytes[..2 * 1024]);
    for (client, _) in &mut clients {
        assert_eq!((client.next_text(), client.next_text()), ("one".into(), "two".into()));
    }
    drop(clients);
    // Both ends of twenty sockets.
    wait_until("the server's ends are closed", || descriptors() <= before - 40);
    drop((speaker, running));
}

#[test]
#[cfg(target_os = "linux")]
fn a_client_that_has_ended_its_side_and_does_not_read_is_given_up_at_the_write_timeout() {
    let _alone = alone();
    let before = descriptors();
    let limits = Limits { write_timeout: Duration::from_millis(500), ..Limits::default() };
    let (running, mut clients) = start(5, limits);
    // Bytes that are not taken earn no time, however many there are.
    Comms::notify().send(vec![0u8; 8 * 1024 * 1024]).expect("one is always taken");
    for (client, _) in &mut clients {
        client.shut_write(); // it may still read
    }
    let (clients, ids): (Vec<_>, Vec<_>) = clients.into_iter().unzip();
    for id in &ids {
        wait_until("it has left the map", || !Comms::websocket(id).is_connected());
    }
    wait_until("the server's ends are closed", || descriptors() <= before + 5 + 2);
    drop((clients, running));
}

#[test]
fn what_a_handler_sends_does_not_wait_for_its_end_when_another_thread_wrote_what_came_before() {
    let _alone = alone();
    let (_running, mut clients) = start(2, Limits::default());
    let (go_on, held) = channel();
    let (release, held_again) = channel();
    HELD.lock().expect("no panic").extend([held_again, held]);
    let frames = ["hold one two", "c"].map(|text| loopback::masked(0x81, text.as_bytes()));
    clients[0].0.send(&frames.concat());
    // "one" is corked; who sends now writes it, and the handler goes on.
    wait_until("the handler runs", || HELD.lock().expect("no panic").len() == 1);
    assert_eq!(Comms::websocket(clients[1].1).send("between").expect("room"), 1);
    go_on.send(()).expect("the handler waits");
    for text in ["one", "between", "two"] {
        assert_eq!(clients[1].0.next_text(), text, "the handler has not returned");
    }
    release.send(()).expect("the handler waits");
}

#[test]
fn a_client_that_its_own_handler_streams_to_is_not_cut_off_by_what_others_send() {
    let _alone = alone();
    const COUNT: usize = 50_000;
    let (_running, mut clients) = start(1, Limits::default());
    let (client, _) = &mut clients[0];
    client.text(&format!("drops {}", COUNT));
    let done = Arc::new(AtomicUsize::new(0));
    let ticking = {
        let done = Arc::clone(&done);
        std::thread::spawn(move || {
            while done.load(Ordering::Relaxed) == 0 {
                Comms::notify().send("tick").expect("no error");
                std::thread::sleep(Duration::from_millis(5));
            }
        })
    };
    let mut drops = 0;
    while drops < COUNT {
        match client.next().opcode {
            2 => drops += 1,
            _ => std::thread::sleep(Duration::from_millis(2)), // reads, and not very fast
        }
    }
    done.store(1, Ordering::Relaxed);
    ticking.join().expect("no panic");
}

#[test]
fn a_panic_takes_back_nothing_that_was_sent_before_it() {
    let _alone = alone();
    // A ping would take along what waits.
    let limits = Limits { ping_interval: Duration::ZERO, ..Limits::default() };
    let (_running, mut clients) = start(2, limits);
    // In one packet, so that what is sent waits for the end of the batch.
    let frames = ["all last words", "panic", "all after"];
    let bytes = frames.map(|text| loopback::masked(0x81, text.as_bytes())).concat();
    clients[0].0.send(&bytes);
    for (client, _) in &mut clients {
        assert_eq!(client.next_text(), "last words");
    }
    assert_eq!(clients[0].0.next_close(), (1011, String::new()));
    assert_eq!(Comms::websocket(clients[1].1).send("nothing between").expect("room"), 1);
    assert_eq!(clients[1].0.next_text(), "nothing between");
}

/// Panics in a request and in a conversation, so many times.
fn panic_often(address: SocketAddr, times: usize) {
    for _ in 0..times {
        let mut client = Client::connect(address);
        assert_eq!(client.get("/panic", "").status, 500);
        client.assert_end();
        let mut client = Client::websocket(address, "/ws", "");
        client.text("panic");
        let end = loop {
            match client.next() {
                Frame { opcode: 2, .. } => {} // what the others send
                end => break end,
            }
        };
        assert_eq!((end.opcode, &*end.payload), (8, &b"\x03\xf3"[..]));
    }
}

#[test]
fn a_thousand_panics_leave_nothing_behind_while_others_send() {
    const READERS: usize = 4;
    let _alone = alone();
    let (server, told) = server(Limits::default());
    let running = Running::start(server);
    let (mut readers, ids): (Vec<_>, Vec<_>) =
        connect(READERS, running.address, &told).into_iter().unzip();
    let before = descriptors();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (done, address) = (&done, running.address);
        let panicking: Vec<_> =
            (0..4).map(|_| scope.spawn(move || panic_often(address, 125))).collect();
        let send = move |sender| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                Comms::notify().send(numbered(sender, count)).expect("no error");
                count += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            count
        };
        let sending: Vec<_> =
            (0..SENDERS).map(|sender| scope.spawn(move || send(sender))).collect();
        let reading: Vec<_> = readers
            .iter_mut()
            .map(|client| {
                scope.spawn(move || {
                    let mut next = [0; SENDERS];
                    loop {
                        let Frame { opcode, payload } = client.next();
                        if opcode == 1 {
                            return next;
                        }
                        let sender = usize::from(payload[0]);
                        assert_eq!(payload, numbered(sender, next[sender]), "the next one, whole");
                        next[sender] += 1;
                    }
                })
            })
            .collect();
        let panicked: Vec<_> = panicking.into_iter().map(|thread| thread.join()).collect();
        done.store(true, Ordering::Relaxed);
        let sent: Vec<u32> =
            sending.into_iter().map(|thread| thread.join().expect("sent")).collect();
        Comms::notify().send("that is all").expect("no error");
        for thread in reading {
            assert_eq!(thread.join().expect("whole and in order")[..], sent, "all of each sender");
        }
        assert!(panicked.iter().all(Result::is_ok), "who panicked was told");
    });
    let gone: Vec<SessionId> = told.try_iter().collect();
    assert_eq!(gone.len(), 500);
    for id in &gone {
        wait_until("it has left the map", || !Comms::websocket(id).is_connected());
    }
    assert!(ids.iter().all(|id| Comms::websocket(id).is_connected()));
    wait_until("the descriptors are closed", || descriptors() <= before);
    // Some of those who have served stay at the door.
    wait_until("the threads have ended", || server_threads() <= READERS + 8);
    drop(readers);
    assert_eq!(running.handle.shutdown(), []);
}

#[test]
fn a_shutdown_among_two_hundred_ends_in_time_and_names_the_two_that_did_not() {
    // All but those two have that long to answer.
    const DRAIN: Duration = Duration::from_secs(5);
    let _alone = alone();
    let never = loopback::PATIENCE * 4;
    let limits = Limits {
        drain_timeout: DRAIN,
        head_timeout: never,
        close_timeout: never,
        ping_interval: never,
        ..Limits::default()
    };
    let (server, told) = server(limits);
    let listening = loopback::bind(server);
    let (address, handle) = (loopback::wire::address(&listening), listening.handle());
    let serving = std::thread::spawn(move || listening.serve());
    let mut clients = connect(202, address, &told);
    let mut silent = Client::connect(address);
    let (release, held) = channel();
    HELD.lock().expect("no panic").push(held);
    clients[0].0.text("hold on");
    for (client, _) in &mut clients {
        assert_eq!(client.next_text(), "on", "the handler runs");
    }
    let (stuck, _) = clients.remove(0);
    let (stalled, id) = clients.remove(0);
    // More than the system holds for a socket.
    assert_eq!(Comms::websocket(id).send(vec![0; 16 * 1024 * 1024]).expect("room"), 1);

    let begun = Instant::now();
    let ending = std::thread::spawn(move || (handle.shutdown(), begun.elapsed()));
    for (client, _) in &mut clients {
        assert_eq!(client.next_close(), (1001, "the server shuts down".to_string()));
        client.frame(0x88, b"\x03\xe9");
        client.assert_end();
    }
    silent.assert_end();
    let (left, took) = ending.join().expect("no panic");
    let mut left: Vec<_> = left.into_iter().map(|stuck| (stuck.path, stuck.peer)).collect();
    left.sort();
    let peer = |client: &Client| client.stream.peer();
    assert_eq!(left, [(None, peer(&stalled)), (Some("/ws".to_string()), peer(&stuck))]);
    assert!(took >= DRAIN && took < DRAIN + loopback::PATIENCE, "{:?}", took);
    serving.join().expect("no panic").expect("a thread");
    if cfg!(target_os = "linux") {
        wait_until("all threads have ended but one", || server_threads() <= 1);
        assert_eq!(server_threads(), 1, "the handler has not returned");
        drop(release);
        wait_until("it has returned", || server_threads() == 0);
    }
}

#[test]
fn who_has_asked_for_nothing_yet_counts_and_a_crowd_of_them_does_not_get_a_thread_each() {
    const CROWD: usize = 100; // fewer than a system lets wait for an accept
    let _alone = alone();
    for beginning in [&b""[..], b"GET /", b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n"] {
        let limits =
            Limits { connections: 2, head_timeout: loopback::PATIENCE, ..Limits::default() };
        let running = Running::start(server(limits).0);
        let come = |_| {
            let client = Client::connect(running.address);
            // Fails when it was turned away at once.
            let _ = (&client.stream).write_all(beginning);
            client
        };
        let crowd: Vec<Client> = (0..CROWD).map(come).collect();
        let mut most = 0;
        wait_until("all but two are turned away", || {
            most = most.max(server_threads());
            crowd.iter().filter(|client| is_told(client)).count() == CROWD - 2
        });
        // Two are served, eight wait for a place, eight tell the others, eight stand at the door, and
        // some are on the way: more of them where the machine is busy.
        assert!(most < CROWD - 10, "{} threads", most);
    }
}

#[test]
fn the_second_of_two_messages_waits_for_no_acknowledgement_of_the_first() {
    let _alone = alone();
    let (_running, mut clients) = start(1, Limits::default());
    let (client, _) = &mut clients[0];
    let round = |_| {
        client.text("drops 2");
        assert_eq!(client.next().payload.len(), 500);
        let begun = Instant::now();
        assert_eq!(client.next().payload.len(), 500);
        begun.elapsed()
    };
    // In the beginning a system acknowledges at once, later after 40 ms or more. A busy machine may
    // delay most of them.
    let mut times: Vec<Duration> = (0..60).map(round).skip(20).collect();
    times.sort();
    assert!(times[10] < Duration::from_millis(20), "{:?}", times);
}

#[test]
fn a_relay_comes_before_the_servers() {
    struct Nowhere;
    impl sockling::relay::Relay for Nowhere {
        fn start(&self, _: sockling::relay::Link) -> Result<(), Error> {
            Ok(())
        }
        fn publish(&self, _: &str, _: Vec<u8>) -> Result<(), Error> {
            Ok(())
        }
        fn changed(&self, _: &str) {}
    }
    let _alone = alone();
    loopback::bind(Server::new(Vec::new()));
    let refused = Comms::relay(Nowhere).unwrap_err().to_string();
    assert_eq!(refused, "a relay is set before a server is bound");
}

/// Limits under which a client that does not read is borne for as long as the test lasts.
fn patient() -> Limits {
    let write_timeout = Duration::from_secs(3600);
    Limits { write_timeout, overflow: Overflow::Drop, ..Limits::default() }
}

/// Counts votes and tells all of the count, under one lock: so all hear the counts in order.
#[derive(Clone, Default)]
struct Poll(Arc<Mutex<u64>>);

impl Poll {
    fn vote(&self, bytes: usize) -> Result<u64, Error> {
        let mut votes = self.0.lock().map_err(|_| "poisoned")?;
        *votes += 1;
        // More than may wait for a client, if the test says so.
        for piece in vec![7; bytes].chunks(64 * 1024) {
            Comms::topic("poll").send(piece)?;
            Comms::broadcast(1).send(votes.to_string())?;
        }
        Ok(*votes)
    }
}

impl WebsocketController for Poll {
    fn handle_connection(&self, _: &SessionId) -> Result<(), Error> {
        assert!(Comms::topic("poll").join_here());
        Ok(())
    }

    fn handle_message(&self, _: &SessionId, message: Message) -> Result<(), Error> {
        let bytes = message.as_text().and_then(|text| text.parse().ok()).ok_or("no number")?;
        self.vote(bytes).map(drop)
    }
}

impl Controller for Poll {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

#[test]
fn a_voter_that_floods_and_does_not_read_holds_up_nobody_that_needs_the_applications_lock() {
    let _alone = alone();
    let poll = Poll::default();
    let by_http = poll.clone();
    let vote = move |_: &Request| Ok(Response::new().text(by_http.vote(1)?.to_string()));
    let routes = vec![Handler::new("/poll", poll), Handler::new("/vote", vote)];
    let running = Running::start(Server::new(routes).limits(patient()));
    let mut voter = Client::websocket(running.address, "/poll", "");
    voter.stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a socket option");
    let votes = masked(0x81, b"2000000").repeat(1000);
    // Until the server reads no more. Its thread would hold the lock until the voter reads.
    while voter.stream.write_all(&votes).is_ok() {}
    let mut last = 0;
    for _ in 0..20 {
        let votes = Client::connect(running.address).get("/vote", "");
        let now = votes.text().parse().expect("a number");
        assert!(now > last, "each is counted");
        last = now;
    }
    assert_eq!(Comms::topic("poll").len(), 1, "it is still there, and misses messages");
}

#[test]
fn a_client_that_sends_much_at_once_and_reads_late_gets_what_a_topic_answers_to_each() {
    let _alone = alone();
    const VOTES: usize = 3000;
    let running = Running::start(Server::new(vec![Handler::new("/poll", Poll::default())]));
    let mut voter = Client::websocket(running.address, "/poll", "");
    voter.stream.write_all(&masked(0x81, b"10000").repeat(VOTES)).expect("a small batch");
    wait_until("it is behind", || Comms::stats().waiting > 64 * 1024);
    // For longer than a client may be behind before it is cut off for what is sent to it.
    std::thread::sleep(Duration::from_millis(300));
    let mut answers = 0;
    while answers < VOTES {
        answers += usize::from(voter.next().payload.len() == 10_000);
    }
    assert_eq!(Comms::connections(), 1);
}

#[test]
fn a_handler_that_waits_for_its_own_client_holds_no_lock_of_the_library() {
    let _alone = alone();
    let stream = |request: &Request| {
        request.upgrade(&[], |client| {
            assert!(Comms::topic("slow/stream").join_here());
            while client.receive()?.is_some() {
                (0..1024).try_for_each(|_| client.send(vec![7; 64 * 1024]))?;
            }
            Ok(())
        })
    };
    let (tell, told) = channel();
    let desk = Handler::new("/ws", Desk(Mutex::new(tell)));
    let routes = vec![desk, Handler::new("/stream", stream)];
    let running = Running::start(Server::new(routes).limits(patient()));
    let mut slow = Client::websocket(running.address, "/stream", "");
    wait_until("it has joined", || !Comms::topic("slow/stream").is_empty());
    let id = Comms::topic("slow/stream").members()[0];
    slow.text("begin");
    wait_until("its handler waits", || Comms::websocket(id).backlog() > 512 * 1024);
    // Who comes, goes, joins, is sent to or sends needs each lock of the library.
    let mut other = Client::websocket(running.address, "/ws", "");
    let other_id = told.recv().expect("it is there");
    let topic = Comms::topic("slow/stream").keep(3);
    assert!(topic.subscribe(&other_id));
    wait_until("all are told", || topic.send("x").map_or(false, |sent| sent >= 1));
    assert_eq!(other.next_text(), "x");
    assert!(Comms::notify().send("y").is_ok() && Comms::stats().waiting > 512 * 1024);
    assert_eq!(other.next_text(), "y");
    drop(other);
    wait_until("it has gone", || topic.len() == 1);
    assert_eq!(topic.close(CloseCode(4000), "over").expect("a good code"), 1);
}

transports! {
    all {
        a_broadcast_reaches_all_others_and_a_notification_everybody
        a_session_can_be_closed_from_outside_and_only_with_a_code_that_may_be_sent
        sending_to_nobody_is_no_error_and_leaves_nothing
        what_was_taken_arrives_once_and_in_order_while_others_stall_and_leave
        a_client_that_does_not_read_is_cut_off_the_sender_told_and_the_others_served
        a_handler_that_streams_to_its_own_client_waits_for_it
        what_a_handler_sends_does_not_wait_for_its_end_when_more_input_is_there
        a_large_message_reaches_a_slow_but_steady_client_whatever_its_heartbeat
        nothing_follows_a_close_frame_not_even_a_pong
        a_client_that_has_ended_its_side_and_does_not_read_is_given_up_at_the_write_timeout
        what_a_handler_sends_does_not_wait_for_its_end_when_another_thread_wrote_what_came_before
        a_client_that_its_own_handler_streams_to_is_not_cut_off_by_what_others_send
        a_panic_takes_back_nothing_that_was_sent_before_it
        a_thousand_panics_leave_nothing_behind_while_others_send
        a_shutdown_among_two_hundred_ends_in_time_and_names_the_two_that_did_not
        who_has_asked_for_nothing_yet_counts_and_a_crowd_of_them_does_not_get_a_thread_each
        the_second_of_two_messages_waits_for_no_acknowledgement_of_the_first
        a_relay_comes_before_the_servers
        a_voter_that_floods_and_does_not_read_holds_up_nobody_that_needs_the_applications_lock
        a_client_that_sends_much_at_once_and_reads_late_gets_what_a_topic_answers_to_each
        a_handler_that_waits_for_its_own_client_holds_no_lock_of_the_library
    }
    not over memory: "there are no descriptors" {
        a_client_whose_batch_was_cut_keeps_no_descriptor_of_those_it_sent_to
    }
    only over TCP: "what a client misses that waits for a processor fits into no smaller buffer" {
        a_client_that_reads_is_not_cut_off_however_fast_others_send
        a_flood_of_pings_to_a_client_that_does_not_read_takes_no_memory
    }
}
