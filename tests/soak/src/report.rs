//! What comes out: a line that moves, and a table.

use std::any::Any;
use std::io::Write;
use std::panic::{catch_unwind, AssertUnwindSafe};

#[derive(Default)]
pub struct Report {
    part: String,
    rows: Vec<String>,
    /// What was not as promised.
    pub wrong: Vec<String>,
}

impl Report {
    /// Runs a part, unless one before it failed: then the server does not stand as it should. What
    /// it returns is how the server stands at its end.
    pub fn part(&mut self, name: &str, run: impl FnOnce(&mut Report) -> String) {
        if !self.wrong.is_empty() {
            return self.row(name, "not run", "");
        }
        self.part = name.to_string();
        match catch_unwind(AssertUnwindSafe(|| run(self))) {
            Ok(at_rest) => self.row("left afterwards", &at_rest, "that"),
            Err(panic) => {
                self.row("**failed**", text_of(&*panic).lines().next().unwrap_or(""), "");
                self.wrong.push(format!("{}: {}", name, text_of(&*panic)));
            }
        }
        progress("");
    }

    pub fn row(&mut self, what: &str, result: &str, wanted: &str) {
        self.rows.push(format!("| {} | {} | {} | {} |\n", self.part, what, result, wanted));
    }

    pub fn table(&self) -> String {
        let head = "| part | what | result | must be |\n|---|---|---|---|\n";
        head.to_string() + &self.rows.concat()
    }
}

/// Shows how far it is, in place of what it showed before.
pub fn progress(line: &str) {
    // Fails when stderr is closed; then nobody looks.
    let _ = write!(std::io::stderr(), "\r{:<78}\r", line);
}

/// Returns what a panic said.
pub fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(|text| &**text);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text")
}

/// Returns a number with its digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
