//! Single steps of the write half's state.

use crate::net::queue::{Life, Next, Owner, Queue};
use crate::websocket::frame::{Frame, OpCode};
use std::thread;
use std::time::{Duration, Instant};

/// A frame of five bytes.
fn frame() -> Frame<'static> {
    Frame::new(OpCode::Text, b"one")
}

/// Returns a queue in which nothing is pending.
fn idle() -> Queue {
    let mut queue = Queue::opening(Vec::new());
    assert_eq!(queue.first_lot(), Next::Write(Vec::new()));
    assert_eq!(queue.written(Vec::new(), false), Next::Leave);
    queue
}

fn lot(next: Next) -> Vec<u8> {
    match next {
        Next::Write(lot) => lot,
        other => panic!("nothing to write: {:?}", other),
    }
}

/// Returns a queue of which a flusher has just written all.
fn behind() -> Queue {
    let mut queue = idle();
    let first = lot(queue.send(&frame()));
    assert_eq!(queue.came_up_short(first, 2), Next::HandOver);
    assert_eq!(lot(queue.next_lot(true)).len(), 3);
    queue
}

#[test]
fn a_queue_comes_on_the_list_of_each_batch_once_and_of_two_batches_the_later_one_writes() {
    let mut queue = idle();
    let appended = [1, 1, 2, 2, 1].map(|batch| queue.append(&frame(), Owner::Batch(batch)));
    assert_eq!(appended, [true, false, true, false, true]);
    // What a courier has stays the courier's and counts in the total; a batch writes it at its end,
    // too, if the courier has not come by then.
    let mut queue = idle();
    assert!(queue.append(&frame(), Owner::Courier));
    assert!(queue.append(&frame(), Owner::Batch(1)) && !queue.append(&frame(), Owner::Courier));
    assert_eq!(queue.publish(), (15, false));
}

#[test]
fn what_a_short_write_took_is_written_and_the_client_is_behind_before_a_flusher_runs() {
    let mut queue = idle();
    let first = lot(queue.send(&frame()));
    assert!(!queue.is_behind());
    assert_eq!(queue.came_up_short(first, 2), Next::HandOver);
    assert_eq!((queue.counts.bytes_out, queue.bytes()), (2, 3));
    assert!(queue.is_behind());
}

#[test]
fn a_writer_that_has_written_enough_leaves_the_rest_to_a_flusher() {
    for (enough, next) in [(true, Next::HandOver), (false, Next::Write(b"\x81\x03one".to_vec()))] {
        let mut queue = idle();
        let first = lot(queue.send(&frame()));
        assert_eq!(queue.send(&frame()), Next::Leave, "the writer has the role");
        assert_eq!(queue.written(first, enough), next);
        assert!(queue.has_writer());
    }
}

#[test]
fn a_flusher_writes_a_pong_that_came_alone() {
    let mut queue = behind();
    assert!(queue.keep_pong(&Frame::new(OpCode::Pong, b"p")));
    assert_eq!(queue.next_lot(true), Next::Write(b"\x8a\x01p".to_vec()));
}

#[test]
fn a_flusher_that_has_caught_up_stays_as_the_writer_of_a_client_that_is_not_behind() {
    let mut queue = behind();
    assert_eq!(queue.next_lot(true), Next::Stay);
    assert!(queue.has_writer() && !queue.is_behind());
    assert_eq!(queue.next_lot(false), Next::Leave);
    assert!(!queue.has_writer());
}

#[test]
fn a_flusher_leaves_a_queue_that_is_shut_with_nothing_to_write_not_even_a_pong() {
    let mut queue = behind();
    assert!(queue.keep_pong(&Frame::new(OpCode::Pong, b"p")));
    assert!(queue.shut());
    assert!(queue.has_writer(), "it still has the role");
    assert_eq!(queue.next_lot(true), Next::Leave);
    assert!(!queue.has_writer() && queue.life() == Life::Shut);
}

#[test]
fn the_time_for_the_answer_to_a_close_frame_begins_when_all_is_written() {
    let (close, whole) = (Frame::new(OpCode::Close, b""), Duration::from_millis(1));
    let mut queue = idle();
    let first = lot(queue.send(&frame()));
    assert!(queue.close(&close));
    let begun = Instant::now();
    while begun.elapsed() <= whole {
        thread::yield_now();
    }
    assert_eq!(queue.time_to_close(whole), whole, "the frame is not written");
    let second = lot(queue.written(first, false));
    assert_eq!(queue.written(second, false), Next::Leave);
    assert!(!queue.time_to_close(Duration::from_secs(3600)).is_zero());
    while !queue.time_to_close(whole).is_zero() {
        thread::yield_now();
    }
    // After a failed write, there is nothing to wait for.
    for end in [Queue::shut, Queue::lose] {
        let mut queue = idle();
        assert!(end(&mut queue));
        assert!(queue.time_to_close(whole).is_zero());
    }
}

#[test]
fn a_client_that_comes_up_short_again_has_been_behind_since_the_first_time() {
    let mut queue = behind();
    while !queue.is_too_slow() {
        thread::yield_now();
    }
    queue.fall_behind();
    assert!(queue.is_too_slow());
}

#[test]
fn the_buffer_of_a_lot_serves_the_next_one_until_the_queue_shrinks() {
    for (shrinks, most) in [(false, usize::MAX), (true, 999)] {
        let mut queue = idle();
        let mut first = lot(queue.send(&frame()));
        first.reserve(1000);
        assert_eq!(queue.written(first, false), Next::Leave);
        if shrinks {
            queue.shrink();
        }
        let next = lot(queue.send(&frame()));
        assert!(next.capacity() <= most, "{} bytes", next.capacity());
        assert!(shrinks || next.capacity() >= 1000, "{} bytes", next.capacity());
    }
}

#[test]
fn threads_that_wait_are_woken_once() {
    let mut queue = idle();
    queue.awaited = true;
    assert_eq!([queue.publish(), queue.publish()], [(0, true), (0, false)]);
}
