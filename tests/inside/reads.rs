//! The read half.

use super::{Script, Stub};
use crate::ground::limits::Limits;
use crate::net::reader::Socket;
use crate::websocket::{Assembler, Received};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

#[test]
fn a_buffer_grows_when_a_read_fills_it_though_a_frame_that_was_cut_is_used_up() {
    // 512 masked frames of 131 bytes: the cut falls into a payload, and nothing stays unread.
    let frame = [&b"\x82\xfd\0\0\0\0"[..], &[7; 125]].concat();
    let stub = Stub::new(Script { input: frame.repeat(512).into(), ..Script::default() });
    let mut socket = Socket::new(stub.clone(), 64 * 1024);
    let (mut assembler, mut messages) = (Assembler::default(), 0);
    while socket.fill_within(Duration::from_secs(1)).expect("no error") > 0 {
        loop {
            let (used, received) =
                assembler.read(socket.unread(), &Limits::default()).expect("good frames");
            socket.consume(used);
            match received {
                Some(Received::Message(_)) => messages += 1,
                _ => break,
            }
        }
        assert_eq!(socket.unread(), b"");
    }
    assert_eq!(messages, 512);
    assert_eq!(stub.script().asked, [2048, 8192, 32768, 65536, 65536]);
}

#[test]
fn the_last_wait_for_a_client_ends_with_its_end_or_at_its_deadline_and_not_when_it_is_quiet() {
    let long = Duration::from_secs(600);
    let stub = Stub::new(Script { stays: true, ..Script::default() });
    let mut socket = Socket::new(stub.clone(), 4096);
    let linger = std::thread::spawn(move || socket.linger(long));
    // What comes is dropped, after a pause such as a mobile network makes too.
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(700));
        assert!(!linger.is_finished());
        stub.script().input.extend([b'x'; 100_000]);
        super::wait_until("it is read", || stub.script().input.is_empty());
    }
    {
        let mut script = stub.script();
        assert!(script.unread_at_end.is_some() && !script.shut);
        script.stays = false;
    }
    linger.join().expect("no panic");

    let stub = Stub::new(Script { stays: true, ..Script::default() });
    let begun = Instant::now();
    Socket::new(stub, 4096).linger(Duration::from_millis(50));
    assert!(begun.elapsed() >= Duration::from_millis(50) && begun.elapsed() < long);
}

#[test]
fn a_read_ends_at_its_time_however_often_a_signal_interrupts_it() {
    let interrupted = vec![Err(ErrorKind::Interrupted); 1_000_000];
    let patience = Duration::from_millis(5);
    let script = Script { stays: true, reads: interrupted.into(), ..Script::default() };
    let script = Script { input: vec![b'x'].into(), ..script };
    let stub = Stub::new(script);
    let mut socket = Socket::new(stub.clone(), 4096);
    let error = socket.fill_within(patience).expect_err("nothing was read");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(!stub.script().reads.is_empty(), "it has waited longer");
    // One signal costs nothing.
    stub.script().reads.truncate(1);
    assert_eq!(socket.fill_within(Duration::from_secs(600)).expect("a byte"), 1);
}
