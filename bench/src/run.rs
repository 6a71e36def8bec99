//! A whole run: the rounds, and what is written of them.

use crate::args::Plan;
use crate::measure::measure;
use crate::proc::{raise_file_limit, Machine};
use crate::report::{self, Facts};
use crate::results::Results;
use crate::servers::Wire;
use crate::{chart, targets};
use std::collections::HashSet;
use std::fs;
use std::io::{self, IsTerminal};
use std::time::Instant;

pub fn run(plan: &Plan) -> io::Result<()> {
    raise_file_limit()?;
    let (start, before) = (Instant::now(), Machine::now()?);
    let mut results = Results::default();
    let mut servers = plan.servers.clone();
    servers.retain(|server| match server.missing() {
        Some(why) => {
            results.notes.push(format!("{} was left out: {why}.", server.name()));
            false
        }
        None => true,
    });
    for cell in &plan.cells {
        // Who fails once would fail again, and may take long to do so.
        let mut failed = HashSet::new();
        for round in 0..plan.rounds {
            for (index, server) in servers.iter().copied().enumerate() {
                let wire = match server.wire() {
                    Wire::Raw => Wire::WebSocket,
                    wire => wire,
                };
                if wire != cell.wire || !server.can(cell.mode()) || failed.contains(&index) {
                    continue;
                }
                let (name, seconds) = (server.name(), start.elapsed().as_secs());
                progress(&format!("{seconds:>4} s  {}  round {}  {name}", cell.name, round + 1));
                match measure(cell, server, plan) {
                    Ok(numbers) => results.add(cell, server, numbers),
                    Err(error) => {
                        failed.insert(index);
                        progress("");
                        eprintln!("{}: {name} failed: {error}", cell.name);
                        results.notes.push(format!("{}: {name} failed: {error}.", cell.name));
                    }
                }
            }
        }
        progress("");
        print!("{}", report::cell(&results, cell, &servers));
    }
    let facts = Facts {
        cores: std::thread::available_parallelism()?.get(),
        seconds: start.elapsed().as_secs(),
        others: Machine::now()?.used_by_others_since(before),
    };
    if let Some(folder) = plan.out.parent() {
        fs::create_dir_all(folder)?;
    }
    let charts = chart::draw(&results, plan, &servers)?;
    fs::write(&plan.out, report::whole(&results, plan, &servers, &facts, &charts))?;
    print!("{}", targets::table(&results));
    println!("\n{}", report::noise(&facts));
    println!("written: {}", plan.out.display());
    Ok(())
}

/// Shows one line in place of the one before, where somebody looks.
fn progress(line: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{line}");
    }
}
