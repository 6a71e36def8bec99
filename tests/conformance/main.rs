//! The ground that the Autobahn WebSocket test suite covers in its sections 1 to 7 and 10, as
//! tables: what a client sends, in which writes, and all that must come back. An id is the suite's;
//! a letter behind it marks a row that only this table has.
//!
//! Where the suite grades, one outcome is asked for here: what comes back is compared byte by
//! byte up to the end of the connection. Its sections 9 (speed), 12 and 13 (compression, which the
//! library does not speak) have no table.

#[path = "../loopback/mod.rs"]
mod loopback;

mod closing;
mod fragments;
mod framing;
mod pings;
mod player;
mod reserved;
mod row;
mod utf8;

use player::{check, faults};
use row::{row, End, How, Row};
use std::collections::HashSet;

#[test]
fn section_1_a_message_of_any_length_comes_back_in_one_frame() {
    check(&framing::rows());
}

#[test]
fn section_2_a_ping_is_answered_with_its_payload_and_a_pong_is_not() {
    check(&pings::rows());
}

#[test]
fn section_3_a_reserved_bit_is_refused_and_what_came_before_it_is_answered() {
    check(&reserved::bits());
}

#[test]
fn section_4_a_reserved_opcode_is_refused_and_what_came_before_it_is_answered() {
    check(&reserved::opcodes());
}

#[test]
fn section_5_fragments_are_joined_and_pings_between_them_answered_at_once() {
    check(&fragments::rows());
}

#[test]
fn section_6_text_is_utf8_or_refused_at_the_first_byte_that_is_not() {
    check(&utf8::rows());
}

#[test]
fn section_7_a_close_is_answered_once_and_nothing_after_it_counts() {
    check(&closing::rows());
}

#[test]
fn section_10_a_long_message_in_many_fragments_comes_back_in_one_frame() {
    check(&fragments::long_rows());
}

#[test]
fn the_tables_are_whole_and_name_each_row_once() {
    let mut ids = HashSet::new();
    // The section, its cases in the suite, and the rows that only this table has.
    for (section, rows, known, own) in [
        ("1.", framing::rows(), 16, 0),
        ("2.", pings::rows(), 11, 0),
        ("3.", reserved::bits(), 7, 1),
        ("4.", reserved::opcodes(), 10, 0),
        ("5.", fragments::rows(), 20, 3),
        ("6.", utf8::rows(), 145, 137),
        ("7.", closing::rows(), 37, 4),
        ("10.", fragments::long_rows(), 1, 0),
    ] {
        let ours = rows.iter().filter(|row| row.id.ends_with(char::is_alphabetic)).count();
        assert_eq!((rows.len() - ours, ours), (known, own), "section {}", section);
        for row in rows {
            assert!(row.id.starts_with(section), "{} is not of section {}", row.id, section);
            assert!(ids.insert(row.id.clone()), "{} is there twice", row.id);
        }
    }
}

/// Rows that would be right with one thing changed.
#[rustfmt::skip]
fn wrong_rows() -> Vec<Row> {
    use {loopback::masked, End::*, How::*};
    let hello = [masked(0x81, b"hello")];
    let close = [masked(0x88, b"\x03\xe8")];
    let (bad_bit, bad_text) = ([masked(0xc1, b"hello")], [masked(0x81, b"\xff")]);
    vec![
        row("another text", Fine, Whole, &hello, &[(0x81, b"hallo")]),
        row("another opcode", Fine, Whole, &hello, &[(0x82, b"hello")]),
        row("not the last fragment", Fine, Whole, &hello, &[(0x01, b"hello")]),
        row("nothing comes", Fine, Whole, &hello, &[]),
        row("another code", Refused(1007), Whole, &bad_bit, &[]),
        row("the other code", Refused(1002), Whole, &bad_text, &[]),
        row("refused, but fine", Fine, Whole, &bad_bit, &[]),
        row("an answer first", Refused(1002), Whole, &bad_bit, &[(0x81, b"hello")]),
        row("a reason", Closed, Whole, &close, &[(0x88, b"\x03\xe8bye")]),
        row("closed, but refused", Refused(1002), Whole, &close, &[]),
        row("no Close frame", Closed, Whole, &close, &[]),
        row("two Close frames", Closed, Whole, &close, &[(0x88, b"\x03\xe8"), (0x88, b"\x03\xe8")]),
    ]
}

#[test]
fn a_row_that_is_wrong_is_named_with_what_was_heard() {
    let rows = wrong_rows();
    let faults = faults(&rows);
    assert_eq!(faults.len(), rows.len(), "{:#?}", faults);
    for (row, fault) in rows.iter().zip(&faults) {
        assert!(fault.starts_with(&row.id) && fault.contains(", heard "), "{}", fault);
    }
    assert!(faults[0].ends_with(r"heard \x81\x05hello"), "{}", faults[0]);
}

loopback::wire::transports! {
    all {
        section_1_a_message_of_any_length_comes_back_in_one_frame
        section_2_a_ping_is_answered_with_its_payload_and_a_pong_is_not
        section_3_a_reserved_bit_is_refused_and_what_came_before_it_is_answered
        section_4_a_reserved_opcode_is_refused_and_what_came_before_it_is_answered
        section_5_fragments_are_joined_and_pings_between_them_answered_at_once
        section_6_text_is_utf8_or_refused_at_the_first_byte_that_is_not
        section_7_a_close_is_answered_once_and_nothing_after_it_counts
        section_10_a_long_message_in_many_fragments_comes_back_in_one_frame
        a_row_that_is_wrong_is_named_with_what_was_heard
    }
    only over TCP: "it is about the tables" {
        the_tables_are_whole_and_name_each_row_once
    }
}
