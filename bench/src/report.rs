//! The report, as Markdown.

use crate::args::Plan;
use crate::cells::Cell;
use crate::results::Results;
use crate::servers::Server;
use crate::stats::number;
use crate::targets;
use std::fmt::Write;
use std::path::PathBuf;

/// What is said of the run as a whole.
pub struct Facts {
    pub cores: usize,
    pub seconds: u64,
    /// The part of the machine that others used meanwhile.
    pub others: f64,
}

pub fn whole(
    results: &Results,
    plan: &Plan,
    servers: &[Server],
    facts: &Facts,
    charts: &[PathBuf],
) -> String {
    let rounds = match plan.rounds {
        1 => "one round".to_string(),
        rounds => format!("{rounds} interleaved rounds, medians (lowest–highest)"),
    };
    let mut text = format!(
        "# Report\n\nOn a machine with {}, client and server together; {rounds}; {:?} measured \
         after {:?} of warm-up. {}\n\nHow to read it: [README.md](README.md).\n\n",
        cores(facts.cores),
        plan.measured,
        plan.warm_up,
        noise(facts),
    );
    for server in servers {
        let _ = writeln!(text, "- `{}`: {}", server.name(), server.about());
    }
    for note in &results.notes {
        let _ = writeln!(text, "- {note}");
    }
    text.push_str(&targets::table(results));
    for chart in charts {
        let name = chart.file_name().unwrap_or_default().to_string_lossy();
        let title = chart.file_stem().unwrap_or_default().to_string_lossy();
        let _ = write!(text, "\n![{title}]({name})\n");
    }
    for cell in &plan.cells {
        text.push_str(&self::cell(results, cell, servers));
    }
    text
}

fn cores(count: usize) -> String {
    match count {
        1 => "one core".to_string(),
        2 => "two cores".to_string(),
        count => format!("{count} cores"),
    }
}

pub fn noise(facts: &Facts) -> String {
    format!(
        "It took {} s, while other programs used {:.0} % of the machine.",
        facts.seconds,
        facts.others * 100.0
    )
}

/// Returns the table of one cell; nothing when nobody was measured.
pub fn cell(results: &Results, cell: &Cell, servers: &[Server]) -> String {
    let mut rows = String::new();
    for server in servers.iter().copied() {
        if results.median(&cell.name, server, 0).is_some() {
            rows.push_str(&row(results, cell, server));
        }
    }
    if rows.is_empty() {
        return rows;
    }
    let mut text = format!("\n## {}\n\n{}\n\n| server |", cell.name, first_up(&cell.about()));
    let mut rule = "\n|---|".to_string();
    for column in cell.columns() {
        let _ = write!(text, " {} |", column.title);
        rule.push_str("--:|");
        if let Some(against) = column.against {
            let _ = write!(text, " × {against} |");
            rule.push_str("--:|");
        }
    }
    text.push_str(&rule);
    text.push('\n');
    text + &rows + &best_peers(results, cell, servers)
}

/// Returns a line for each number that is compared: the peer that is ahead of the others, and how the
/// best form of this library stands to it.
fn best_peers(results: &Results, cell: &Cell, servers: &[Server]) -> String {
    let mut text = String::new();
    for (index, column) in cell.columns().iter().enumerate() {
        let best = |peers: bool| {
            let of = servers.iter().filter(|server| server.is_peer() == peers);
            let own = |server: &&Server| peers || server.name().starts_with("sockling");
            let of = of.filter(own);
            let numbers = of.filter_map(|server| {
                results.median(&cell.name, *server, index).map(|number| (*server, number))
            });
            numbers.reduce(|best, other| match (other.1 < best.1) == column.less {
                true => other,
                false => best,
            })
        };
        if let (Some(_), Some(peer), Some(own)) = (column.against, best(true), best(false)) {
            let _ = writeln!(
                text,
                "\nBest peer: {}, {} {}; {} has {:.2} ×.",
                peer.0.name(),
                number(peer.1, column.digits),
                column.title,
                own.0.name(),
                own.1 / peer.1,
            );
        }
    }
    text
}

fn row(results: &Results, cell: &Cell, server: Server) -> String {
    let mut text = format!("| {} |", server.name());
    for (index, column) in cell.columns().iter().enumerate() {
        let Some(spread) = results.spread(&cell.name, server, index) else { continue };
        let show = |value| number(value, column.digits);
        let _ = write!(text, " {}", show(spread.median));
        if spread.low != spread.high {
            let _ = write!(text, " ({}–{})", show(spread.low), show(spread.high));
        }
        text.push_str(" |");
        if let Some(against) = column.against {
            let other = Server::named(against).ok();
            let other = other.and_then(|other| results.median(&cell.name, other, index));
            match other.filter(|other| *other > 0.0) {
                Some(other) => {
                    let _ = write!(text, " {:.2} |", spread.median / other);
                }
                None => text.push_str(" |"),
            }
        }
    }
    text.push('\n');
    text
}

fn first_up(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
