//! Compression, where a socket could not show it: what is agreed, the windows, the pool, and how often
//! a message is compressed.

use super::random::Random;
use super::{guest, pauses, wait_until, Script, Stub};
use crate::comms::registry::{join, Registration};
use crate::ground::limits::{Limits, Overflow, MESSAGE_OVERHEAD};
use crate::ground::peer::Peer;
use crate::net::batch::{deliver_all, BatchGuard};
use crate::net::compressors::Compressors;
use crate::net::outbox::{Outbox, Shared};
use crate::session::cookie::Session;
use crate::websocket::deflate::{Compressor, LIFE, MAKING, TAIL};
use crate::websocket::extension::negotiate;
use crate::websocket::forms::{place, Forms};
use crate::websocket::frame::FrameHeader;
use crate::websocket::inflate::{Fault, Inflater, CREDIT};
use crate::websocket::message::{Assembler, Message, Outgoing, Received, Violation};
use crate::{Comms, Websocket};
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::core::{decompress, inflate_flags, DecompressorOxide};
use miniz_oxide::inflate::TINFLStatus;
use std::net::IpAddr;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The fields of Sec-WebSocket-Extensions, and the parameters of the answer behind
/// `client_no_context_takeover`, with the window; `None` is no answer.
type Offer = (&'static [&'static str], Option<(&'static str, u8)>);

#[rustfmt::skip]
const OFFERS: &[Offer] = &[
    (&[], None),
    (&[""], None),
    (&["permessage-deflate"], Some(("", 15))),
    // What browsers and the common clients offer.
    (&["permessage-deflate; client_max_window_bits"], Some(("", 15))),
    (&["permessage-deflate; client_max_window_bits=15"], Some(("", 15))),
    (&["permessage-deflate;client_max_window_bits;server_max_window_bits=9"], Some(("; server_max_window_bits=9", 9))),
    (&["permessage-deflate; server_no_context_takeover; client_no_context_takeover"],
        Some(("; server_no_context_takeover", 15))),
    (&["permessage-deflate; server_max_window_bits=10; server_no_context_takeover"],
        Some(("; server_max_window_bits=10; server_no_context_takeover", 10))),
    // All windows, and those that there are not.
    (&["permessage-deflate; server_max_window_bits=8"], Some(("; server_max_window_bits=8", 8))),
    (&["permessage-deflate; server_max_window_bits=14"], Some(("; server_max_window_bits=14", 14))),
    (&["permessage-deflate; server_max_window_bits=15"], Some(("; server_max_window_bits=15", 15))),
    (&["permessage-deflate; server_max_window_bits=7"], None),
    (&["permessage-deflate; server_max_window_bits=16"], None),
    (&["permessage-deflate; server_max_window_bits=08"], None),
    (&["permessage-deflate; server_max_window_bits=+9"], None),
    (&["permessage-deflate; server_max_window_bits=115"], None),
    (&["permessage-deflate; server_max_window_bits="], None),
    (&["permessage-deflate; server_max_window_bits"], None),
    (&["permessage-deflate; client_max_window_bits=7"], None),
    (&["permessage-deflate; client_max_window_bits=16"], None),
    (&["permessage-deflate; client_max_window_bits=8"], Some(("", 15))),
    // Values where there are none, twice the same, and what is unknown.
    (&["permessage-deflate; server_no_context_takeover=1"], None),
    (&["permessage-deflate; client_no_context_takeover=true"], None),
    (&["permessage-deflate; client_no_context_takeover; client_no_context_takeover"], None),
    (&["permessage-deflate; server_max_window_bits=9; server_max_window_bits=9"], None),
    (&["permessage-deflate; client_max_window_bits; client_max_window_bits=9"], None),
    (&["permessage-deflate; level=9"], None),
    (&["permessage-deflate; Server_max_window_bits=9"], None),
    // Several offers, in one line and in more.
    (&["permessage-deflate; level=9, permessage-deflate"], Some(("", 15))),
    (&["permessage-deflate; server_max_window_bits=9, permessage-deflate"], Some(("; server_max_window_bits=9", 9))),
    (&["permessage-deflate; server_max_window_bits=99", "permessage-deflate; server_max_window_bits=12"],
        Some(("; server_max_window_bits=12", 12))),
    (&[concat!("permessage-deflate; a, permessage-deflate; b=1, permessage-deflate=, permessage-deflate;, ",
        "permessage-deflate; \"c\", permessage-deflate; server_max_window_bits=1, x-other, ",
        "permessage-deflate; client_max_window_bits=99, permessage-deflate; server_max_window_bits=\"11, ",
        "permessage-deflate; server_max_window_bits=11"),
        "permessage-deflate; server_max_window_bits=12"], Some(("; server_max_window_bits=12", 12))),
    (&[concat!("permessage-deflate; a, permessage-deflate; b=1, permessage-deflate=, permessage-deflate;, ",
        "permessage-deflate; \"c\", permessage-deflate; server_max_window_bits=1, x-other, ",
        "permessage-deflate; client_max_window_bits=99, permessage-deflate; d=\"11\", ",
        "permessage-deflate; server_max_window_bits=11")], Some(("; server_max_window_bits=11", 11))),
    // Other extensions are ignored, whatever they say.
    (&["x-webkit-deflate-frame"], None),
    (&["x-webkit-deflate-frame; no_context_takeover, permessage-deflate"], Some(("", 15))),
    (&["mux; max-channels=4; flow-control", "permessage-deflate"], Some(("", 15))),
    (&["deflate-stream, permessage-bzip2, Permessage-Deflate"], None),
    // Quoted values (RFC 6455, 9.1).
    (&["permessage-deflate; server_max_window_bits=\"10\""], Some(("; server_max_window_bits=10", 10))),
    (&["permessage-deflate; server_max_window_bits=\"1\\0\""], Some(("; server_max_window_bits=10", 10))),
    (&["permessage-deflate; server_max_window_bits=\"10"], None),
    (&["permessage-deflate; server_max_window_bits=1\"0\""], None),
    (&["permessage-deflate; server_max_window_bits=\"10\"0\""], None),
    (&["permessage-deflate; server_max_window_bits=\"\""], None),
    (&["permessage-deflate; server_max_window_bits=\" 10\""], None),
    (&["foo; bar=\"permessage-deflate, x\", permessage-deflate; client_max_window_bits"], Some(("", 15))),
    (&["foo; bar=\"a, permessage-deflate\""], None),
    (&["foo; bar=\"a\\\", permessage-deflate\""], None),
    // Whitespace and separators.
    (&[" \tpermessage-deflate \t;\t server_max_window_bits = 10 "], Some(("; server_max_window_bits=10", 10))),
    (&[", ,permessage-deflate,"], Some(("", 15))),
    (&["permessage-deflate;"], None),
    (&["permessage-deflate;; client_max_window_bits"], None),
    (&["permessage-deflate client_max_window_bits"], None),
    (&["permessage-deflate=1"], None),
    (&["permessage-deflate; =9"], None),
];

#[test]
fn an_offer_is_accepted_with_its_parameters_or_the_next_one_is_looked_at() {
    for (values, expected) in OFFERS {
        let agreed = negotiate(values.iter().map(|value| value.as_bytes()));
        let expected = expected.map(|(parameters, window)| {
            (format!("permessage-deflate; client_no_context_takeover{}", parameters), window)
        });
        assert_eq!(agreed.map(|agreed| (agreed.answer, agreed.window)), expected, "{:?}", values);
    }
}

/// Returns texts and bytes of many kinds and lengths.
fn messages(count: usize, most: usize) -> Vec<Vec<u8>> {
    let mut random = Random(7692);
    let mut kind = |at: usize| {
        let length = random.below(most);
        let mut bytes = Vec::new();
        while bytes.len() < length {
            match at % 4 {
                0 => bytes.push(random.below(256) as u8),
                1 => bytes.extend(
                    format!("{{\"id\":{},\"value\":\"{}\"}},", bytes.len(), random.below(99))
                        .bytes(),
                ),
                2 => bytes.extend(vec![random.below(3) as u8; random.below(600)]),
                _ => match bytes.len() {
                    // Repeats what was far away.
                    long @ 300.. if random.below(2) == 0 => {
                        let from = random.below(long - 200);
                        let again = bytes[from..from + 200].to_vec();
                        bytes.extend(again);
                    }
                    _ => bytes.extend((0..100).map(|_| random.below(256) as u8)),
                },
            }
        }
        bytes.truncate(length);
        bytes
    };
    (0..count).map(&mut kind).collect()
}

/// Inflates with a buffer of the window's size alone, so that a longer distance is an error.
fn inflate_within(window: u8, form: &[u8]) -> Option<Vec<u8>> {
    let (mut core, mut buffer) = (Box::<DecompressorOxide>::default(), vec![0; 1 << window]);
    let input = [form, &TAIL, &[1, 0, 0, 0xff, 0xff]].concat();
    let (mut rest, mut at, mut message) = (&input[..], 0, Vec::new());
    loop {
        let flags = inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
        let (status, used, made) = decompress(&mut core, rest, &mut buffer, at, flags);
        message.extend_from_slice(&buffer[at..at + made]);
        rest = &rest[used..];
        at = (at + made) % buffer.len();
        match status {
            TINFLStatus::HasMoreOutput => {}
            TINFLStatus::Done if rest.is_empty() => return Some(message),
            _ => return None,
        }
    }
}

fn inflated(form: &[u8], piece: usize) -> Vec<u8> {
    let (mut inflater, mut message) = (Inflater::new(CREDIT), Vec::new());
    for piece in form.chunks(piece) {
        inflater.take(piece, &mut message, 1 << 20).expect("it is whole");
    }
    inflater.end(&mut message, 1 << 20).expect("it is whole");
    message
}

#[test]
fn no_distance_reaches_beyond_the_window_and_no_message_into_another() {
    let messages = messages(10, 20_000);
    for level in [1, 4, 6, 9] {
        let mut compressor = Compressor::new(level);
        for window in 8..=15 {
            for message in &messages {
                let form = compressor.compress(message, window, usize::MAX / 2);
                if message.is_empty() {
                    assert_eq!(form, None);
                    continue;
                }
                let form = form.expect("there is room");
                let found = inflate_within(window, &form);
                assert!(found.as_ref() == Some(message), "level {}, window {}", level, window);
                assert!(inflated(&form, 1000) == *message);
            }
        }
    }
    // The check would find a distance that is too long.
    let mut compressor = Compressor::new(1);
    let message = [&messages[0][..1000], &messages[0][..1000]].concat();
    let form = compressor.compress(&message, 15, 1 << 20).expect("there is room");
    assert_eq!(inflate_within(8, &form), None);
}

#[test]
fn a_thousand_messages_are_inflated_to_what_they_were_however_they_are_cut() {
    let mut compressor = Compressor::new(1);
    for (at, message) in messages(1000, 5000).iter().enumerate().filter(|(_, one)| !one.is_empty())
    {
        let form = compressor.compress(message, 8 + (at % 8) as u8, 1 << 20).expect("room");
        assert!(inflated(&form, 1 + at % 50) == *message, "{}", at);
    }
}

/// Feeds a compressed message in pieces. Returns how often room was made, how much, and the result.
fn rooms(bytes: &[u8], piece: usize, most: usize) -> (usize, usize, Result<(), Fault>) {
    let (mut inflater, mut message) = (Inflater::new(CREDIT), Vec::new());
    let (mut made, mut result) = (0, Ok(()));
    for piece in bytes.chunks(piece) {
        let before = message.len();
        result = inflater.take(piece, &mut message, most);
        // What is room is zeros, and is never taken back: nothing is zeroed twice.
        assert!(message.len() >= before);
        made += usize::from(message.len() > before);
        if result.is_err() {
            break;
        }
    }
    (made, message.capacity(), result)
}

#[test]
fn room_is_made_as_a_message_is_inflated_and_rarely_however_small_the_pieces_are() {
    // Of bytes that do not shrink, and of bytes that do.
    for message in [messages(1, 400_000).remove(0), vec![7; 400_000]] {
        let bytes = compress_to_vec(&message, 6);
        let (made, most, result) = rooms(&bytes, 1, 1 << 20);
        assert_eq!(result, Ok(()));
        assert!(made < 12 && most <= 2 * message.len() + 1024, "{} times, {}", made, most);
    }
    // A bomb takes what it has filled as much again, and never more than the limit.
    let bomb = compress_to_vec(&[0; 10_000_000], 6);
    let (_, first, result) = rooms(&bomb[..20], 1, 1 << 20);
    assert!(first <= 16 * 1024, "{}", first);
    assert_eq!(result, Ok(()));
    for piece in [1, 1000, bomb.len()] {
        let (_, room, result) = rooms(&bomb, piece, 1 << 20);
        assert_eq!((room, result), ((1 << 20) + 1, Err(Fault::TooBig)));
    }
}

#[test]
fn what_is_longer_than_it_may_be_is_no_form_and_spoils_none() {
    let mut compressor = Compressor::new(1);
    let text = "how long is this, ".repeat(100).into_bytes();
    let noise = messages(1, 4000).remove(0);
    let form = compressor.compress(&text, 15, 1000).expect("it shrinks");
    assert_eq!(compressor.compress(&text, 15, form.len()).as_ref(), Some(&form));
    assert_eq!(compressor.compress(&text, 15, form.len() - 1), None);
    assert_eq!(compressor.compress(&noise, 15, noise.len() - 1), None);
    assert_eq!(compressor.compress(&noise, 9, noise.len() - 1), None);
    assert_eq!(compressor.compress(&text, 15, 1000), Some(form));
    // Each flush costs time, so a small window gets no long message compressed.
    let long = vec![7; 65_536 + 256];
    assert!(compressor.compress(&long[..65_536], 8, 65_536).is_some());
    assert_eq!(compressor.compress(&long, 8, 65_536), None);
    assert!(compressor.compress(&long, 9, 65_536).is_some());
}

#[test]
fn a_message_has_two_forms_at_most_and_the_first_of_each_stays() {
    let places: Vec<_> = [0, 7, 8, 9, 10, 14, 15].iter().map(|window| place(*window)).collect();
    assert_eq!(places, [None, None, None, Some(1), Some(1), Some(1), Some(0)]);
    let forms = Forms::default();
    assert_eq!((forms.get(0), forms.get(1)), (None, None));
    assert_eq!(forms.add(0, Some(vec![1; 60].into())).map(|form| form.len()), Some(60));
    assert_eq!(forms.add(0, Some(vec![2; 50].into())).map(|form| form[0]), Some(1), "the first");
    assert_eq!((forms.add(1, None), forms.get(1)), (None, Some(None)));
    assert_eq!(forms.add(1, Some(vec![2; 50].into())), None, "the first");
    assert!(
        std::mem::size_of::<Forms>() + 2 * 2 * std::mem::size_of::<usize>() <= MESSAGE_OVERHEAD
    );
}

#[test]
fn clients_with_small_windows_do_not_take_compression_from_the_others() {
    let (shared, compressors) = shared(2);
    let json: String =
        (0..3000).map(|at| format!("{{\"id\":{},\"v\":{}}},", at, at * 7 % 1000)).collect();
    let tabs: Vec<Tab> =
        [8, 9, 10, 11, 12, 13, 14, 15].iter().map(|window| Tab::new(&shared, *window)).collect();
    let name = "deflate/small";
    for tab in &tabs {
        assert!(Comms::topic(name).subscribe(&tab.outbox.session.id));
    }
    assert_eq!(Comms::topic(name).send(&json).expect("no error"), tabs.len());
    assert_eq!(uses(&compressors), 2);
    for tab in &tabs {
        let compressed = tab.outbox.window() > 8;
        assert_eq!(tab.got(), [(compressed, json.clone().into_bytes())], "{}", tab.outbox.window());
    }
}

/// Returns a masked frame, whose key of zeros leaves the payload as it is.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        long => {
            bytes.push(0xfe);
            bytes.extend((long as u16).to_be_bytes());
        }
    }
    [bytes, vec![0; 4], payload.to_vec()].concat()
}

