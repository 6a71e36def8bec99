//! The library's own log lines: a kind's pace, and what is told of what was left out.

use crate::ground::limits::{LOG_BURST, LOG_LINE, LOG_PACE, LOG_QUEUE, LOG_REPORT};
use crate::ground::logger::{capped, Level, Pace, Queue};
use std::time::{Duration, Instant};

#[test]
fn a_kind_keeps_its_pace_and_what_was_left_out_is_told_by_its_first_line() {
    let (queue, place, begin) = (Queue::new(), ("some file", 7), Instant::now());
    let burst = |now| (0..3 * LOG_BURST).map(|_| queue.pace(Level::Info, place, now)).collect();
    let paces: Vec<Pace> = burst(begin);
    let kept = |paces: &[Pace]| paces.iter().filter(|pace| **pace == Pace::Kept).count();
    assert_eq!(kept(&paces), LOG_BURST as usize);
    assert_eq!(paces[LOG_BURST as usize], Pace::First);
    assert!(paces[LOG_BURST as usize + 1..].iter().all(|pace| *pace == Pace::LeftOut));
    // Another place is another kind.
    assert_eq!(queue.pace(Level::Info, ("some file", 8), begin), Pace::Kept);
    assert_eq!(queue.pace(Level::Error, place, begin), Pace::Kept, "so is another level");

    let mut state = queue.lock();
    state.tell_later(Level::Info, place, "refused 10.0.0.7".to_string(), begin);
    assert_eq!(state.report(begin), LOG_REPORT, "when to look again");
    assert!(state.lines.is_empty());
    state.pretend_to_write();
    state.report(begin + LOG_REPORT);
    let told = format!("left out {} lines in 10 s: refused 10.0.0.7", 2 * LOG_BURST);
    let lines: Vec<_> = state.lines.iter().map(|(_, level, line)| (*level, &**line)).collect();
    assert_eq!(lines, [(Level::Info, &*told)]);
    assert!(
        state.report(begin + LOG_REPORT) > Duration::from_secs(3600),
        "nothing is left to tell"
    );
    drop(state);
    // One at a time from then on, and the whole burst after a quiet time.
    let paces: Vec<Pace> = burst(begin + LOG_PACE);
    assert_eq!((kept(&paces), &paces[1]), (1, &Pace::First));
    let paces: Vec<Pace> = burst(begin + LOG_PACE * LOG_BURST * 3);
    assert_eq!(kept(&paces), LOG_BURST as usize);
}

#[test]
fn a_queue_takes_so_many_bytes_and_counts_the_lines_that_it_does_not_take() {
    let queue = Queue::new();
    let mut state = queue.lock();
    state.append(Level::Warn, "no thread could be started".to_string());
    assert_eq!((state.lines.len(), state.dropped), (0, 1));
    state.pretend_to_write();
    (0..100).for_each(|_| state.append(Level::Warn, "x".repeat(LOG_LINE)));
    assert!(state.bytes <= LOG_QUEUE && state.bytes > LOG_QUEUE - 2 * LOG_LINE);
    assert_eq!(state.lines.len() as u64 + state.dropped, 101);
}

#[test]
fn a_line_is_cut_between_two_characters() {
    assert_eq!(capped(format_args!("{}", "x".repeat(LOG_LINE))), "x".repeat(LOG_LINE));
    for before in 0..4 {
        let text = "x".repeat(LOG_LINE - before) + "\u{20ac}\u{20ac}";
        let fits = if before == 3 { "\u{20ac}" } else { "" };
        let expected = format!("{}{}.. (cut)", "x".repeat(LOG_LINE - before), fits);
        assert_eq!(capped(format_args!("{}", text)), expected, "{}", before);
    }
    // After the cut nothing more gets in, however short.
    let text = capped(format_args!("{}{}{}", "x".repeat(LOG_LINE - 1), "\u{20ac}", "y"));
    assert_eq!(text, format!("{}.. (cut)", "x".repeat(LOG_LINE - 1)));
}
