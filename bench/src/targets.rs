//! What sockling wants to reach, and whether it does.

use crate::cells::{CPU, RATE};
use crate::results::Results;
use crate::servers::Server;
use crate::stats::number;
use sockling::limits::Limits;
use std::fmt::Write;

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

use Bound::{AtLeast, AtMost};

struct Target {
    what: String,
    unit: &'static str,
    bound: Bound,
    /// `None`: not measured in this run.
    value: Option<f64>,
}

/// Returns the targets of all cells that ran, as a table; nothing when none ran.
pub fn table(results: &Results) -> String {
    let mut text = String::new();
    for target in all(results) {
        let Some(value) = target.value else { continue };
        if text.is_empty() {
            text.push_str("\n## Targets\n\n| what | target | measured | |\n|---|--:|--:|---|\n");
        }
        let (sign, bound, holds) = match target.bound {
            AtLeast(bound) => ("≥", bound, value >= bound),
            AtMost(bound) => ("≤", bound, value <= bound),
        };
        let digits = if bound < 100.0 && !target.unit.is_empty() { 2 } else { 0 };
        let _ = writeln!(
            text,
            "| {} | {sign} {bound}{unit} | {}{unit} | {} |",
            target.what,
            number(value, digits),
            if holds { "yes" } else { "**no**" },
            unit = target.unit,
        );
    }
    text
}