/// Reads bytes as a connection does, in two pieces. Returns the violation, and what is read behind it.
fn read_behind(bytes: &[u8], cut: usize, limits: &Limits) -> (Violation, Vec<Received>) {
    let (mut assembler, mut unread, mut rest) = (Assembler::inflating(), vec![], bytes);
    let (mut violation, mut received) = (None, vec![]);
    for piece in [cut, bytes.len() - cut] {
        let (new, later) = rest.split_at(piece);
        unread.extend_from_slice(new);
        rest = later;
        loop {
            match assembler.read(&mut unread, limits) {
                Ok((used, None)) => {
                    unread.drain(..used);
                    break;
                }
                Ok((used, Some(what))) => {
                    unread.drain(..used);
                    received.push(what);
                }
                Err(why) => {
                    assert_eq!(violation.replace(why), None, "a second violation");
                    unread.drain(..assembler.skip());
                }
            }
        }
    }
    assert_eq!(unread, b"");
    (violation.expect("a violation"), received)
}

#[test]
fn behind_a_message_that_inflates_to_too_much_the_close_frame_is_found() {
    let limits = Limits { message: 1000, ..Limits::default() };
    let bomb = [&compress_to_vec(&[0; 10_000], 6)[..], b"\0"].concat();
    // A stored block whose 10 bytes look like the header of a huge frame.
    let like_a_frame = frame(0x42, b"\0\x0a\0\xf5\xff\x82\xff\0\0\0\0\x7f\xff\xff\xff");
    let close = frame(0x88, &1009u16.to_be_bytes());
    // Empty blocks, of which the last is one too many: the one that is whole at the end alone.
    let blocks = |count: usize| {
        let four = b"\x02\x08\x20\x80\x00".repeat(count / 4);
        frame(0x80, &[&four, &b"\0\0\0\xff\xff".repeat(count % 4)[..], b"\0"].concat())
    };
    let refused = |count: &usize| {
        let mut bytes = [&like_a_frame[..], &blocks(*count)].concat();
        Assembler::inflating().read(&mut bytes, &limits).is_err()
    };
    let most = (1080..).find(refused).expect("there is a bound");
    let rows = [
        (frame(0x80, &bomb), Violation::TooBig),
        (blocks(most), Violation::TooManyBlocks),
        (blocks(most + 100), Violation::TooManyBlocks),
    ];
    for (last, expected) in rows {
        let bytes = [&like_a_frame[..], &last, &frame(0x89, b"ping"), &close].concat();
        for cut in (0..60).chain(bytes.len() - 60..=bytes.len()) {
            let (violation, received) = read_behind(&bytes, cut, &limits);
            assert_eq!(violation, expected, "cut at {}", cut);
            let closed = matches!(&received[1..], [Received::Close(close)] if close.code.0 == 1009);
            assert_eq!(received[0], Received::Ping(b"ping".to_vec()), "cut at {}", cut);
            assert!(closed, "cut at {}: {:?}", cut, received);
        }
    }
}

