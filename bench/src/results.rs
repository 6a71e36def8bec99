//! All samples of a run.

use crate::cells::Cell;
use crate::servers::Server;
use crate::stats::{spread, Spread};

#[derive(Default)]
pub struct Results {
    samples: Vec<Sample>,
    /// What did not run, and why.
    pub notes: Vec<String>,
}

struct Sample {
    cell: String,
    server: Server,
    numbers: Vec<f64>,
}

impl Results {
    pub fn add(&mut self, cell: &Cell, server: Server, numbers: Vec<f64>) {
        self.samples.push(Sample { cell: cell.name.clone(), server, numbers });
    }

    /// Returns one number over the rounds, or `None` when it was not measured.
    pub fn spread(&self, cell: &str, server: Server, column: usize) -> Option<Spread> {
        let of = |sample: &&Sample| sample.cell == cell && sample.server == server;
        spread(self.samples.iter().filter(of).filter_map(|s| s.numbers.get(column).copied()))
    }

    pub fn median(&self, cell: &str, server: Server, column: usize) -> Option<f64> {
        self.spread(cell, server, column).map(|spread| spread.median)
    }
}