fn all(results: &Results) -> Vec<Target> {
    let own = |cell: &str, column| results.median(cell, Server::Sockling, column);
    let worst = |cell: &str, column| {
        results.spread(cell, Server::Sockling, column).map(|spread| spread.high)
    };
    let ratio =
        |cell: &str, column, to| Some(own(cell, column)? / results.median(cell, to, column)?);
    let mut targets = Vec::new();
    let mut add = |what: &str, unit, bound, value| {
        targets.push(Target { what: what.to_string(), unit, bound, value });
    };
    let (peer, floor) = (Server::Tungstenite, Server::TcpThreads);

    let what = "16 × 64 in flight, messages to tungstenite's";
    add(what, " ×", AtLeast(12.0), ratio("echo-16-64", RATE, peer));
    let what = "1 × 1 on one core, messages to the TCP echo's";
    add(what, " ×", AtLeast(0.95), ratio("echo-1-1", RATE, floor));
    for connections in [16, 128, 1000] {
        let what = format!("{connections} × 1 in flight, time per message to the TCP echo's");
        add(&what, " ×", AtMost(1.10), ratio(&format!("echo-{connections}-1"), CPU, floor));
    }
    let what = "128 × 1 in flight, messages to tungstenite's";
    add(what, " ×", AtLeast(1.2), ratio("echo-128-1", RATE, peer));
    let growth: Option<Vec<f64>> = [1, 16, 128, 1000, 5000]
        .into_iter()
        .map(|connections| own(&format!("echo-{connections}-64"), CPU))
        .collect();
    let most_to_least = growth.clone().map(|times| {
        let (low, high) = times.iter().fold((f64::MAX, 0.0), |(low, high): (f64, f64), time| {
            (low.min(*time), high.max(*time))
        });
        high / low
    });
    let what = "1 to 5,000 × 64 in flight, most time per message to the least";
    add(what, " ×", AtMost(2.0), most_to_least);
    let what = "1 to 5,000 × 64 in flight, growth of the time per message with the connections";
    add(what, " ×", AtMost(2.0), growth.map(|times| most_growth(&times)));

    let together = (own("broadcast-16", RATE), own("broadcast-1", RATE));
    let gain = together.0.zip(together.1).map(|(sixteen, one)| sixteen / one);
    let what = "broadcast to 1,000, deliveries with 16 in flight to those with 1";
    add(what, " ×", AtLeast(10.0), gain);
    for in_flight in [1, 16] {
        let [topic, all] =
            ["topic", "broadcast"].map(|name| own(&format!("{name}-{in_flight}"), CPU));
        let cost = topic.zip(all).map(|(topic, all)| topic / all);
        let what =
            format!("a topic's message to 1,000, {in_flight} in flight, time to a broadcast's");
        add(&what, " ×", AtMost(1.1), cost);
    }
    add("flood, MiB to tungstenite's", " ×", AtLeast(1.05), ratio("flood", RATE, peer));
    let what = "storm, connections to tungstenite's";
    add(what, " ×", AtLeast(1.5), ratio("storm", RATE, peer));

    for connections in [16, 128] {
        let cell = format!("http-{connections}");
        let what = format!("HTTP on {connections} connections, requests to tiny_http's");
        add(&what, " ×", AtLeast(1.6), ratio(&cell, RATE, Server::TinyHttp));
        let what = format!("HTTP on {connections} connections, time per request to axum's");
        add(&what, " ×", AtMost(1.3), ratio(&cell, CPU, Server::Axum));
    }
    for connections in [1000, 5000] {
        let cell = format!("idle-{connections}");
        let what = format!("memory of each of {connections} silent connections");
        add(&what, " KiB", AtMost(16.0), own(&cell, 0));
        let extra = own(&cell, 1).map(|threads| threads - connections as f64);
        let what = format!("threads beyond one each of {connections}");
        add(&what, "", AtMost(8.0), extra);
    }

    let backlogs = 2 * Limits::default().backlog / 1024 + 2 * 1024;
    add("1 of 100 stalled, p99 of the others", " ms", AtMost(20.0), own("stalled-1", 0));
    add("1 of 100 stalled, longest send", " ms", AtMost(30.0), worst("stalled-1", 1));
    let what = "1 of 100 stalled, growth of memory";
    add(what, " KiB", AtMost(backlogs as f64), worst("stalled-1", 2));
    let what = "1 of 100 stalled: it was closed, and the sender told";
    let told = own("stalled-1", 3).zip(own("stalled-1", 4)).map(|(closed, told)| closed.min(told));
    add(what, "", AtLeast(1.0), told);
    add("40 of 100 stalled, longest send", " ms", AtMost(30.0), worst("stalled-40", 1));
    let what = "40 of 100 stalled: they were closed, and the sender told";
    let told =
        own("stalled-40", 3).zip(own("stalled-40", 4)).map(|(closed, told)| closed.min(told));
    add(what, "", AtLeast(40.0), told);
    let tls = |cell: &str, column| {
        let own = results.median(cell, Server::SocklingTls, column)?;
        Some(own / results.median(cell, Server::TokioTungsteniteTls, column)?)
    };
    for (cell, what) in
        [("echo-16-64", "16 × 64 in flight"), ("echo-16-1", "16 × 1"), ("flood", "flood")]
    {
        let what = format!("TLS, {what}, time per message to tokio-tungstenite's");
        add(&what, " ×", AtMost(1.0), tls(&format!("tls-{cell}"), CPU));
    }
    for (cell, after, most) in
        [("idle-1000", "125 bytes", 40.0), ("idle-1000-30000", "30,000 bytes", 80.0)]
    {
        let what = format!("TLS, memory of each of 1000 connections silent after {after}");
        add(
            &what,
            " KiB",
            AtMost(most),
            results.median(&format!("tls-{cell}"), Server::SocklingTls, 0),
        );
    }
    let deflate =
        |cell: &str, server, column| results.median(&format!("deflate-{cell}"), server, column);
    let half = || {
        let peers = [Server::NodeWsDeflate, Server::YawcDeflate];
        let peers = peers.map(|peer| deflate("broadcast-1", peer, CPU));
        let best = peers.into_iter().flatten().reduce(f64::min)?;
        Some(deflate("broadcast-1", Server::SocklingDeflate, CPU)? / best)
    };
    let what = "compressed broadcast to 1,000, time per delivery to the best peer's";
    add(what, " ×", AtMost(0.5), half());
    let each = deflate("idle-1000", Server::SocklingDeflate, 0);
    let more = each.zip(own("idle-1000", 0)).map(|(each, plain)| each - plain);
    let what = "memory that compression adds to each of 1000 silent connections";
    add(what, " KiB", AtMost(1.0), more);
    add("unmask", " GB/s", AtLeast(10.0), own("unmask", 0));
    targets
}

/// Returns the most that a value is of one before it.
fn most_growth(values: &[f64]) -> f64 {
    let (mut least, mut most) = (f64::MAX, 0.0f64);
    for &value in values {
        least = least.min(value);
        most = most.max(value / least);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fall_is_no_growth_and_a_rise_is_measured_from_the_least_before() {
        assert_eq!(most_growth(&[4.0, 2.0, 1.0]), 1.0);
        assert_eq!(most_growth(&[4.0, 1.0, 3.0, 2.0]), 3.0);
    }
}