/// A WebSocket with this window.
struct Tab {
    stub: Arc<Stub>,
    outbox: Arc<Outbox>,
    _registration: Registration,
    guard: Option<BatchGuard>,
}

impl Tab {
    fn new(shared: &Arc<Shared>, window: u8) -> Tab {
        Tab::of(guest(), shared, window)
    }

    fn of(session: Session, shared: &Arc<Shared>, window: u8) -> Tab {
        let stub = Stub::new(Script::default());
        let peer = Peer::from(IpAddr::from([127, 0, 0, 1]));
        let outbox = Outbox::new(session, stub.clone(), peer, Arc::clone(shared), Vec::new());
        outbox.set_window(window);
        let registration = join(&outbox, 0).expect("room");
        assert!(outbox.open());
        Tab { stub, outbox, _registration: registration, guard: None }
    }

    /// Returns the messages that were written, each with whether it was compressed.
    fn got(&self) -> Vec<(bool, Vec<u8>)> {
        assert!(self.outbox.wait_until_written());
        let output = std::mem::take(&mut self.stub.script().output);
        let (mut rest, mut got) = (&output[..], Vec::new());
        while let Ok(Some((header, used))) = FrameHeader::parse_with(rest, true) {
            let (payload, next) = rest[used..].split_at(header.length as usize);
            assert!(header.fin);
            got.push(match header.rsv1 {
                true => (true, inflated(payload, usize::MAX)),
                false => (false, payload.to_vec()),
            });
            rest = next;
        }
        assert_eq!(rest, b"");
        got
    }
}

