//! The smallest server: one route, answered by a closure.
//!
//! Try it: `cargo run --example hello`, then open the address that it prints.

use sockling::prelude::*;

fn main() -> Result<(), Error> {
    let hello = |request: &Request| {
        let name = request.query("name").unwrap_or_else(|| "you".to_string());
        Ok(Response::new().text(format!("hello {}\n", name)))
    };
    Server::new(vec![Handler::new("/", hello)]).launch()
}
