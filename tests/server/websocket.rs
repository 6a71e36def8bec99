//! One WebSocket: order of events, close handshake, and what is answered together.

use super::loopback::wire::transports;
use super::loopback::{masked, upgrade_request, wait_until, Client, Running, PATIENCE};
use super::{patient, Told};
use sockling::limits::Limits;
use sockling::prelude::*;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn start(limits: Limits) -> (Running, Receiver<String>) {
    let (told, events) = Told::new();
    (Running::start(Server::new(vec![Handler::new("/ws", told)]).limits(limits)), events)
}

fn next(events: &Receiver<String>) -> String {
    events.recv_timeout(PATIENCE).expect("an event")
}

#[test]
fn a_client_that_closes_is_answered_with_its_code_and_the_server_ends_the_connection_first() {
    let (running, events) = start(Limits::default());
    let mut client = Client::websocket(running.address, "/ws", "");
    assert_eq!(next(&events), "connected");
    client.text("before");
    client.frame(0x88, b"\x0f\xa1bye");
    assert_eq!(client.next_text(), "before");
    assert_eq!(client.next_close(), (4001, "bye".to_string()));
    client.assert_end();
    drop(client);
    assert_eq!(next(&events), "disconnected, connected: false, close: 4001 \"bye\"");
}

#[test]
fn nothing_that_follows_a_close_frame_counts() {
    let (running, events) = start(Limits::default());
    let mut client = Client::websocket(running.address, "/ws", "");
    let mut bytes = masked(0x88, b"\x03\xe8");
    bytes.extend(masked(0x81, b"late"));
    bytes.extend(masked(0x89, b"late"));
    client.send(&bytes);
    assert_eq!(client.next_close().0, 1000);
    client.assert_end();
    drop(client);
    assert_eq!(next(&events), "connected");
    assert_eq!(next(&events), "disconnected, connected: false, close: 1000 \"\"");
}

#[test]
fn a_client_that_vanishes_leaves_the_registry_and_is_reported_once() {
    let (running, events) = start(Limits::default());
    let mut client = Client::websocket(running.address, "/ws", "");
    client.send(b"\x81\x85half"); // an end inside a frame
    drop(client);
    assert_eq!(next(&events), "connected");
    assert_eq!(next(&events), "disconnected, connected: false, close: none");
    drop(running);
    assert!(events.recv().is_err(), "nothing further");
}

#[test]
fn a_client_that_resets_the_connection_is_reported_once_too() {
    let (running, events) = start(Limits::default());
    let mut client = Client::websocket(running.address, "/ws", "");
    client.text("never read");
    client.stream.peek(&mut [0]).expect("the echo");
    drop(client); // with bytes that it has not read: so it is no orderly end
    assert_eq!(next(&events), "connected");
    assert_eq!(next(&events), "disconnected, connected: false, close: none");
    drop(running);
    assert!(events.recv().is_err(), "nothing further");
}

#[test]
fn an_error_or_a_panic_of_a_handler_is_1011_and_ends_one_conversation() {
    let close_timeout = Duration::from_millis(500);
    let (running, events) = start(Limits { close_timeout, ..patient() });
    let mut other = Client::websocket(running.address, "/ws", "");
    assert_eq!(next(&events), "connected");
    for order in ["fail", "panic"] {
        let mut client = Client::websocket(running.address, "/ws", "");
        client.text(order);
        assert_eq!(client.next_close(), (1011, String::new()));
        client.assert_end();
        drop(client);
        assert_eq!(next(&events), "connected");
        assert_eq!(next(&events), "disconnected, connected: false, close: none");
    }
    other.text("still here");
    assert_eq!(other.next_text(), "still here");
}

/// Fails in one place, by an error or by a panic, and tells where it was called.
struct Failing {
    place: &'static str,
    panics: bool,
    calls: Mutex<Sender<&'static str>>,
}