fn shared(compressors: usize) -> (Arc<Shared>, Arc<Compressors>) {
    let compressors = Compressors::new(1, 100, compressors).expect("a thread");
    (Shared::compressing(Limits::default(), Some(Arc::clone(&compressors))), compressors)
}

fn uses(compressors: &Compressors) -> usize {
    compressors.uses.swap(0, Ordering::Relaxed)
}

fn text(what: &str) -> String {
    format!("{}: {}", what, "a figure, another one, ".repeat(20))
}

#[test]
fn a_message_to_many_is_compressed_twice_at_most_and_not_at_all_for_nobody() {
    let (shared, compressors) = shared(2);
    let tabs: Vec<Tab> =
        [0, 15, 15, 9, 0, 9, 15, 12].map(|window| Tab::new(&shared, window)).into();
    let name = "deflate/many";
    for tab in &tabs {
        assert!(Comms::topic(name).subscribe(&tab.outbox.session.id));
    }
    let (long, short) = (text("to many"), "short".to_string());
    for (message, windows) in [(&long, 2), (&short, 0)] {
        assert_eq!(Comms::topic(name).send(message).expect("no error"), tabs.len());
        assert_eq!(uses(&compressors), windows);
        for tab in &tabs {
            let compressed = tab.outbox.window() > 0 && windows > 0;
            assert_eq!(tab.got(), [(compressed, message.clone().into_bytes())]);
        }
    }
    // By its author's wish, and where it does not shrink: tried once for each form.
    let secret = Message::from(&long).uncompressed();
    assert_eq!(Comms::topic(name).send(secret).expect("no error"), tabs.len());
    assert_eq!(uses(&compressors), 0);
    let noise = messages(1, 4000).remove(0);
    assert_eq!(Comms::topic(name).send(noise.clone()).expect("no error"), tabs.len());
    assert_eq!(uses(&compressors), 2);
    for tab in &tabs {
        assert_eq!(tab.got(), [(false, long.clone().into_bytes()), (false, noise.clone())]);
    }
    // One client, which has not negotiated it.
    assert_eq!(Comms::websocket(tabs[0].outbox.session.id).send(&long).expect("no error"), 1);
    assert_eq!((uses(&compressors), tabs[0].got().len()), (0, 1));
    let counts = tabs[1].outbox.counts().compression;
    assert_eq!(counts.uncompressed_out, long.len() as u64);
    assert!(counts.compressed_out > 0 && counts.compressed_out < counts.uncompressed_out / 2);
    assert_eq!(tabs[0].outbox.counts().compression, Default::default());
}

