//! Envelopes between processes, byte by byte, and the channels that they belong to.

use crate::cuts::show;
use sockling::limits::ENVELOPE;
use sockling::relay::{Bits, Content, Envelope, EnvelopeError, SessionName, Target};
use sockling::websocket::{CloseCode, Message};

const NODE: Bits = Bits(*b"nodenodenodenode");
const GUEST: SessionName = SessionName::Guest(Bits(*b"guestguestguest!"));
const LOGIN: Bits = Bits(*b"loginloginlogin!");

/// Envelopes with their channel and their meaning, which are parsed and written.
#[rustfmt::skip]
const ENVELOPES: &[(&str, &[u8], &str, Target, Content)] = &[
    ("text to a guest",
        b"\x01\x01\x01\x01nodenodenodenodeguestguestguest!\0\0\0\x03hey",
        "g.Z3Vlc3RndWVzdGd1ZXN0IQ", Target::Session(GUEST), Content::Text("hey")),
    ("text to a user",
        b"\x01\x01\x01\x02nodenodenodenode\0\0\0\0\0\0\0\x07\0\0\0\x03hey",
        "u.7", Target::Session(SessionName::User(7)), Content::Text("hey")),
    ("nothing to a user below zero",
        b"\x01\x01\x01\x02nodenodenodenode\xff\xff\xff\xff\xff\xff\xff\xfe\0\0\0\0",
        "u.-2", Target::Session(SessionName::User(-2)), Content::Text("")),
    ("bytes to everybody",
        b"\x01\x02\x02\0nodenodenodenode\0\0\0\x02\0\xff",
        "all", Target::Everybody { except: None }, Content::Binary(b"\0\xff")),
    ("bytes to everybody but a user",
        b"\x01\x02\x02\x02nodenodenodenode\0\0\0\0\0\0\x01\0\0\0\0\0",
        "all", Target::Everybody { except: Some(SessionName::User(256)) }, Content::Binary(b"")),
    ("text to a topic",
        b"\x01\x01\x03\0nodenodenodenode\0\x06room/7\0\0\0\x02hi",
        "t.room%2F7", Target::Topic { name: "room/7", except: None }, Content::Text("hi")),
    ("text to a topic but a guest",
        b"\x01\x01\x03\x01nodenodenodenodeguestguestguest!\0\x03a b\0\0\0\x02\xc3\xa4",
        "t.a%20b", Target::Topic { name: "a b", except: Some(GUEST) }, Content::Text("\u{e4}")),
    ("bytes to a topic with an empty name",
        b"\x01\x02\x03\0nodenodenodenode\0\0\0\0\0\x01x",
        "t.", Target::Topic { name: "", except: None }, Content::Binary(b"x")),
    ("text to a topic with a name in Greek",
        b"\x01\x01\x03\0nodenodenodenode\0\x02\xce\xba\0\0\0\0",
        "t.%CE%BA", Target::Topic { name: "\u{3ba}", except: None }, Content::Text("")),
    ("a session is closed",
        b"\x01\x03\x01\x02nodenodenodenode\0\0\0\0\0\0\0\x07\0\0\0\x05\x03\xe8bye",
        "u.7", Target::Session(SessionName::User(7)),
        Content::Close { code: CloseCode::NORMAL, reason: "bye" }),
    ("everybody is closed but a guest",
        b"\x01\x03\x02\x01nodenodenodenodeguestguestguest!\0\0\0\x02\x03\xe9",
        "all", Target::Everybody { except: Some(GUEST) },
        Content::Close { code: CloseCode::GOING_AWAY, reason: "" }),
    ("a topic is closed",
        b"\x01\x03\x03\0nodenodenodenode\0\x01x\0\0\0\x06\x0f\xa0over",
        "t.x", Target::Topic { name: "x", except: None },
        Content::Close { code: CloseCode(4000), reason: "over" }),
    ("a login has ended, for every process",
        b"\x01\x04\x01\x02nodenodenodenode\0\0\0\0\0\0\0\x07\
          \0\0\0\x22loginloginlogin!\0\0\x01\x8c\xc2\x51\xf4\0logged out",
        "all", Target::Session(SessionName::User(7)),
        Content::Ended { login: Some(LOGIN), issued: 1_704_067_200_000, reason: "logged out" }),
    ("all of a user's logins up to a time have ended",
        b"\x01\x05\x01\x02nodenodenodenode\0\0\0\0\0\0\0\x07\
          \0\0\0\x0b\0\0\0\0\0\0\x01\0out",
        "all", Target::Session(SessionName::User(7)),
        Content::Ended { login: None, issued: 256, reason: "out" }),
    ("a guest has ended",
        b"\x01\x04\x01\x01nodenodenodenodeguestguestguest!\0\0\0\x18loginloginlogin!\0\0\0\0\0\0\0\x01",
        "all", Target::Session(GUEST), Content::Ended { login: Some(LOGIN), issued: 1, reason: "" }),
    ("a text that must not be compressed",
        b"\x01\x81\x02\0nodenodenodenode\0\0\0\x03hey",
        "all", Target::Everybody { except: None }, Content::UncompressedText("hey")),
    ("bytes that must not be compressed",
        b"\x01\x82\x02\0nodenodenodenode\0\0\0\x01\xff",
        "all", Target::Everybody { except: None }, Content::UncompressedBinary(b"\xff")),
];