impl Failing {
    fn call(&self, place: &'static str) -> Result<(), Error> {
        self.calls.lock().map_err(|_| "poisoned")?.send(place).map_err(Error::other)?;
        match self.panics {
            _ if place != self.place => Ok(()),
            false => Err("as told".into()),
            true => std::panic::panic_any("as told"),
        }
    }
}

impl WebsocketController for Failing {
    fn handle_connection(&self, _: &SessionId) -> Result<(), Error> {
        self.call("connection")
    }

    fn handle_message(&self, _: &SessionId, _: Message) -> Result<(), Error> {
        self.call("message")
    }

    fn handle_disconnection(&self, _: &SessionId, _: Option<&CloseFrame>) -> Result<(), Error> {
        self.call("disconnection")
    }
}

impl Controller for Failing {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

#[test]
fn a_failure_at_the_beginning_or_the_end_of_a_conversation_is_that_conversations_alone() {
    const COUNT: usize = 10; // more than the threads that wait in `accept`
    for (place, panics, code, messages) in [
        ("connection", false, 1011, 0),
        ("connection", true, 1011, 0),
        ("disconnection", false, 1000, COUNT),
        ("disconnection", true, 1000, COUNT),
    ] {
        let (tell, calls) = channel();
        let failing = Failing { place, panics, calls: Mutex::new(tell) };
        let running = Running::start(Server::new(vec![Handler::new("/ws", failing)]));
        for _ in 0..COUNT {
            let mut client = Client::connect(running.address);
            let frames = [masked(0x81, b"hello"), masked(0x88, b"\x03\xe8")].concat();
            client.send(&[upgrade_request("/ws", "").into_bytes(), frames].concat());
            assert_eq!(client.reply().status, 101);
            assert_eq!(client.next_close(), (code, String::new()), "{}", place);
            client.assert_end();
        }
        drop(running);
        let calls: Vec<&str> = calls.iter().collect();
        let count = |name: &str| calls.iter().filter(|call| **call == name).count();
        assert_eq!(
            (count("connection"), count("message"), count("disconnection")),
            (COUNT, messages, COUNT),
            "a failing {}",
            place
        );
    }
}

#[test]
fn a_close_of_the_server_waits_for_the_clients_answer() {
    let (running, events) = start(Limits::default());
    let mut client = Client::websocket(running.address, "/ws", "");
    client.text("close");
    assert_eq!(client.next_close(), (4000, "as told".to_string()));
    client.text("not echoed any more");
    client.frame(0x88, b"\x0f\xa0");
    client.assert_end();
    assert_eq!(next(&events), "connected");
    assert_eq!(next(&events), "disconnected, connected: false, close: 4000 \"\"");
}

#[test]
fn a_client_that_ignores_a_close_of_the_server_is_cut_off_in_time() {
    let close_timeout = Duration::from_millis(500);
    let (running, events) = start(Limits { close_timeout, ..patient() });
    let mut client = Client::websocket(running.address, "/ws", "");
    let begun = Instant::now();
    client.text("close");
    assert_eq!(client.next_close().0, 4000);
    client.assert_end();
    assert!(begun.elapsed() >= close_timeout, "the answer was waited for");
    assert_eq!(next(&events), "connected");
    assert_eq!(next(&events), "disconnected, connected: false, close: none");
}

#[test]
fn a_client_that_ignores_a_close_of_another_thread_is_cut_off_in_time() {
    const USER: i64 = 4711;
    // Nobody but the clock keeps a time here: the connection's thread waits in a read.
    let close_timeout = Duration::from_millis(500);
    let limits = Limits { close_timeout, ping_interval: Duration::ZERO, ..patient() };
    let (told, events) = Told::new();
    let routes = vec![
        Handler::new("/ws", told),
        Handler::new("/login", |request: &Request| Ok(request.login(USER))),
    ];
    let running = Running::start(Server::new(routes).limits(limits));
    let cookie = Client::connect(running.address).get("/login", "").cookie().expect("a cookie");
    let mut client = Client::websocket(running.address, "/ws", &format!("Cookie: {}\r\n", cookie));
    assert_eq!(next(&events), "connected");
    let begun = Instant::now();
    assert_eq!(Comms::websocket(USER).close(CloseCode(4000), "enough").expect("a good code"), 1);
    assert_eq!(client.next_close(), (4000, "enough".to_string()));
    client.assert_end();
    let took = begun.elapsed();
    assert!(took >= close_timeout, "the answer was waited for: {:?}", took);
    assert_eq!(next(&events), "disconnected, connected: false, close: none");
}

#[test]
fn a_client_that_goes_on_after_a_violation_is_cut_off_in_the_same_time() {
    // Less than what the server lingers for at most.
    let limits = Limits { close_timeout: Duration::from_millis(500), ..patient() };
    let (running, _events) = start(limits);
    let mut client = Client::websocket(running.address, "/ws", "");
    client.send(b"\xf1\x80\0\0\0\0");
    assert_eq!(client.next_close().0, 1002);
    let begun = std::time::Instant::now();
    // Refused once the socket is shut.
    while std::io::Write::write_all(&mut client.stream, b"x").is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(4), "it is cut off");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_violation_closes_the_connection_with_its_code() {
    let close_timeout = Duration::from_millis(500);
    let (running, events) = start(Limits { close_timeout, ..patient() });
    for (bytes, code) in [
        (&b"\x81\x05hello"[..], 1002), // without a mask
        (b"\x83\x80\0\0\0\0", 1002),   // a reserved opcode
        (b"\x81\x81\0\0\0\0\xff", 1007),
        (b"\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0", 1009), // 2^62 bytes, claimed
        (b"\x88\x82\0\0\0\0\x03\xed", 1002),           // 1005 may not be sent
    ] {
        let mut client = Client::websocket(running.address, "/ws", "");
        client.send(bytes);
        assert_eq!(client.next_close().0, code, "{:?}", bytes);
        client.assert_end();
        drop(client);
        assert_eq!(next(&events), "connected");
        assert_eq!(next(&events), "disconnected, connected: false, close: none");
    }
}

/// Answers when a lock is free.
struct Waiting(Arc<Mutex<()>>);

impl WebsocketController for Waiting {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        drop(self.0.lock());
        Comms::websocket(client).send(message)?;
        Ok(())
    }
}

