//! Shows that nothing grows and nothing is lost: `cargo run --release` in this folder, or
//! `-- --help`.
//!
//! ```text
//! args         what to run                    server      the server: a child of this process
//! behaviours   what clients do, good and bad  child       the child, and its figures in /proc
//! churn        all of that, by 16 threads     accounting  every message is taken or told
//! poll         a login beside a flood      memory      the churn again, and its slope
//! report       what comes out
//! ```

mod accounting;
mod args;
mod behaviours;
mod child;
mod churn;
mod memory;
mod poll;
mod report;
mod server;

#[path = "../../loopback/mod.rs"]
mod loopback;

use args::{Command, Plan};
use child::Child;
use report::Report;
use std::process::ExitCode;

fn main() -> ExitCode {
    let plan = match args::parse(std::env::args().skip(1)) {
        Ok(Command::Run(plan)) => plan,
        Ok(Command::Serve) => return server::serve(),
        Ok(Command::Help) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("{}\n\n{}", wrong, args::HELP);
            return ExitCode::from(2);
        }
    };
    let report = run(&plan);
    let written = plan.out.as_ref().map_or(Ok(()), |out| std::fs::write(out, report.table()));
    print!("{}", report.table());
    let unwritten = written.map_err(|error| format!("the report was not written: {}", error)).err();
    let wrong: Vec<&String> = report.wrong.iter().chain(&unwritten).collect();
    wrong.iter().for_each(|wrong| eprintln!("WRONG: {}", wrong));
    ExitCode::from(u8::from(!wrong.is_empty()))
}

/// Runs all parts. After each, the server must stand as it did at its start.
fn run(plan: &Plan) -> Report {
    let mut report = Report::default();
    let mut child = Child::start();
    // Each door then keeps as many threads as it ever does, so what is counted later is exact.
    report.part("start", |_| child.settle());
    report.part("churn", |report| {
        churn::run(&child, plan.connections, report);
        child.settle()
    });
    report.part("accounting", |report| {
        accounting::run(&mut child, report);
        child.settle()
    });
    report.part("poll", |report| {
        poll::run(&mut child, report);
        child.settle()
    });
    if !plan.minutes.is_zero() {
        report.part("memory", |report| {
            memory::run(&mut child, plan, report);
            child.settle()
        });
    }
    report.part("shutdown", |report| child.end(report));
    report
}
