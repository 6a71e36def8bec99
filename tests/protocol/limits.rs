//! The default limits.

use sockling::limits::{Limits, Overflow};
use std::time::Duration;

#[test]
fn the_default_limits_are_those_in_the_documentation() {
    let seconds = Duration::from_secs;
    // Every field is named, so that a new one needs a line here.
    let shipped = Limits {
        request_line: 8192,
        headers: 16_384,
        header_count: 100,
        body: 1_048_576,
        message: 1_048_576,
        fragments: 16_384,
        messages_per_second: 0,
        backlog: 1_048_576,
        backlog_messages: 1024,
        overflow: Overflow::Close,
        total_backlog: 67_108_864,
        buffer: 65_536,
        stack: 1_048_576,
        connections: 1000,
        connections_per_address: 0,
        connections_per_session: 16,
        topics_per_session: 1000,
        topic_name: 255,
        topics_keep: 4_194_304,
        requests_per_connection: 1000,
        head_timeout: seconds(10),
        body_timeout: seconds(30),
        message_timeout: seconds(30),
        write_timeout: seconds(30),
        min_rate: 8192,
        idle_timeout: seconds(15),
        close_timeout: seconds(5),
        ping_interval: seconds(20),
        pong_timeout: seconds(20),
        drain_timeout: seconds(10),
    };
    assert_eq!(Limits::default(), shipped);
}
