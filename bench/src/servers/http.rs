//! Servers of HTTP: each answers `/` with a short body and `/large` with a long one, in the way of its
//! README, and all with the same bytes.

use crate::servers::{LARGE, LETTER, SMALL};
use sockling::limits::Limits;
use sockling::prelude::*;
use std::io;
use std::sync::Arc;
use std::thread;

static SHORT: [u8; SMALL] = [LETTER; SMALL];
static LONG: [u8; LARGE] = [LETTER; LARGE];

fn body(path: &str) -> &'static [u8] {
    match path {
        "/large" => &LONG,
        _ => &SHORT,
    }
}

pub fn sockling() -> io::Result<()> {
    let answer = |request: &Request| {
        let response = Response::new().header("Content-Type", "text/plain");
        Ok(response.static_body(body(request.path())))
    };
    let limits = Limits { connections: 0, requests_per_connection: 0, ..Limits::default() };
    let routes = vec![Handler::get("/", answer), Handler::get("/large", answer)];
    let listening = Server::new(routes).limits(limits).bind("127.0.0.1:0");
    let listening = listening.map_err(io::Error::other)?;
    super::announce(listening.address())?;
    listening.serve().map_err(io::Error::other)
}

pub fn tiny_http() -> io::Result<()> {
    let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").map_err(io::Error::other)?);
    super::announce(server.server_addr().to_ip().ok_or(io::ErrorKind::AddrNotAvailable)?)?;
    let workers = (0..4).map(|_| {
        let server = Arc::clone(&server);
        thread::spawn(move || server.incoming_requests().try_for_each(answer_tiny))
    });
    let workers: Vec<_> = workers.collect();
    workers.into_iter().try_for_each(|worker| worker.join().expect("no panic"))
}

/// An error is that of one client, which has gone.
fn answer_tiny(request: tiny_http::Request) -> io::Result<()> {
    let body = body(request.url());
    let text = tiny_http::Header::from_bytes("Content-Type", "text/plain").expect("a header");
    let answer = tiny_http::Response::new(200.into(), vec![text], body, Some(body.len()), None);
    let _ = request.respond(answer.with_chunked_threshold(usize::MAX));
    Ok(())
}

pub fn rouille() -> io::Result<()> {
    let answer = |request: &rouille::Request| {
        rouille::Response::from_data("text/plain", body(&request.url()))
    };
    let server = rouille::Server::new("127.0.0.1:0", answer).map_err(io::Error::other)?;
    super::announce(server.server_addr())?;
    server.run();
    Ok(())
}

#[tokio::main]
pub async fn axum() -> io::Result<()> {
    use axum::http::header::CONTENT_TYPE;
    use axum::routing::get;
    let answer = |path: &'static str| async move { ([(CONTENT_TYPE, "text/plain")], body(path)) };
    let app = axum::Router::new()
        .route("/", get(move || answer("/")))
        .route("/large", get(move || answer("/large")));
    let listener = super::listen()?;
    listener.set_nonblocking(true)?;
    axum::serve(tokio::net::TcpListener::from_std(listener)?, app).await
}