#[test]
fn what_a_topic_keeps_is_given_in_the_forms_that_its_members_had_and_never_compressed_for_it() {
    let (shared, compressors) = shared(2);
    let topic = Comms::topic("deflate/kept").keep(10);
    let (kept, secret) = (text("kept"), text("secret"));
    let first = Tab::new(&shared, 15);
    assert!(topic.subscribe(&first.outbox.session.id));
    topic.send(&kept).expect("no error");
    topic.send(Message::from(&secret).uncompressed()).expect("no error");
    topic.send("short").expect("no error");
    topic.send_except(&first.outbox.session.id, text("for others")).expect("no error");
    assert_eq!(uses(&compressors), 1);
    let expected = |compressed: bool| {
        let plain = |text: &str| (false, text.as_bytes().to_vec());
        let others = text("for others");
        [(compressed, kept.clone().into_bytes()), plain(&secret), plain("short"), plain(&others)]
    };
    assert_eq!(first.got(), expected(true)[..3]);
    // Members with the same window get the form, others the message, and nothing is compressed.
    for (window, compressed) in [(15, true), (0, false), (8, false), (9, false), (14, false)] {
        let tab = Tab::new(&shared, window);
        assert!(topic.subscribe(&tab.outbox.session.id));
        assert_eq!(tab.got(), expected(compressed), "{}", window);
        // Another tab of a member gets it as it opens.
        let other = Tab::of(tab.outbox.session, &shared, 15);
        assert_eq!(other.got(), expected(true), "{}", window);
        // And a member that subscribes again gets nothing.
        assert!(topic.subscribe(&tab.outbox.session.id));
        assert_eq!((tab.got(), other.got()), (vec![], vec![]));
    }
    // A tab can be a member by itself.
    let one = Tab::new(&shared, 15);
    assert!(topic.join(&Websocket::of(&one.outbox)));
    assert_eq!((one.got(), uses(&compressors)), (expected(true).to_vec(), 0));
}