#[test]
fn an_envelope_is_parsed_and_written_and_belongs_to_one_channel() {
    for (gloss, bytes, channel, target, content) in ENVELOPES {
        let envelope = Envelope { node: NODE, target: *target, content: *content };
        assert_eq!(Envelope::parse(bytes), Ok(envelope.clone()), "{}: {}", gloss, show(bytes));
        assert_eq!(envelope.to_bytes().as_deref(), Ok(*bytes), "{}", gloss);
        assert_eq!(envelope.channel(), *channel, "{}", gloss);
    }
}

#[test]
fn a_truncated_or_overlong_envelope_is_refused() {
    for (gloss, bytes, ..) in ENVELOPES {
        for end in 0..bytes.len() {
            let cut = &bytes[..end];
            assert_eq!(
                Envelope::parse(cut),
                Err(EnvelopeError::Length),
                "{}: {}",
                gloss,
                show(cut)
            );
        }
        for more in [&b"\0"[..], bytes] {
            let more = [bytes, more].concat();
            assert_eq!(
                Envelope::parse(&more),
                Err(EnvelopeError::Length),
                "{}: {}",
                gloss,
                show(&more)
            );
        }
    }
}

#[test]
fn an_invalid_envelope_is_refused() {
    use EnvelopeError::{Close, Kind, Length, Text, Version};
    #[rustfmt::skip]
    let rows: &[(&str, &[u8], EnvelopeError)] = &[
        ("an older version", b"\0\x01\x02\0", Version),
        ("a later version", b"\x02\x01\x02\0", Version),
        ("a text that is no envelope", b"hello, world", Version),
        ("a content of 0", b"\x01\0\x02\0nodenodenodenode\0\0\0\0", Kind),
        ("a content of 6", b"\x01\x06\x02\0nodenodenodenode\0\0\0\0", Kind),
        ("a content of 0x83", b"\x01\x83\x02\0nodenodenodenode\0\0\0\0", Kind),
        ("a target of 0", b"\x01\x01\0\0nodenodenodenode\0\0\0\0", Kind),
        ("a target of 4", b"\x01\x01\x04\0nodenodenodenode\0\0\0\0", Kind),
        ("a session of 3", b"\x01\x01\x02\x03nodenodenodenode\0\0\0\0", Kind),
        ("to a session and none is named", b"\x01\x01\x01\0nodenodenodenode\0\0\0\0", Kind),
        ("everybody's login", b"\x01\x04\x02\0nodenodenodenode\0\0\0\x10loginloginlogin!", Kind),
        ("a topic's login", b"\x01\x04\x03\0nodenodenodenode\0\x01x\0\0\0\x10loginloginlogin!", Kind),
        ("everybody's logins", b"\x01\x05\x02\0nodenodenodenode\0\0\0\x08\0\0\0\0\0\0\0\x01", Kind),
        ("a guest's logins",
            b"\x01\x05\x01\x01nodenodenodenodeguestguestguest!\0\0\0\x08\0\0\0\0\0\0\0\x01", Kind),
        ("half a time", b"\x01\x05\x01\x02nodenodenodenode\0\0\0\0\0\0\0\x07\0\0\0\x04\0\0\0\0", Length),
        ("half a code", b"\x01\x03\x02\0nodenodenodenode\0\0\0\x01\x03", Length),
        ("half a login", b"\x01\x04\x01\x01nodenodenodenodeguestguestguest!\0\0\0\x05login", Length),
        ("a topic of 4 GiB", b"\x01\x01\x03\0nodenodenodenode\xff\xff\0\0\0\0", Length),
        ("a message of 4 GiB", b"\x01\x01\x02\0nodenodenodenode\xff\xff\xff\xffhey", Length),
        ("a topic that is no text", b"\x01\x01\x03\0nodenodenodenode\0\x01\xff\0\0\0\0", Text),
        ("a text that is none", b"\x01\x01\x02\0nodenodenodenode\0\0\0\x02\xed\xa0", Text),
        ("a reason that is no text", b"\x01\x03\x02\0nodenodenodenode\0\0\0\x03\x03\xe8\xff", Text),
        ("a code that is never sent", b"\x01\x03\x02\0nodenodenodenode\0\0\0\x02\x03\xee", Close),
        ("the code 0", b"\x01\x03\x02\0nodenodenodenode\0\0\0\x02\0\0", Close),
    ];
    for (gloss, bytes, error) in rows {
        assert_eq!(Envelope::parse(bytes), Err(*error), "{}: {}", gloss, show(bytes));
    }
    let mut long = b"\x01\x03\x02\0nodenodenodenode\0\0\0\x7e\x03\xe8".to_vec();
    long.extend([b'x'; 124]);
    assert_eq!(Envelope::parse(&long), Err(Close), "a reason that no frame can hold");
}