impl Controller for Waiting {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

#[test]
fn a_heartbeat_spares_clients_that_send_a_byte_now_and_then_and_those_whose_handler_runs() {
    // Who is taken for dead goes after 3.2 s. A ping comes each 200 ms, and so does a sign of life.
    let (ping_interval, pong_timeout) = (Duration::from_millis(200), Duration::from_secs(3));
    let limits = Limits { ping_interval, pong_timeout, ..patient() };
    let pause = Duration::from_secs(4);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (running, _events) = start(limits.clone());
            let mut client = Client::websocket(running.address, "/ws", "");
            let (begun, whole) = (Instant::now(), masked(0x82, &[7; 100]));
            let mut sent = 0;
            while begun.elapsed() < pause {
                assert_eq!(client.any_frame().opcode, 9, "after {} bytes, and no pong", sent);
                client.send(&whole[sent..][..1]);
                sent += 1;
            }
            client.send(&whole[sent..]);
            assert_eq!(client.next().payload, [7; 100]);
        });
        scope.spawn(|| {
            let lock = Arc::new(Mutex::new(()));
            let routes = vec![Handler::new("/ws", Waiting(Arc::clone(&lock)))];
            let running = Running::start(Server::new(routes).limits(limits.clone()));
            let mut client = Client::websocket(running.address, "/ws", "");
            assert_eq!(client.any_frame().opcode, 9);
            let held = lock.lock().expect("no panic");
            client.text("instead of a pong");
            std::thread::sleep(pause);
            drop(held);
            assert_eq!(client.next_text(), "instead of a pong");
            assert_eq!(client.any_frame().opcode, 9);
            client.frame(0x8a, b"");
            client.text("still here");
            assert_eq!(client.next_text(), "still here");
        });
        // Zero is no heartbeat.
        scope.spawn(|| {
            let (running, _events) =
                start(Limits { ping_interval: Duration::ZERO, ..limits.clone() });
            let mut client = Client::websocket(running.address, "/ws", "");
            std::thread::sleep(pause);
            client.text("undisturbed");
            let frame = client.any_frame();
            assert_eq!((frame.opcode, &*frame.payload), (1, &b"undisturbed"[..]));
        });
    });
}