/// Returns a WebSocket whose client reads nothing, with this much room left for messages.
fn stuck(shared: &Arc<Shared>, room: usize) -> Tab {
    let tab = Tab::new(shared, 15);
    tab.stub.script().pace = Some((0, Duration::MAX));
    let websocket = Comms::websocket(tab.outbox.session.id);
    let _ = websocket.send("x");
    let writes = || tab.stub.script().timeouts[1] > Duration::from_secs(1);
    wait_until("the flusher writes", writes);
    let header = if shared.limits.backlog - room < 65_536 { 4 } else { 10 };
    let fill = vec![7; shared.limits.backlog - room - header];
    assert_eq!(websocket.send(Message::from(fill).uncompressed()).expect("room"), 1);
    assert_eq!(tab.outbox.lock().room(&shared.limits).0, room);
    wait_until("the grace has passed", || tab.outbox.lock().is_too_slow());
    tab
}

#[test]
fn nothing_is_compressed_for_a_client_that_gets_nothing() {
    let (shared, compressors) = shared(2);
    let drops = Limits { overflow: Overflow::Drop, ..Limits::default() };
    let shared = Shared::compressing(drops, shared.compressors.clone());
    let long = text("to nobody").repeat(40);
    for (tab, gone) in [(stuck(&shared, 500), false), (Tab::new(&shared, 15), true)] {
        if gone {
            // The sender still holds it.
            tab.outbox.cut_off("a test");
        }
        let websocket = Comms::websocket(tab.outbox.session.id);
        for _ in 0..5 {
            assert!(!matches!(websocket.send(&long), Ok(1..)), "{}", gone);
        }
        assert_eq!(uses(&compressors), 0, "{}", gone);
        // One that has room gets it in the form that is made then.
        let other = Tab::new(&shared, 15);
        assert_eq!(Comms::websocket(other.outbox.session.id).send(&long).expect("room"), 1);
        assert_eq!((other.got()[0].0, uses(&compressors)), (true, 1));
    }
}

