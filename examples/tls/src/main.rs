//! The chat of `examples/chat.rs` over TLS, with an authority that it makes for itself, and a second
//! port that sends plain HTTP to the first. README.md says how to try it.

mod authority;
#[path = "../../chat.rs"]
#[allow(dead_code)] // its `main`
mod chat;

use sockling::{limits::Limits, log, net, prelude::*};
use sockling_tls::Tls;
use std::env;
use std::thread;

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_string())
}

/// Sends a client to the same path at the port of TLS. The server has checked its Host.
fn to_https(request: &Request, port: u16) -> Result<Response, Error> {
    let asked = request.header("host").ok_or_else(Response::bad_request)?;
    // An IPv6 address has colons of its own, and brackets around it.
    let name = match asked.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => asked,
    };
    let (path, query) = (encode(request.path()), request.query_string());
    let mark = if query.is_empty() { "" } else { "?" };
    let location = format!("https://{}:{}{}{}{}", name, port, path, mark, query);
    // 308 keeps the method and the body, unlike 301 and 302 (RFC 9110, 15.4.9).
    Ok(Response::new().redirect(&location).code(308))
}

/// Percent-encodes what may not stand in a path as it is.
fn encode(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let one = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{:02X}", byte),
    };
    path.bytes().map(one).collect()
}

/// Reads the certificates again when a line is typed: a program would do so when it gets a signal,
/// or once a day.
fn reload_at_each_line(reloader: sockling_tls::Reloader) {
    for _ in std::io::stdin().lines() {
        // The log tells how it went.
        let _ = reloader.reload();
    }
}

fn main() -> Result<(), Error> {
    let host = setting("CHAT_HOST", "localhost");
    let files = authority::files(&host)?;
    let tcp = net::Tcp::bind(setting("CHAT_ADDR", "127.0.0.1:8443"))?;
    let tls = Tls::from_pem(tcp, &files.chain, &files.key)?;
    let reloader = tls.reloader();
    let limits = || Limits { message: 1000, ..Limits::default() };
    let chat = Server::new(vec![Handler::new("/*", chat::enter)]).limits(limits());
    let chat = chat.allowed_hosts([host.as_str()]).listen(tls)?;

    let port = chat.address().port();
    let plain = Handler::new("/*", move |request: &Request| to_https(request, port));
    let plain = Server::new(vec![plain]).limits(limits()).allowed_hosts([host.as_str()]);
    let plain = plain.bind(setting("CHAT_PLAIN_ADDR", "127.0.0.1:8080"))?;

    log::info!("have the browser trust {}, and open https://{}:{}/", files.authority, host, port);
    thread::spawn(move || plain.serve());
    thread::spawn(move || reload_at_each_line(reloader));
    chat.serve()
}
