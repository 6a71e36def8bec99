//! One WebSocket: order of events, close handshake, and what is answered together.

use super::loopback::{masked, upgrade_request, wait_until, Client, Running, PATIENCE};
use super::{fast, Told};
use sockling::limits::Limits;
use sockling::prelude::*;
use std::sync::mpsc::Receiver;
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
fn what_comes_after_a_close_frame_does_not_count() {
    let (running, events) = start(Limits::default());
    let mut client = Client::websocket(running.address, "/ws", "");
    let mut bytes = masked(0x88, b"\x03\xe8");
    bytes.extend(masked(0x81, b"late"));
    bytes.extend(masked(0x89, b"late"));
    client.send(&bytes);
    assert_eq!(client.next_close().0, 1000);
    client.assert_end();
    assert_eq!(next(&events), "connected");
    assert_eq!(next(&events), "disconnected, connected: false, close: 1000 \"\"");
}

#[test]
fn a_client_that_vanishes_leaves_the_map_and_is_told_of_once() {
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
fn an_error_or_a_panic_of_a_handler_is_1011_and_ends_one_conversation() {
    let (running, events) = start(Limits::default());
    let mut other = Client::websocket(running.address, "/ws", "");
    assert_eq!(next(&events), "connected");
    for order in ["fail", "panic"] {
        let mut client = Client::websocket(running.address, "/ws", "");
        client.text(order);
        assert_eq!(client.next_close(), (1011, String::new()));
        client.assert_end();
        assert_eq!(next(&events), "connected");
        assert_eq!(next(&events), "disconnected, connected: false, close: none");
    }
    other.text("still here");
    assert_eq!(other.next_text(), "still here");
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
    let (running, events) = start(Limits { ping_interval: Duration::ZERO, ..fast() });
    let mut client = Client::websocket(running.address, "/ws", "");
    client.text("close");
    assert_eq!(client.next_close().0, 4000);
    let begun = Instant::now();
    client.assert_end();
    assert!(begun.elapsed() >= Duration::from_millis(400), "the answer was waited for");
    assert_eq!(next(&events), "connected");
    assert_eq!(next(&events), "disconnected, connected: false, close: none");
}

#[test]
fn a_client_that_goes_on_after_a_violation_is_cut_off_in_the_same_time() {
    // Less than what the server lingers for at most.
    let limits = Limits { close_timeout: Duration::from_millis(500), ..Limits::default() };
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
fn a_violation_is_told_and_ends_the_connection() {
    let (running, events) = start(Limits::default());
    for (bytes, code) in [
        (&b"\x81\x05hello"[..], 1002), // without a mask
        (b"\x83\x80\0\0\0\0", 1002),   // a reserved opcode
        (b"\x81\x81\0\0\0\0\xff", 1007),
        (b"\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0", 1009), // 2^62 octets, claimed
        (b"\x88\x82\0\0\0\0\x03\xed", 1002),           // 1005 may not be sent
    ] {
        let mut client = Client::websocket(running.address, "/ws", "");
        client.send(bytes);
        assert_eq!(client.next_close().0, code, "{:?}", bytes);
        client.assert_end();
        assert_eq!(next(&events), "connected");
        assert_eq!(next(&events), "disconnected, connected: false, close: none");
    }
}

#[test]
fn a_silent_client_is_pinged_and_then_cut_off_and_an_answer_keeps_it() {
    let (running, _events) = start(fast());
    let mut answering = Client::websocket(running.address, "/ws", "");
    let mut silent = Client::websocket(running.address, "/ws", "");
    let begun = Instant::now();
    let answers = std::thread::spawn(move || {
        for _ in 0..5 {
            let ping = answering.any_frame();
            assert_eq!((ping.opcode, &*ping.payload), (9, &b""[..]));
            answering.frame(0x8a, b"");
        }
        answering
    });
    assert_eq!(silent.any_frame().opcode, 9);
    assert_eq!(silent.next_close(), (1011, "no answer to a ping".to_string()));
    assert!(begun.elapsed() >= Duration::from_millis(900), "pinged after 500 ms, waited 500 ms");
    silent.assert_end();
    let mut answering = answers.join().expect("five pings");
    answering.text("alive");
    assert_eq!(answering.next_text(), "alive");
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
fn the_largest_message_comes_back_and_one_octet_more_is_1009() {
    let (running, _events) = start(Limits::default());
    let mut client = Client::websocket(running.address, "/ws", "");
    let largest: Vec<u8> = (0..1024 * 1024).map(|octet| octet as u8).collect();
    client.frame(0x82, &largest);
    assert!(client.next().payload == largest, "the same octets");
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
    let running = Running::start(server);
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
    ] {
        let (_, reply) =
            Client::upgrade(running.address, "/ws", &format!("Origin: {}\r\n", origin));
        assert_eq!(reply.status, status, "{}", origin);
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