#[test]
fn an_envelope_larger_than_the_limit_is_neither_written_nor_parsed() {
    let head = b"\x01\x02\x02\0nodenodenodenode\0\0\0\0".len();
    let everybody = Target::Everybody { except: None };
    let written = |bytes: &[u8]| {
        let content = Content::Binary(bytes);
        Envelope { node: NODE, target: everybody, content }.to_bytes()
    };
    // A message of the largest size that clients may send by default fits.
    let message = vec![7; sockling::limits::Limits::default().message];
    assert!(Envelope::parse(&written(&message).expect("room")).is_ok());
    let mut bytes = written(&message).expect("room");
    bytes.resize(ENVELOPE, 7);
    let length = (ENVELOPE - head) as u32;
    bytes[20..24].copy_from_slice(&length.to_be_bytes());
    assert!(Envelope::parse(&bytes).is_ok());
    bytes.push(7);
    bytes[20..24].copy_from_slice(&(length + 1).to_be_bytes());
    assert_eq!(Envelope::parse(&bytes), Err(EnvelopeError::TooLong));
    assert_eq!(written(&bytes), Err(EnvelopeError::TooLong));
    let name = "x".repeat(70_000);
    let target = Target::Topic { name: &name, except: None };
    let topic = Envelope { node: NODE, target, content: Content::Text("") };
    assert_eq!(topic.to_bytes(), Err(EnvelopeError::TooLong));
}

#[test]
fn a_message_becomes_content_and_debug_shows_no_session_bits() {
    let (text, bytes) = (Message::from("hey"), Message::from(&b"\0"[..]));
    assert_eq!(Content::from(&text), Content::Text("hey"));
    assert_eq!(Content::from(&bytes), Content::Binary(b"\0"));
    let (text, bytes) = (text.uncompressed(), bytes.uncompressed());
    assert_eq!(Content::from(&text), Content::UncompressedText("hey"));
    assert_eq!(Content::from(&bytes), Content::UncompressedBinary(b"\0"));
    assert_eq!(format!("{:?}", GUEST), "Guest(128 bits)");
}
