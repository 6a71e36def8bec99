//! What the library takes on a small host.

#[path = "../loopback/mod.rs"]
mod loopback;

mod measured;

use sockling::limits::Limits;

const MIB: usize = 1024 * 1024;

#[test]
fn the_small_limits_stay_under_24_mib_by_the_sum_of_their_parts() {
    let limits = Limits::small();
    let sum = limits.most_memory().expect("a ceiling on connections");
    assert!(sum < 24 * MIB, "{} bytes", sum);
    // Each part counts.
    let all = [
        Limits { stack: limits.stack + 1, ..limits.clone() },
        Limits { request_line: limits.request_line + 1, ..limits.clone() },
        Limits { headers: limits.headers + 1, ..limits.clone() },
        Limits { body: limits.body + 1, ..limits.clone() },
        Limits { message: limits.message + 1, ..limits.clone() },
        Limits { buffer: limits.buffer + 1, ..limits.clone() },
        Limits { total_backlog: limits.total_backlog + 1, ..limits.clone() },
        Limits { connections: limits.connections + 1, ..limits.clone() },
        Limits { topics_per_session: limits.topics_per_session + 1, ..limits.clone() },
        Limits { topic_name: limits.topic_name + 1, ..limits.clone() },
        Limits { topics_keep: limits.topics_keep + 1, ..limits.clone() },
    ];
    for more in all {
        assert!(more.most_memory() > Some(sum), "{:?}", more);
    }
}

#[test]
fn without_a_ceiling_on_connections_there_is_no_sum_and_a_sum_does_not_overflow() {
    assert_eq!(Limits { connections: 0, ..Limits::small() }.most_memory(), None);
    let endless = Limits { stack: usize::MAX, headers: usize::MAX, ..Limits::small() };
    assert_eq!(endless.most_memory(), Some(usize::MAX));
}
