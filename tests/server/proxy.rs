//! Behind a reverse proxy, which here is the test: a client at 127.0.0.1 that says for whom it speaks.

use super::loopback::{wait_until, Client, Running};
use super::Told;
use sockling::limits::Limits;
use sockling::prelude::*;

fn routes() -> Vec<Handler> {
    let peer = |request: &Request| Ok(Response::new().text(request.peer().to_string()));
    vec![Handler::new("/peer", peer), Handler::new("/ws", Told::new().0)]
}

fn forwarded(client: &str) -> String {
    format!("X-Forwarded-For: {}\r\n", client)
}

#[test]
fn a_trusted_proxy_tells_for_each_request_who_it_is_and_another_one_tells_nothing() {
    let trusting = Running::start(Server::new(routes()).trusted_proxy([127, 0, 0, 1]));
    let mut proxy = Client::connect(trusting.address);
    let own = proxy.stream.local_addr().expect("an address").to_string();
    // A proxy keeps one connection for many clients.
    for (field, expected) in [
        (forwarded("192.0.2.7"), "192.0.2.7:0"),
        (forwarded("203.0.113.9, 192.0.2.8:4711"), "192.0.2.8:4711"),
        (String::new(), &own),
        (forwarded("nonsense"), &own),
    ] {
        assert_eq!(proxy.get("/peer", &field).text(), expected);
    }
    let plain = Running::start(Server::new(routes()).trusted_proxy([192, 0, 2, 1]));
    let mut client = Client::connect(plain.address);
    let own = client.stream.local_addr().expect("an address").to_string();
    assert_eq!(client.get("/peer", &forwarded("192.0.2.7")).text(), own);
}

#[test]
fn the_limit_per_address_is_the_clients_and_not_the_proxys() {
    let limits = Limits { connections_per_address: 2, ..Limits::default() };
    let server = Server::new(routes()).limits(limits).trusted_proxy([127, 0, 0, 1]);
    let running = Running::start(server);
    let open = |client: &str| Client::upgrade(running.address, "/ws", &forwarded(client));
    let mut inside: Vec<_> = (0..6)
        .map(|number| open(&format!("192.0.2.{}", number % 3)))
        .inspect(|(_, reply)| assert_eq!(reply.status, 101))
        .collect();
    let (mut refused, reply) = open("192.0.2.1");
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert_eq!(reply.text(), "192.0.2.1 has too many connections\n");
    refused.assert_end();
    assert_eq!(open("192.0.2.3").1.status, 101);
    // Who goes makes room, for the same address alone.
    inside.remove(1);
    wait_until("there is room again", || open("192.0.2.1").1.status == 101);
    assert_eq!(open("192.0.2.2").1.status, 503);
}

#[test]
fn a_connection_that_speaks_for_others_counts_for_the_last_of_them() {
    let limits = Limits { connections_per_address: 1, ..Limits::default() };
    let server = Server::new(routes()).limits(limits).trusted_proxy([127, 0, 0, 1]);
    let running = Running::start(server);
    let [mut one, mut other] = [(); 2].map(|()| Client::connect(running.address));
    for client in ["192.0.2.1", "192.0.2.1", "192.0.2.2"] {
        assert_eq!(one.get("/peer", &forwarded(client)).status, 200);
    }
    assert_eq!(other.get("/peer", &forwarded("192.0.2.1")).status, 200, "its place is free");
    assert_eq!(other.get("/peer", &forwarded("192.0.2.2")).status, 503, "this one is not");
    other.assert_end();
    // The connection has ended, and with it what it counted for.
    assert_eq!(one.get("/peer", &forwarded("192.0.2.1")).status, 200);
}
