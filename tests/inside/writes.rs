//! The write half.

use super::{guest, Script, Stub};
use crate::ground::limits::Limits;
use crate::ground::peer::Peer;
use crate::net::outbox::{Outbox, Patience, Refused, Sent, Shared};
use crate::websocket::frame::{Frame, OpCode};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

fn outbox(stub: &Arc<Stub>) -> Arc<Outbox> {
    let peer = Peer::from(IpAddr::from([127, 0, 0, 1]));
    let outbox =
        Outbox::new(guest(), stub.clone(), peer, Shared::new(Limits::default()), b"101".to_vec());
    assert!(outbox.open());
    outbox
}

/// Waits until a flusher has written everything.
fn settle(outbox: &Outbox) {
    outbox.wait_until_written();
    assert_eq!(outbox.backlog(), 0);
}

#[test]
fn a_write_that_comes_up_short_at_any_byte_loses_and_doubles_nothing() {
    let payload: Vec<u8> = (0..200).collect();
    let expected = [&b"101\x82\x7e\0\xc8"[..], &payload, &b"\x81\x02ok"[..]].concat();
    for taken in 0..204 {
        let writes = [Ok(3), Ok(taken)].into();
        let stub = Stub::new(Script { writes, ..Script::default() });
        let outbox = outbox(&stub);
        let first = outbox
            .send(&Frame::new(OpCode::Binary, &payload), &mut Patience::default())
            .expect("room");
        assert_eq!(first, Sent::Stalled, "{} taken", taken);
        outbox.send(&Frame::new(OpCode::Text, b"ok"), &mut Patience::default()).expect("room");
        settle(&outbox);
        assert!(stub.script().output == expected, "{} taken", taken);
        assert_eq!((outbox.backlog(), outbox.written()), (0, expected.len()));
        outbox.close();
    }
}

#[test]
fn an_interrupted_write_goes_on_and_a_timeout_is_a_short_write() {
    let writes = [Ok(3), Err(ErrorKind::Interrupted), Ok(9), Err(ErrorKind::WouldBlock)].into();
    let stub = Stub::new(Script { writes, ..Script::default() });
    let outbox = outbox(&stub);
    let (one, two) = (Frame::new(OpCode::Text, b"one"), Frame::new(OpCode::Text, b"two"));
    assert_eq!(outbox.send(&one, &mut Patience::default()).expect("room"), Sent::Done);
    assert_eq!(outbox.send(&two, &mut Patience::default()).expect("room"), Sent::Stalled);
    settle(&outbox);
    assert_eq!(stub.script().output, b"101\x81\x03one\x81\x03two");
    outbox.close();
}

#[test]
fn where_a_write_that_gave_up_is_the_last_a_short_one_goes_on_and_a_timeout_ends_the_connection() {
    let writes = [Ok(3), Ok(2), Ok(3), Err(ErrorKind::WouldBlock)].into();
    let stub = Stub::new(Script { writes, brittle: true, ..Script::default() });
    let outbox = outbox(&stub);
    assert_eq!(stub.script().timeouts[1], Duration::from_secs(1));
    let frame = Frame::new(OpCode::Text, b"one");
    assert_eq!(outbox.send(&frame, &mut Patience::default()).expect("room"), Sent::Stalled);
    settle(&outbox);
    assert_eq!(stub.script().output, b"101\x81\x03one");
    assert!(!stub.script().shut);
    drop(outbox.send(&frame, &mut Patience::default()));
    settle(&outbox);
    while !stub.script().shut {
        std::thread::yield_now(); // the flusher is about to
    }
    assert!(matches!(outbox.send(&frame, &mut Patience::default()), Err(Refused::Gone)));
    assert_eq!(stub.script().output, b"101\x81\x03one", "nothing is written after the timeout");
}

#[test]
fn after_an_error_nothing_is_written_and_everybody_is_told() {
    let writes = [Ok(3), Ok(5), Err(ErrorKind::ConnectionReset)].into();
    let stub = Stub::new(Script { writes, ..Script::default() });
    let outbox = outbox(&stub);
    let frame = Frame::new(OpCode::Text, b"one");
    for _ in 0..2 {
        outbox
            .send(&frame, &mut Patience::default())
            .expect("the error is found by this write or told by the next send");
    }
    assert!(matches!(outbox.send(&frame, &mut Patience::default()), Err(Refused::Gone)));
    assert!(outbox.is_shut() && stub.script().shut);
    assert_eq!(stub.script().output, b"101\x81\x03one");
    assert_eq!(outbox.backlog(), 0);
}
