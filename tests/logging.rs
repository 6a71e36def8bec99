//! With the feature `log` the lines go to the `log` crate, without a secret in them.

mod loopback;

use loopback::{wait_until, Client, Running};
use sockling::prelude::*;
use std::sync::Mutex;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Keep;

impl log::Log for Keep {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        let mut lines = LINES.lock().expect("no panic");
        lines.push(format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

struct Greeter;

impl WebsocketController for Greeter {
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        log::info!("hello {:?}", client);
        Ok(())
    }
}

impl Controller for Greeter {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

#[test]
fn lines_go_to_the_log_crate_and_hold_no_cookie() {
    log::set_logger(&Keep).expect("the first logger");
    log::set_max_level(log::LevelFilter::Trace);
    let fail =
        |request: &Request| Err(format!("no {}", request.query("what").unwrap_or_default()).into());
    let running = Running::start(Server::new(vec![
        Handler::new("/ws", Greeter),
        Handler::new("/fail", fail),
    ]));
    let (_client, reply) = Client::upgrade(running.address, "/ws", "");
    let cookie = reply.cookie().expect("a cookie");
    let seen = |what: &str| LINES.lock().expect("no panic").iter().any(|line| line.contains(what));
    wait_until("the handler's line", || seen("INFO hello guest-"));
    assert!(seen(&format!("INFO listening on http://localhost:{}/", running.address.port())));
    assert!(seen("connected to \"/ws\" from 127.0.0.1:"));
    // What a client sent makes no line of its own.
    Client::connect(running.address).get("/fail?what=%0a[ERROR]%20forged", "");
    wait_until("the error's line", || seen("failed: \"no \\n[ERROR] forged"));
    // Neither the token nor the id in it.
    let id = cookie.split('.').nth(2).expect("v1.g.id.expiry.signature");
    assert!(id.len() == 22 && !seen(id), "{}", id);
}
