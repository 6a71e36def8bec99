//! What clients do, good and bad. Each panics when the server does not do as promised.
//!
//! Who has gone, or was reset, sees no answer: for those, and for all others, it is shown
//! afterwards that nothing of them is left, and that the handlers were told of each end once.

use crate::loopback::{masked, upgrade_request, Client, Reply};
use crate::server::{piece, PIECE};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// What it is called, and what it does at a door on its so-manieth turn.
pub type Behaviour = (&'static str, fn(SocketAddr, usize));

pub const ALL: [Behaviour; 11] = [
    ("HTTP: a request with a body, and another: both answered", http),
    ("WebSocket: three messages echoed, closed with 1000", websocket),
    ("reset, with an answer or a message unread", reset),
    ("part of a request, then gone (or silent: 408)", part_of_a_request),
    ("part of a frame, then gone (or silent: 1008)", part_of_a_frame),
    ("HTTP handler panics: 500", http_panic),
    ("WebSocket handler panics: 1011", websocket_panic),
    ("bad head: its status", bad_head),
    ("bad frame: its close code", bad_frame),
    ("does not read what it is sent: cut off, what came was whole", stalled),
    ("byte by byte: answered all the same", slow),
];

/// One in so many of those who leave in the middle stays instead, and is silent until its time is
/// up.
const SILENT: usize = 500;

static OPENED: AtomicU64 = AtomicU64::new(0);

/// Returns how many WebSockets were opened in all.
pub fn opened() -> u64 {
    OPENED.load(Ordering::Relaxed)
}

/// Opens a WebSocket.
pub fn open(door: SocketAddr, path: &str) -> (Client, Reply) {
    let (client, reply) = Client::upgrade(door, path, "");
    assert_eq!(reply.status, 101, "{}", reply.head);
    OPENED.fetch_add(1, Ordering::Relaxed);
    (client, reply)
}

fn text(turn: usize, length: usize) -> String {
    turn.to_string().chars().cycle().take(length).collect()
}

fn http(door: SocketAddr, turn: usize) {
    let body = text(turn, turn * 37 % 5_000);
    let mut client = Client::connect(door);
    let reply = client.post("/echo", "", &body);
    assert_eq!((reply.status, reply.text()), (200, &*body));
    let reply = client.get("/echo", "Connection: close\r\n");
    assert_eq!((reply.status, reply.text()), (200, ""));
    client.assert_end();
}

fn websocket(door: SocketAddr, turn: usize) {
    let (mut client, _) = open(door, "/ws");
    // Now and then one whose length takes 64 bits.
    let long = if turn % 50 == 0 { 70_000 } else { 300 };
    for length in [turn % 126, turn * 37 % 5_000, long] {
        let text = text(turn, length);
        client.text(&text);
        assert_eq!(client.next_text(), text);
    }
    close(client);
}

fn close(mut client: Client) {
    client.frame(0x88, b"\x03\xe8");
    assert_eq!(client.next_close().0, 1000);
    client.assert_end();
}

fn reset(door: SocketAddr, turn: usize) {
    let client = if turn % 2 == 0 {
        let mut client = Client::connect(door);
        client.send(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client
    } else {
        let mut client = open(door, "/ws").0;
        client.text("big");
        client
    };
    // A socket that is closed with unread input is not ended but reset.
    assert_eq!(client.stream.peek(&mut [0]).expect("an answer"), 1);
}

fn part_of_a_request(door: SocketAddr, turn: usize) {
    let mut client = Client::connect(door);
    let head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n";
    if turn % SILENT == SILENT / 2 {
        client.send(&head.as_bytes()[..20]);
        assert_eq!(client.reply().status, 408);
        return client.assert_end();
    }
    let request = [head, &text(turn, 40)].concat();
    client.send(&request.as_bytes()[..turn % request.len()]);
}

fn part_of_a_frame(door: SocketAddr, turn: usize) {
    let (mut client, _) = open(door, "/ws");
    let frame = masked(0x81, text(turn, 300).as_bytes());
    client.send(&frame[..1 + turn % (frame.len() - 1)]);
    if turn % SILENT == SILENT / 2 {
        assert_eq!(client.next_close().0, 1008);
        client.assert_end();
    }
}

fn http_panic(door: SocketAddr, _: usize) {
    let mut client = Client::connect(door);
    let reply = client.get("/panic", "");
    assert_eq!((reply.status, reply.header("connection")), (500, Some("close")));
    client.assert_end();
}

fn websocket_panic(door: SocketAddr, _: usize) {
    let (mut client, _) = open(door, "/ws");
    client.text("panic");
    assert_eq!(client.next_close().0, 1011);
    // The server waits for the answer, and then ends the connection.
    client.frame(0x88, b"\x03\xf3");
    client.assert_end();
}

const BAD_HEADS: [(&str, u16); 8] = [
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\nHost: localhost\n\n", 400),
    ("GET / HTTP/1.1\r\nHost: localhost\r\nName : value\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5\r\n\r\nHello", 400),
    ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n", 413),
    ("GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n", 421),
    ("BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
    ("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
];

fn bad_head(door: SocketAddr, turn: usize) {
    let (head, status) = BAD_HEADS[turn % BAD_HEADS.len()];
    let mut client = Client::connect(door);
    client.send(head.as_bytes());
    assert_eq!(client.reply().status, status, "{:?}", head);
    client.assert_end();
}

const BAD_FRAMES: [(&[u8], u16); 9] = [
    (b"\x81\x05hello", 1002),                      // without a mask
    (b"\xc1\x80\0\0\0\0", 1002),                   // a reserved bit
    (b"\x83\x80\0\0\0\0", 1002),                   // a reserved opcode
    (b"\x09\x80\0\0\0\0", 1002),                   // half a ping
    (b"\x80\x80\0\0\0\0", 1002),                   // the rest of nothing
    (b"\x82\xfe\0\x05\0\0\0\0hello", 1002),        // a length that is longer than need be
    (b"\x88\x82\0\0\0\0\x03\xed", 1002),           // 1005 may not be sent
    (b"\x81\x82\0\0\0\0\xc3\x28", 1007),           // no UTF-8
    (b"\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0", 1009), // 2^62 bytes, claimed
];

fn bad_frame(door: SocketAddr, turn: usize) {
    let (frame, code) = BAD_FRAMES[turn % BAD_FRAMES.len()];
    let (mut client, _) = open(door, "/ws");
    client.send(frame);
    assert_eq!(client.next_close().0, code, "{:?}", frame);
    if code == 1009 {
        // Its answer would be a part of the message that it has announced.
        client.shut_write();
    }
    client.assert_end();
}

fn stalled(door: SocketAddr, _: usize) {
    let (mut client, reply) = open(door, "/ws");
    let cookie = format!("Cookie: {}\r\nConnection: close\r\n", reply.cookie().expect("a session"));
    let mut other = Client::connect(door);
    let flood = other.get("/flood", &cookie);
    assert_eq!(flood.status, 200, "it is cut off");
    let taken: usize = flood.text().parse().expect("a number");
    other.assert_end();

    let got = client.read_to_end();
    let whole = got.len() / (PIECE + 4);
    assert!(whole < taken, "what waited is dropped: {} of {}", whole, taken);
    for (number, frame) in (0..).zip(got.chunks(PIECE + 4)) {
        let wanted = [b"\x82\x7e\x40\0", &*piece(number)].concat();
        assert!(wanted.starts_with(frame), "piece {} is not itself", number);
    }
}

fn slow(door: SocketAddr, turn: usize) {
    let drip = |client: &mut Client, bytes: &[u8]| {
        bytes.iter().for_each(|byte| client.send(&[*byte]));
    };
    let body = text(turn, 40);
    let mut client = Client::connect(door);
    if turn % 2 == 0 {
        let head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        drip(&mut client, format!("{}Content-Length: 40\r\n\r\n{}", head, body).as_bytes());
        let reply = client.reply();
        assert_eq!((reply.status, reply.text()), (200, &*body));
        client.assert_end();
    } else {
        drip(&mut client, upgrade_request("/ws", "").as_bytes());
        assert_eq!(client.reply().status, 101);
        OPENED.fetch_add(1, Ordering::Relaxed);
        drip(&mut client, &masked(0x81, body.as_bytes()));
        assert_eq!(client.next_text(), body);
        close(client);
    }
}