#[test]
fn a_message_whose_form_has_room_is_taken_within_a_timeout_too() {
    let (shared, compressors) = shared(2);
    let long = text("to one").repeat(40);
    // A client that reads nothing yet, and has room for the form alone, below half of the backlog.
    let backlog = Limits { backlog: 30_000, ..Limits::default() };
    let shared = Shared::compressing(backlog, shared.compressors.clone());
    let tab = stuck(&shared, 15_100);
    assert!(long.len() > 15_100);
    let websocket = Comms::websocket(tab.outbox.session.id);
    let within = websocket.send_timeout(&long, Duration::from_millis(1));
    let without = websocket.send(&long);
    assert_eq!((within.ok(), without.ok(), uses(&compressors)), (Some(1), Some(1), 2));
}

#[test]
fn what_is_left_to_a_courier_is_compressed_too() {
    let (shared, compressors) = shared(2);
    let (slow, other) = (Tab::new(&shared, 15), Tab::new(&shared, 15));
    slow.stub.script().pace = Some((0, Duration::MAX));
    let (message, forms) = (Outgoing::from(text("to two")), Forms::default());
    let to = [&slow.outbox, &other.outbox];
    assert_eq!(deliver_all(to.iter().copied(), &message.frame(&forms), false).0, 2);
    assert!(slow.outbox.is_behind());
    assert_eq!((other.got()[0].0, uses(&compressors)), (true, 1));
}

