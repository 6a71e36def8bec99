//! Compression over loopback (RFC 7692): what is agreed, both directions, and the ends.

mod loopback;

use loopback::wire::transports;
use loopback::{masked, wait_until, Client, Running};
use miniz_oxide::deflate::compress_to_vec;
use sockling::limits::Limits;
use sockling::prelude::*;
use sockling::websocket::{Assembler, Deflate, Received};

/// Sends messages back: `secret` and what follows uncompressed, and `topic` to a topic.
struct Echo;

impl WebsocketController for Echo {
    fn handle_message(&self, _: &SessionId, message: Message) -> Result<(), Error> {
        let here = Comms::here().ok_or("this is a handler")?;
        match message.as_text() {
            Some(secret) if secret.starts_with("secret") => here.send(message.uncompressed())?,
            _ => here.send(message)?,
        };
        Ok(())
    }
}

impl Controller for Echo {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

fn pulled(request: &Request) -> Result<Response, Error> {
    request.upgrade(&[], |client| {
        while let Some(message) = client.receive()? {
            client.send(message)?;
        }
        Ok(())
    })
}

fn server() -> Server {
    let routes = vec![Handler::new("/ws", Echo), Handler::new("/pulled", pulled)];
    Server::new(routes).deflate(Deflate::default())
}

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

/// Returns a text that shrinks.
fn text(length: usize) -> String {
    let figures = (0..).map(|at: usize| format!("{{\"id\":{},\"value\":{}}},", at, at * at % 1000));
    let mut text = String::new();
    figures
        .take_while(|figure| {
            text.push_str(figure);
            text.len() < length
        })
        .for_each(drop);
    text.truncate(length);
    text
}

/// Returns a compressed message as a client sends it.
fn compressed(first: u8, message: &[u8]) -> Vec<u8> {
    masked(first | 0x40, &[&compress_to_vec(message, 6)[..], b"\0"].concat())
}

/// Returns whether the next message is compressed, and the message.
fn next(client: &mut Client) -> (bool, Message) {
    let mut head = client.bytes(2);
    match head[1] {
        126 => head.extend(client.bytes(2)),
        127 => head.extend(client.bytes(8)),
        _ => {}
    }
    let length = match &head[2..] {
        [] => usize::from(head[1]),
        bytes => bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
    };
    let mut frame = masked(head[0], &client.bytes(length));
    let (used, received) =
        Assembler::inflating().read(&mut frame, &Limits::default()).expect("it can be inflated");
    assert_eq!(used, frame.len());
    match received {
        Some(Received::Message(message)) => (head[0] & 0x40 != 0, message),
        other => panic!("{:?}", other),
    }
}

#[test]
fn messages_are_compressed_both_ways_where_the_client_offers_it() {
    let running = Running::start(server());
    for path in ["/ws", "/pulled"] {
        let (mut client, reply) = Client::upgrade(running.address, path, OFFER);
        let agreed = reply.header("sec-websocket-extensions");
        assert_eq!(agreed, Some("permessage-deflate; client_no_context_takeover"));
        for length in [0, 1, 255, 256, 1000, 10_000, 100_000, 1024 * 1024] {
            let text = text(length);
            let expected = (length >= 256, Message::from(&text));
            client.send(&compressed(0x81, text.as_bytes()));
            assert_eq!(next(&mut client), expected, "{}", length);
            client.text(&text);
            assert_eq!(next(&mut client), expected, "{}", length);
        }
        // Several in one write, in their order.
        let texts: Vec<String> = (1..=20).map(|count| text(count * 70)).collect();
        let all: Vec<u8> =
            texts.iter().flat_map(|text| compressed(0x81, text.as_bytes())).collect();
        client.send(&all);
        for text in &texts {
            assert_eq!(next(&mut client), (text.len() >= 256, text.into()));
        }
        client.frame(0x88, b"\x03\xe8");
        assert_eq!(client.next_close(), (1000, String::new()));
        client.assert_end();
    }
}

#[test]
fn a_window_of_the_server_is_kept_and_a_ping_between_fragments_is_answered() {
    let running = Running::start(server());
    let offer = "Sec-WebSocket-Extensions: foo, permessage-deflate; server_max_window_bits=9; \
                 server_no_context_takeover\r\n";
    let (mut client, reply) = Client::upgrade(running.address, "/ws", offer);
    assert_eq!(
        reply.header("sec-websocket-extensions"),
        Some(
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=9; \
             server_no_context_takeover"
        )
    );
    let text = text(5000);
    let payload = [&compress_to_vec(text.as_bytes(), 6)[..], b"\0"].concat();
    client.frame(0x41, &payload[..100]);
    client.frame(0x89, b"ping");
    client.frame(0x00, &payload[100..200]);
    client.frame(0x80, &payload[200..]);
    assert_eq!(client.next().payload, b"ping");
    assert_eq!(next(&mut client), (true, text.into()));
}

#[test]
fn without_an_offer_or_where_it_is_declined_there_is_no_extension() {
    let decline = |request: &Request| request.query("plain").is_some();
    let deflate = Deflate::default().decline(decline);
    let running = Running::start(Server::new(vec![Handler::new("/ws", Echo)]).deflate(deflate));
    let bad = "Sec-WebSocket-Extensions: permessage-deflate; level=9\r\n";
    for (path, offer) in [("/ws", ""), ("/ws", bad), ("/ws?plain", OFFER)] {
        let (mut client, reply) = Client::upgrade(running.address, path, offer);
        assert_eq!((reply.status, reply.header("sec-websocket-extensions")), (101, None));
        client.text(&text(1000));
        assert_eq!(next(&mut client), (false, text(1000).into()));
        client.send(&compressed(0x81, b"not agreed"));
        let reason = "a frame with RSV1 set, although compression was not negotiated";
        assert_eq!(client.next_close(), (1002, reason.to_string()));
        client.assert_end();
    }
    let (_client, reply) = Client::upgrade(running.address, "/ws?other", OFFER);
    assert!(reply.header("sec-websocket-extensions").is_some());
}

#[test]
fn a_message_may_go_uncompressed_beside_others() {
    let running = Running::start(server());
    let mut client = Client::websocket(running.address, "/ws", OFFER);
    let secret = format!("secret {}", text(1000));
    client.text(&secret);
    assert_eq!(next(&mut client), (false, secret.into()));
    client.text(&text(1000));
    assert_eq!(next(&mut client), (true, text(1000).into()));
}

#[test]
fn what_cannot_be_inflated_or_is_too_large_closes_with_its_code() {
    let limits = Limits { message: 64 * 1024, ..Limits::default() };
    let running = Running::start(server().limits(limits));
    let stored = b"\0\0\0\xff\xff";
    let bomb = [&compress_to_vec(&[0; 10_000_000], 6)[..], b"\0"].concat();
    #[rustfmt::skip]
    let rows: [(Vec<u8>, u16, &str); 7] = [
        (masked(0xc1, b"\x07"), 1007, "a compressed message that cannot be inflated"),
        (masked(0xc1, b"\xf2\x48\xcd"), 1007, "a compressed message that cannot be inflated"),
        (masked(0xc1, b"\0\x01\0\xfe\xff\xff\0"), 1007, "a text message that is not UTF-8"),
        (masked(0xc2, &bomb), 1009, "a message that is too large"),
        (masked(0xc2, &stored.repeat(20_000)), 1009, "a message that is too large"),
        (masked(0xc2, &b"\x02\x08\x20\x80\x00".repeat(10_000)), 1008, "a compressed message of too many blocks"),
        (masked(0xc9, b"ping"), 1002, "a frame with RSV1 set that does not begin a message"),
    ];
    for (bytes, code, reason) in rows {
        let mut client = Client::websocket(running.address, "/ws", OFFER);
        client.send(&compressed(0x81, b"before"));
        assert_eq!(next(&mut client), (false, "before".into()));
        client.send(&bytes);
        assert_eq!(client.next_close(), (code, reason.to_string()));
        if code != 1002 && code != 1007 {
            // The client's answer is still waited for, behind what it had sent.
            client.frame(0x88, &code.to_be_bytes());
        }
        client.assert_end();
    }
}

#[test]
fn small_stacks_are_enough_for_both_directions() {
    let running = Running::start(server().limits(Limits::small()));
    let mut clients: Vec<Client> =
        (0..8).map(|_| Client::websocket(running.address, "/pulled", OFFER)).collect();
    for round in 0..10 {
        let text = text(16 * 1024 - round);
        clients.iter_mut().for_each(|client| client.send(&compressed(0x81, text.as_bytes())));
        // All at once: those that find no compressor get theirs plain, but never all of them.
        let got: Vec<_> = clients.iter_mut().map(next).collect();
        assert!(got.iter().any(|(compressed, _)| *compressed), "{}", round);
        assert!(got.iter().all(|(_, message)| *message == Message::from(&text)), "{}", round);
    }
}

#[test]
fn bytes_are_counted_before_and_after_compression() {
    let running = Running::start(server());
    let before = Comms::stats();
    let mut client = Client::websocket(running.address, "/ws", OFFER);
    let text = text(50_000);
    let message = compressed(0x81, text.as_bytes());
    client.send(&message);
    assert_eq!(next(&mut client), (true, text.into()));
    let so = |least: u64| {
        let stats = Comms::stats();
        // Other tests run at the same time.
        stats.uncompressed_in - before.uncompressed_in >= 50_000
            && stats.uncompressed_out - before.uncompressed_out >= 50_000
            && stats.compressed_in - before.compressed_in >= least
            && stats.compressed_out > before.compressed_out
    };
    wait_until("it is counted", || so(message.len() as u64 - 8));
}

#[test]
fn settings_that_mean_nothing_are_refused_and_no_compressor_compresses_nothing() {
    for level in [0, 10, 255] {
        let refused =
            Server::new(vec![]).deflate(Deflate::default().level(level)).bind("127.0.0.1:0");
        assert!(refused.unwrap_err().to_string().contains("level"), "{}", level);
    }
    let deflate = Deflate::default().compressors(0);
    assert_eq!(format!("{:?}", deflate), "Deflate(level 1, from 256 bytes, 0)");
    let running = Running::start(Server::new(vec![Handler::new("/ws", Echo)]).deflate(deflate));
    let mut client = Client::websocket(running.address, "/ws", OFFER);
    client.send(&compressed(0x81, text(1000).as_bytes()));
    assert_eq!(next(&mut client), (false, text(1000).into()));
}

/// A test's browser knows no compression, so it must not get compressed messages.
#[test]
fn the_browser_of_tests_gets_messages_whatever_it_offers() {
    let server = sockling::testing::Server::of(server());
    let browser = server.browser();
    let request = browser.request(Method::Get, "/pulled");
    let tab = request.header("Sec-WebSocket-Extensions", "permessage-deflate").websocket();
    let tab = tab.expect("a WebSocket");
    tab.send(text(1000));
    assert_eq!(tab.receive(), text(1000).into());
}

transports! {
    all {
        messages_are_compressed_both_ways_where_the_client_offers_it
        a_window_of_the_server_is_kept_and_a_ping_between_fragments_is_answered
        without_an_offer_or_where_it_is_declined_there_is_no_extension
        a_message_may_go_uncompressed_beside_others
        what_cannot_be_inflated_or_is_too_large_closes_with_its_code
        small_stacks_are_enough_for_both_directions
        bytes_are_counted_before_and_after_compression
        settings_that_mean_nothing_are_refused_and_no_compressor_compresses_nothing
    }
    only over TCP: "the server of tests has a stream of its own" {
        the_browser_of_tests_gets_messages_whatever_it_offers
    }
}