#[test]
fn a_silent_client_is_pinged_and_then_cut_off_and_an_answer_keeps_it() {
    // The answer to a ping has three seconds; without one, the end comes after 3.2.
    let (ping_interval, pong_timeout) = (Duration::from_millis(200), Duration::from_secs(3));
    let (close_timeout, whole) = (Duration::from_millis(500), ping_interval + pong_timeout);
    let (running, _events) =
        start(Limits { ping_interval, pong_timeout, close_timeout, ..patient() });
    let mut answering = Client::websocket(running.address, "/ws", "");
    let begun = Instant::now();
    let mut silent = Client::websocket(running.address, "/ws", "");
    let answers = std::thread::spawn(move || {
        // For longer than a silent client is borne.
        while begun.elapsed() < whole + ping_interval {
            let ping = answering.any_frame();
            assert_eq!((ping.opcode, &*ping.payload), (9, &b""[..]));
            answering.frame(0x8a, b"");
        }
        answering.text("alive");
        assert_eq!(answering.next_text(), "alive");
    });
    assert_eq!(silent.any_frame().opcode, 9);
    assert_eq!(silent.next_close(), (1011, "no answer to a ping".to_string()));
    assert!(begun.elapsed() >= whole, "the answer was waited for");
    silent.assert_end();
    answers.join().expect("it is alive");
}

#[test]
fn pings_are_answered_in_order_with_their_payload() {
    let (running, _events) = start(Limits::default());
    let mut client = Client::websocket(running.address, "/ws", "");
    let mut bytes = Vec::new();
    for number in 0..10u8 {
        bytes.extend(masked(0x89, &[number]));
        bytes.extend(masked(0x82, &[number]));
    }
    client.send(&bytes);
    for number in 0..10u8 {
        for opcode in [10, 2] {
            let frame = client.next();
            assert_eq!((frame.opcode, &*frame.payload), (opcode, &[number][..]));
        }
    }
}

#[test]
fn frames_in_the_segment_of_the_handshake_are_handled() {
    let (running, _events) = start(Limits::default());
    let mut client = Client::connect(running.address);
    let mut bytes = upgrade_request("/ws", "").into_bytes();
    bytes.extend(masked(0x81, b"early"));
    client.send(&bytes);
    assert_eq!(client.reply().status, 101);
    assert_eq!(client.next_text(), "early");
}

#[test]
fn ten_thousand_small_frames_at_once_come_back_in_order() {
    let (running, _events) = start(Limits::default());
    let mut client = Client::websocket(running.address, "/ws", "");
    let frames: Vec<u8> =
        (0..10_000u32).flat_map(|number| masked(0x82, &number.to_be_bytes())).collect();
    let mut writer = client.stream.try_clone().expect("a second handle");
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &frames));
    for number in 0..10_000u32 {
        assert_eq!(client.next().payload, number.to_be_bytes());
    }
    writing.join().expect("no panic").expect("all was read");
}

