//! The stream in memory keeps what the trait promises.

use crate::net::memory::Memory;
use crate::net::stream::{after, is_timeout, Stream};
use std::io::ErrorKind;
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

/// What fits into one direction, in bytes.
const CAPACITY: usize = 256 * 1024;

fn read(stream: &Memory) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let bytes = stream.read(&mut buffer).expect("bytes, or the end");
    buffer[..bytes].to_vec()
}

fn pair(timeout: Duration) -> (Memory, Memory) {
    let (near, far) = Memory::pair();
    for stream in [&near, &far] {
        stream.set_read_timeout(timeout).expect("a timeout");
        stream.set_write_timeout(timeout).expect("a timeout");
    }
    (near, far)
}

#[test]
fn each_end_reads_what_the_other_has_written() {
    let (near, far) = pair(Duration::from_secs(20));
    assert_eq!((near.write(b"one").ok(), near.write(b"two").ok()), (Some(3), Some(3)));
    assert_eq!(far.write(b"").ok(), Some(0));
    let answer = thread::spawn(move || {
        assert_eq!(read(&far), b"onetwo");
        far.write(b"answer").expect("room");
        far
    });
    assert_eq!(read(&near), b"answer");
    drop(answer.join().expect("no panic"));
}

#[test]
fn a_timeout_is_a_total_and_loses_nothing() {
    let timeout = Duration::from_millis(30);
    let (near, far) = pair(timeout);
    let begun = Instant::now();
    assert!(is_timeout(&far.read(&mut [0; 9]).expect_err("nothing has come")));
    assert!(begun.elapsed() >= timeout);
    let large = vec![7; CAPACITY + 1000];
    assert_eq!(near.write(&large).ok(), Some(CAPACITY));
    assert!(is_timeout(&near.write(&large[CAPACITY..]).expect_err("no room")));
    assert_eq!(read(&far).len(), 1024);
    assert_eq!(near.write(&large[CAPACITY..]).ok(), Some(1000));
    let mut rest = 0;
    while rest < large.len() - 1024 {
        rest += read(&far).len();
    }
    assert!(far.read(&mut [0; 9]).is_err());
}

#[test]
fn a_writer_goes_on_while_the_other_end_reads() {
    let (near, far) = pair(Duration::from_secs(20));
    let large = vec![7; 3 * CAPACITY];
    let length = large.len();
    let writer = thread::spawn(move || near.write(&large).ok());
    let mut read_so_far = 0;
    loop {
        match read(&far).len() {
            0 => break,
            bytes => read_so_far += bytes,
        }
    }
    assert_eq!((read_so_far, writer.join().expect("no panic")), (length, Some(length)));
}

#[test]
fn what_came_before_a_shutdown_is_read_and_then_the_end() {
    for how in [Shutdown::Read, Shutdown::Both] {
        let (near, far) = pair(Duration::from_secs(20));
        near.write(b"before").expect("room");
        far.shutdown(how).expect("a shutdown");
        assert_eq!((read(&far), read(&far)), (b"before".to_vec(), vec![]));
        // As on Linux, what comes later is read, too, if only the receiving side was shut.
        match near.write(b"after") {
            Ok(5) if how == Shutdown::Read => assert_eq!(read(&far), b"after"),
            Err(error) => assert_eq!((error.kind(), how), (ErrorKind::BrokenPipe, Shutdown::Both)),
            other => panic!("{:?}", other),
        }
    }
    let (near, far) = pair(Duration::from_secs(20));
    near.write(b"before").expect("room");
    near.shutdown(Shutdown::Write).expect("a shutdown");
    assert_eq!(near.write(b"after").expect_err("shut").kind(), ErrorKind::BrokenPipe);
    assert_eq!((read(&far), read(&far)), (b"before".to_vec(), vec![]));
    far.write(b"the other direction").expect("room");
    assert_eq!(read(&near), b"the other direction");
}

#[test]
fn an_end_that_is_dropped_has_gone() {
    let (near, far) = pair(Duration::from_secs(20));
    near.write(b"last words").expect("room");
    drop(near);
    assert_eq!((read(&far), read(&far)), (b"last words".to_vec(), vec![]));
    assert_eq!(far.write(b"hello?").expect_err("gone").kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_shutdown_wakes_a_blocked_read_and_a_blocked_write() {
    for write in [false, true] {
        let (near, far) = pair(Duration::from_secs(20));
        let begun = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| match write {
                true => {
                    let taken = near.write(&vec![0; 2 * CAPACITY]).expect("a part");
                    assert!((CAPACITY..=CAPACITY + 1024).contains(&taken));
                }
                false => assert_eq!(read(&near), b""),
            });
            match write {
                true => assert_eq!(read(&far).len(), 1024),
                false => assert!(far.wait_until_read(after(Duration::from_secs(20)))),
            }
            near.shutdown(Shutdown::Both).expect("a shutdown");
        });
        assert!(begun.elapsed() < Duration::from_secs(15));
    }
}

#[test]
fn the_other_end_has_read_everything_when_it_waits_for_more() {
    let (near, far) = pair(Duration::from_secs(20));
    near.write(b"some").expect("room");
    assert!(!near.wait_until_read(Instant::now()));
    let reader = thread::spawn(move || {
        assert_eq!((read(&far), read(&far)), (b"some".to_vec(), vec![]));
    });
    assert!(near.wait_until_read(after(Duration::from_secs(20))));
    near.shutdown(Shutdown::Write).expect("a shutdown");
    reader.join().expect("no panic");
    assert!(near.wait_until_read(Instant::now())); // it has gone
}
