//! The command line.

use std::path::PathBuf;
use std::time::Duration;

pub const HELP: &str = "\
Shows that nothing of a sockling server grows and no message is lost, on loopback. Needs Linux.

  --quick            5,000 connections and 20 seconds
  --connections N    connections of the churn, default 100,000
  --minutes M        how long memory is watched, default 10; 0 leaves that out
  --out FILE         also write the table there
";

pub enum Command {
    Help,
    Run(Plan),
    /// Hidden: be the server, as a child of the run.
    Serve,
}

/// What to run.
pub struct Plan {
    pub connections: usize,
    pub minutes: Duration,
    /// Connections between two looks at the memory.
    pub round: usize,
    pub out: Option<PathBuf>,
}

pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let (mut quick, mut connections, mut minutes, mut out) = (false, None, None, None);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{} wants a value", arg));
        match &*arg {
            "--help" | "-h" => return Ok(Command::Help),
            "serve" => return Ok(Command::Serve),
            "--quick" => quick = true,
            "--connections" => connections = Some(number::<usize>(&value()?)?),
            "--minutes" => minutes = Some(number::<f64>(&value()?)?),
            "--out" => out = Some(PathBuf::from(value()?)),
            _ => return Err(format!("what is {:?}?", arg)),
        }
    }
    let (usual, round, long) = if quick { (5_000, 500, 1.0 / 3.0) } else { (100_000, 5_000, 10.0) };
    let minutes = minutes.unwrap_or(long);
    if !(0.0..=1e6).contains(&minutes) {
        return Err(format!("{} minutes are none", minutes));
    }
    let minutes = Duration::from_secs_f64(minutes * 60.0);
    Ok(Command::Run(Plan { connections: connections.unwrap_or(usual), minutes, round, out }))
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{:?} is no number", text))
}