#[test]
fn with_every_compressor_lent_a_message_goes_as_it_is_and_a_panic_gives_the_slot_back() {
    let (shared, compressors) = shared(1);
    let tab = Tab::new(&shared, 15);
    let id = tab.outbox.session.id;
    let (one, other) = (text("one"), text("other"));
    let sent = other.clone();
    pauses::once("a compressor is lent", move || {
        let other = thread::spawn(move || Comms::websocket(id).send(sent));
        assert_eq!(other.join().expect("no panic").expect("no error"), 1);
    });
    assert_eq!(Comms::websocket(id).send(&one).expect("no error"), 1);
    assert_eq!(tab.got(), [(false, other.into_bytes()), (true, one.clone().into_bytes())]);
    assert_eq!(uses(&compressors), 1);

    pauses::once("a compressor is lent", || panic!("as if by a fault of the compressor"));
    let send = || Comms::websocket(id).send(&one);
    assert!(catch_unwind(AssertUnwindSafe(send)).is_err());
    assert_eq!(compressors.count_idle(), 0);
    // The next message starts the thread that makes another one, and does not wait for it.
    let alone = pauses::Alone::from_here();
    send().expect("no error");
    drop(alone);
    assert_eq!((tab.got(), compressors.count_idle()), (vec![(false, one.clone().into_bytes())], 0));
    send().expect("no error");
    wait_until("it is made", || compressors.count_idle() == 1);
    send().expect("no error");
    assert_eq!(tab.got().last(), Some(&(true, one.into_bytes())));
    // For none, no thread is started.
    let alone = pauses::Alone::from_here();
    let none = Compressors::new(1, 100, 0).expect("nothing to do");
    drop(alone);
    assert_eq!(none.compress(&[0; 1000], 15, 999), None);
    let _ = tab.guard;
}

#[test]
fn a_compressor_whose_counters_could_overflow_is_replaced() {
    let (_, compressors) = shared(1);
    let message = vec![7; LIFE as usize / 8];
    for _ in 0..8 {
        assert_eq!(compressors.count_idle(), 1);
        let form = compressors.compress(&message, 15, message.len()).expect("it is idle");
        assert!(inflated(&form.expect("it shrinks"), usize::MAX) == message);
    }
    assert_eq!(compressors.count_idle(), 0);
    drop(compressors.compress(&message[..1000], 15, 999));
    wait_until("it is made", || compressors.count_idle() == 1);
}

#[test]
fn a_stack_of_64_kib_is_enough_to_compress_and_to_inflate() {
    let (_, compressors) = shared(1);
    let work = move || {
        let text = text("on a small stack").repeat(100).into_bytes();
        let form = compressors.compress(&text, 15, text.len()).expect("it is idle");
        assert!(inflated(&form.expect("it shrinks"), 100) == text);
        let form = compressors.compress(&text, 8, text.len()).expect("it is idle");
        assert!(inflated(&form.expect("it shrinks"), 100) == text);
    };
    let small = thread::Builder::new().stack_size(Limits::small().stack);
    small.spawn(work).expect("a thread").join().expect("no panic");
    // And what takes more has it.
    let maker = thread::Builder::new().stack_size(MAKING);
    assert!(maker.spawn(|| Compressor::new(9)).expect("a thread").join().is_ok());
}