#[test]
fn answers_do_not_wait_for_the_rest_of_a_frame_that_the_first_buffer_cut() {
    let (running, _events) = start(Limits::default());
    for length in [2 * 1024, 8 * 1024, 32 * 1024, 64 * 1024] {
        let mut client = Client::websocket(running.address, "/ws", "");
        let whole = masked(0x82, &[1; 100]);
        let (count, rest) = (length / whole.len(), length % whole.len());
        let last = masked(0x82, &[2; 100]);
        client.send(&[whole.repeat(count), last[..rest].to_vec()].concat());
        for _ in 0..count {
            assert_eq!(client.next().payload, [1; 100], "of {}", length);
        }
        client.send(&last[rest..]);
        assert_eq!(client.next().payload, [2; 100]);
    }
}

#[test]
fn the_largest_message_comes_back_and_one_byte_more_is_1009() {
    let (running, _events) = start(Limits::default());
    let mut client = Client::websocket(running.address, "/ws", "");
    let largest: Vec<u8> = (0..1024 * 1024).map(|byte| byte as u8).collect();
    client.frame(0x82, &largest);
    assert!(client.next().payload == largest, "the same bytes");
    client.send(b"\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0");
    assert_eq!(client.next_close().0, 1009);
}

#[test]
fn a_subprotocol_is_the_servers_first_that_the_client_offers() {
    let (running, _events) = start(Limits::default());
    for (offer, chosen) in
        [("chat.v1", Some("chat.v1")), ("chat.v1, chat.v2", Some("chat.v2")), ("superchat", None)]
    {
        let fields = format!("Sec-WebSocket-Protocol: {}\r\n", offer);
        let (_, reply) = Client::upgrade(running.address, "/ws", &fields);
        assert_eq!(
            (reply.status, reply.header("sec-websocket-protocol")),
            (101, chosen),
            "{}",
            offer
        );
    }
    let (_, reply) = Client::upgrade(running.address, "/ws", "Sec-WebSocket-Protocol: a b\r\n");
    assert_eq!(reply.status, 400);
}

