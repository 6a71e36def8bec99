//! Measures sockling against its peers: `cargo run --release` in this folder, or `-- --help`.
//!
//! ```text
//! args      what to run                     servers/  the servers, each a child of this process
//! cells     what is measured                load/     the clients: one thread, one event loop
//! measure   one cell, one server, once      proc      children, processor time, memory
//! results   all samples, medians            report, targets, chart    what comes out
//! ```

mod args;
mod cells;
mod chart;
mod load;
mod measure;
mod proc;
mod report;
mod results;
mod run;
mod servers;
mod stats;
mod targets;

use args::Command;
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match args::parse(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            print!("{}", args::HELP);
            Ok(())
        }
        Ok(Command::List) => {
            args::list();
            Ok(())
        }
        Ok(Command::Serve(server, mode)) => servers::serve(server, mode),
        Ok(Command::Run(plan)) => run::run(&plan),
        Err(wrong) => {
            eprintln!("{wrong}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
