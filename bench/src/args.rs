//! The command line.

use crate::cells::{self, Cell};
use crate::servers::{Mode, Server};
use std::path::PathBuf;
use std::time::Duration;

pub const HELP: &str = "\
Measures sockling against its peers, on loopback.

  --quick            under a minute: one round, short windows, three servers
  --cells A,B        only these cells; a name's beginning is enough (`echo` is all echo cells)
  --servers A,B      only these servers
  --rounds N         rounds over the servers, default 3
  --seconds S        measured time of a cell in a round, default 1
  --warm-up S        time before it, default 0.3
  --out FILE         the report, default REPORT.md beside the package; charts go beside it
  --list             names of cells and servers
";

pub enum Command {
    Help,
    List,
    Run(Plan),
    /// Hidden: be a server, as a child of the run.
    Serve(Server, Mode),
}

/// What to run.
#[derive(Debug)]
pub struct Plan {
    pub cells: Vec<Cell>,
    pub servers: Vec<Server>,
    pub rounds: usize,
    pub measured: Duration,
    pub warm_up: Duration,
    /// Bytes that are broadcast past the clients that do not read.
    pub stalled_volume: usize,
    pub out: PathBuf,
}

pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut plan = Plan {
        cells: cells::all(),
        servers: Server::ALL.to_vec(),
        rounds: 3,
        measured: Duration::from_secs(1),
        warm_up: Duration::from_millis(300),
        stalled_volume: 64 << 20,
        out: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("REPORT.md"),
    };
    let (mut cells, mut servers) = (None, None);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} wants a value"));
        match &*arg {
            "--help" | "-h" => return Ok(Command::Help),
            "--list" => return Ok(Command::List),
            "serve" => {
                let server = Server::named(&value()?)?;
                return Ok(Command::Serve(server, Mode::named(&value()?)?));
            }
            "--quick" => {
                plan.rounds = 1;
                plan.measured = Duration::from_millis(250);
                plan.warm_up = Duration::from_millis(100);
                plan.stalled_volume = 16 << 20;
                plan.servers = vec![Server::Sockling, Server::Tungstenite, Server::TcpThreads];
            }
            "--cells" => cells = Some(cells::named(&value()?)?),
            "--servers" => {
                servers = Some(value()?.split(',').map(Server::named).collect::<Result<_, _>>()?)
            }
            "--rounds" => plan.rounds = number::<usize>(&value()?)?.max(1),
            "--seconds" => plan.measured = seconds(&value()?)?,
            "--warm-up" => plan.warm_up = seconds(&value()?)?,
            "--out" => plan.out = PathBuf::from(value()?),
            _ => return Err(format!("what is {arg:?}?")),
        }
    }
    plan.cells = cells.unwrap_or(plan.cells);
    plan.servers = servers.unwrap_or(plan.servers);
    Ok(Command::Run(plan))
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(number(text)?).map_err(|wrong| format!("{text}: {wrong}"))
}

pub fn list() {
    println!("cells:");
    for cell in cells::all() {
        println!("  {:<14} {}", cell.name, cell.about());
    }
    println!("servers:");
    for server in Server::ALL {
        println!("  {:<18} {}", server.name(), server.about());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<Plan, String> {
        match parse(line.split_whitespace().map(str::to_string))? {
            Command::Run(plan) => Ok(plan),
            _ => Err("no run".to_string()),
        }
    }

    #[test]
    fn what_is_named_is_run() {
        let plan = plan("--servers tungstenite --cells storm,echo-128 --quick --rounds 2").unwrap();
        assert_eq!(plan.servers, [Server::Tungstenite]);
        let names: Vec<_> = plan.cells.iter().map(|cell| &*cell.name).collect();
        assert_eq!(names, ["echo-128-1", "echo-128-64", "storm"]);
        assert_eq!(plan.rounds, 2);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(plan("--cells nothing").is_err());
        assert!(plan("--servers nobody").is_err());
        assert!(plan("--seconds -1").is_err());
        assert!(plan("--rounds").is_err());
    }
}