#[test]
fn a_page_of_another_origin_is_refused_unless_it_is_allowed() {
    let (told, _events) = Told::new();
    let server =
        Server::new(vec![Handler::new("/ws", told)]).allowed_origins(["https://app.example"]);
    let running = Running::start(server.allowed_origins(["https://slash.example/"]));
    let own = format!("http://127.0.0.1:{}", running.address.port());
    for (origin, status) in [
        ("http://localhost", 101), // the request's Host is localhost, port 80
        ("http://127.0.0.1", 101), // another name of the loopback interface
        ("http://[::1]:80", 101),
        ("https://localhost", 101), // its port is 443 by default, and so would Host's be
        ("https://app.example", 101),
        ("http://app.example", 403),
        ("http://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("null", 403),
        (&own, 403), // another port
        // From programs.
        ("ws://localhost", 101),
        ("wss://127.0.0.1/", 101),
        ("https://app.example/", 101),
        ("https://slash.example", 101),
        ("https://slash.example/", 101),
        ("https://slash.example/x", 403),
        ("wss://app.example", 403), // what is named is allowed as it is named
        // Names of loopback that are origins of their own.
        ("http://localhost.", 403),
        ("http://a.localhost", 403),
        ("http://[::ffff:127.0.0.1]", 403),
        ("http://127.0.0.2", 403),
    ] {
        let (_, reply) =
            Client::upgrade(running.address, "/ws", &format!("Origin: {}\r\n", origin));
        assert_eq!(reply.status, status, "{}", origin);
    }
}

#[test]
fn of_the_names_of_loopback_three_are_one_origin_and_the_others_each_their_own() {
    let (told, _events) = Told::new();
    let running = Running::start(Server::new(vec![Handler::new("/ws", told)]));
    let names = [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "localhost.",
        "a.localhost",
        "b.localhost",
        "[::ffff:127.0.0.1]",
    ];
    let open = |host: &str, origin: &str| {
        let fields = format!("Origin: http://{}:8000\r\n", origin);
        let request = upgrade_request("/ws", &fields);
        let mut client = Client::connect(running.address);
        let host = format!("Host: {}:8000", host);
        client.send(request.replace("Host: localhost", &host).as_bytes());
        client.reply().status
    };
    for (at, host) in names.iter().enumerate() {
        for (from, origin) in names.iter().enumerate() {
            let own = at == from || at < 3 && from < 3;
            assert_eq!(open(host, origin), if own { 101 } else { 403 }, "{} at {}", origin, host);
        }
    }
    assert_eq!(open("[::ffff:127.0.0.1]", "[::ffff:7f00:1]"), 101, "as browsers write it");
}

#[test]
fn with_secure_cookies_a_page_of_plain_http_is_another_origin() {
    let (told, _events) = Told::new();
    let change = |request: &Request| {
        request.check_origin()?;
        Ok(Response::new().text("changed"))
    };
    let routes = vec![Handler::new("/ws", told), Handler::new("/", change)];
    let server = Server::new(routes).secure_cookies(true);
    let running = Running::start(server.allowed_origins(["http://old.example"]));
    for (fields, allowed) in [
        ("", true),
        ("Origin: https://localhost\r\n", true),
        ("Origin: https://localhost:443\r\n", true),
        ("Origin: https://127.0.0.1\r\n", true),
        ("Origin: https://localhost/\r\n", true),
        ("Origin: wss://localhost\r\n", true),
        ("Origin: ws://localhost\r\n", false),
        ("Origin: ws://localhost/\r\n", false),
        ("Origin: http://localhost/\r\n", false),
        ("Origin: http://localhost\r\n", false),
        ("Origin: HTTP://localhost\r\n", false),
        ("Origin: http://localhost:80\r\n", false),
        ("Origin: http://127.0.0.1\r\n", false),
        // What the application names is allowed as it is named.
        ("Origin: http://old.example\r\n", true),
    ] {
        let (_, reply) = Client::upgrade(running.address, "/ws", fields);
        assert_eq!(reply.status, if allowed { 101 } else { 403 }, "{}", fields);
        let sites =
            if fields.is_empty() { &[""][..] } else { &["", "Sec-Fetch-Site: cross-site\r\n"] };
        for site in sites {
            let fields = [fields, site].concat();
            for method in ["GET", "POST"] {
                let mut client = Client::connect(running.address);
                let head = format!("{} / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", method, fields);
                client.send(head.as_bytes());
                let status = if allowed { 200 } else { 403 };
                assert_eq!(client.reply().status, status, "{} {}", method, fields);
            }
        }
    }
}

#[test]
fn one_websocket_more_than_a_session_may_have_is_429() {
    let (running, _events) = start(Limits { connections_per_session: 2, ..Limits::default() });
    let (first, reply) = Client::upgrade(running.address, "/ws", "");
    let cookie = format!("Cookie: {}\r\n", reply.cookie().expect("a cookie"));
    let _second = Client::websocket(running.address, "/ws", &cookie);
    let (_, reply) = Client::upgrade(running.address, "/ws", &cookie);
    assert_eq!(reply.status, 429);
    let _stranger = Client::websocket(running.address, "/ws", "");
    drop(first);
    wait_until("there is room again", || {
        Client::upgrade(running.address, "/ws", &cookie).1.status == 101
    });
}

#[test]
fn a_client_that_sends_too_many_messages_or_pings_in_a_second_is_told_1008() {
    let limits = Limits { messages_per_second: 50, ..Limits::default() };
    let (told, _) = Told::new();
    let running = Running::start(Server::new(vec![Handler::new("/ws", told)]).limits(limits));
    for first in [0x81, 0x82, 0x89] {
        let mut client = Client::websocket(running.address, "/ws", "");
        let flood: Vec<u8> = (0..2000).flat_map(|_| masked(first, b"x")).collect();
        client.send(&flood);
        let mut answers = 0;
        let close = loop {
            let frame = client.any_frame();
            match frame.opcode {
                8 => break frame,
                _ => answers += 1,
            }
        };
        assert_eq!(close.payload, b"\x03\xf0too many messages");
        assert!((50..2000).contains(&answers), "{} of {:#x} were answered", answers, first);
    }
    // A second's worth may come at once, and again after a second.
    let mut client = Client::websocket(running.address, "/ws", "");
    for _ in 0..2 {
        client.send(&(0..49).flat_map(|_| masked(0x81, b"x")).collect::<Vec<u8>>());
        (0..49).for_each(|_| assert_eq!(client.next_text(), "x"));
        std::thread::sleep(Duration::from_secs(1));
    }
    // Frames of one message count once.
    let fragments = [masked(0x01, b"x"), masked(0x00, b"").repeat(1000), masked(0x80, b"")];
    client.send(&fragments.concat());
    assert_eq!(client.next_text(), "x");
}

#[test]
fn messages_that_wait_for_a_handler_are_not_held_against_their_client() {
    struct Held(Mutex<Receiver<()>>);

    impl WebsocketController for Held {
        fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
            // Held up at the first, and not once the test lets it go.
            let _ = self.0.lock().expect("no panic").recv();
            Comms::websocket(client).send(message).map(drop)
        }
    }

    impl Controller for Held {
        fn handle(&self, request: &Request) -> Result<Response, Error> {
            WebsocketController::handle(self, request)
        }
    }

    let limits = Limits { messages_per_second: 100, ..Limits::default() };
    let (let_go, held) = channel();
    let held = Handler::new("/held", Held(Mutex::new(held)));
    let running = Running::start(Server::new(vec![held]).limits(limits));
    let mut client = Client::websocket(running.address, "/held", "");
    // 90 a second for three seconds: more than a second's worth when the handler goes on.
    let begun = std::time::Instant::now();
    for round in 0..30 {
        (0..9).for_each(|_| client.text("x"));
        let next = begun + Duration::from_millis(100) * (round + 1);
        std::thread::sleep(next.saturating_duration_since(std::time::Instant::now()));
    }
    drop(let_go);
    (0..270).for_each(|_| assert_eq!(client.next_text(), "x"));
}

transports! {
    all {
        a_client_that_closes_is_answered_with_its_code_and_the_server_ends_the_connection_first
        nothing_that_follows_a_close_frame_counts
        a_client_that_vanishes_leaves_the_registry_and_is_reported_once
        a_client_that_resets_the_connection_is_reported_once_too
        an_error_or_a_panic_of_a_handler_is_1011_and_ends_one_conversation
        a_failure_at_the_beginning_or_the_end_of_a_conversation_is_that_conversations_alone
        a_close_of_the_server_waits_for_the_clients_answer
        a_client_that_ignores_a_close_of_the_server_is_cut_off_in_time
        a_client_that_ignores_a_close_of_another_thread_is_cut_off_in_time
        a_client_that_goes_on_after_a_violation_is_cut_off_in_the_same_time
        a_violation_closes_the_connection_with_its_code
        a_heartbeat_spares_clients_that_send_a_byte_now_and_then_and_those_whose_handler_runs
        a_silent_client_is_pinged_and_then_cut_off_and_an_answer_keeps_it
        pings_are_answered_in_order_with_their_payload
        frames_in_the_segment_of_the_handshake_are_handled
        ten_thousand_small_frames_at_once_come_back_in_order
        answers_do_not_wait_for_the_rest_of_a_frame_that_the_first_buffer_cut
        the_largest_message_comes_back_and_one_byte_more_is_1009
        a_subprotocol_is_the_servers_first_that_the_client_offers
        one_websocket_more_than_a_session_may_have_is_429
        a_client_that_sends_too_many_messages_or_pings_in_a_second_is_told_1008
        messages_that_wait_for_a_handler_are_not_held_against_their_client
    }
    only over TCP: "an address of loopback has names of its own" {
        a_page_of_another_origin_is_refused_unless_it_is_allowed
        of_the_names_of_loopback_three_are_one_origin_and_the_others_each_their_own
        with_secure_cookies_a_page_of_plain_http_is_another_origin
    }
}
