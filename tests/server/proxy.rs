//! Behind a reverse proxy, which here is the test: a client at 127.0.0.1 that says for whom it speaks.

use super::loopback::wire::{transports, trusting, Wire};
use super::loopback::{quiet, upgrade_request, wait_until, Client, Running, PATIENCE};
use super::{held, Told};
use sockling::limits::Limits;
use sockling::prelude::*;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

fn routes() -> Vec<Handler> {
    let peer = |request: &Request| Ok(Response::new().text(request.peer().to_string()));
    vec![Handler::new("/peer", peer), Handler::new("/ws", Told::new().0)]
}

/// Answers with the last word that a TLS proxy has.
fn secure(request: &Request) -> Result<Response, Error> {
    Ok(Response::new().text(request.is_secure().to_string()))
}

fn forwarded(client: &str) -> String {
    format!("X-Forwarded-For: {}\r\n", client)
}

#[test]
fn a_trusted_proxy_names_the_client_of_each_request_and_no_other_peer_does() {
    let trusting = Running::start(trusting(Server::new(routes())));
    let mut proxy = Client::connect(trusting.address);
    let own = proxy.stream.peer().to_string();
    // A proxy keeps one connection for many clients.
    for (field, expected) in [
        (forwarded("192.0.2.7"), "192.0.2.7"),
        (forwarded("203.0.113.9, 192.0.2.8:4711"), "192.0.2.8:4711"),
        (forwarded("::ffff:6.6.6.6"), "6.6.6.6"),
        (forwarded("[::ffff:606:606]:4711"), "6.6.6.6:4711"),
        (String::new(), &own),
        (forwarded("nonsense"), &own),
    ] {
        assert_eq!(proxy.get("/peer", &field).text(), expected);
    }
    let plain = Running::start(Server::new(routes()).trusted_proxy([192, 0, 2, 1]));
    let mut client = Client::connect(plain.address);
    let own = client.stream.peer().to_string();
    assert_eq!(client.get("/peer", &forwarded("192.0.2.7")).text(), own);
}

#[test]
fn the_limit_per_address_is_the_clients_and_not_the_proxys() {
    let limits = Limits { connections_per_address: 2, ..Limits::default() };
    let server = trusting(Server::new(routes()).limits(limits));
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
fn a_connection_counts_for_the_client_whose_request_it_carries_and_for_nobody_while_idle() {
    let limits = Limits { connections_per_address: 1, ..Limits::default() };
    let (held, wait_for_entry, release) = held();
    let routes = routes().into_iter().chain([Handler::new("/held", held)]).collect();
    let server = trusting(Server::new(routes).limits(limits));
    let running = Running::start(server);
    // Its count ends with the answer, which the client may have seen a moment before.
    let served = |proxy: &mut Client, client: &str| {
        wait_until("it counts no more", || {
            let status = proxy.get("/peer", &forwarded(client)).status;
            if status == 503 {
                *proxy = Client::connect(running.address);
            }
            status == 200
        })
    };
    let [mut one, mut other] = [(); 2].map(|()| Client::connect(running.address));
    for client in ["192.0.2.1", "192.0.2.1", "192.0.2.2"] {
        served(&mut one, client);
        served(&mut other, client);
    }
    // Now it counts for this one, and surely no more for the last.
    served(&mut other, "192.0.2.9");
    one.send(b"GET /held HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.2\r\n\r\n");
    wait_for_entry.recv_timeout(PATIENCE).expect("the handler runs");
    served(&mut other, "192.0.2.1");
    assert_eq!(other.get("/peer", &forwarded("192.0.2.2")).status, 503, "it has a request");
    other.assert_end();
    release.send(()).expect("the handler waits");
    assert_eq!(one.reply().status, 200);
    let mut other = Client::connect(running.address);
    served(&mut other, "192.0.2.2");
    served(&mut one, "192.0.2.2");
}

#[test]
fn one_network_of_ipv6_and_both_forms_of_one_ipv4_address_count_as_one() {
    let limits = Limits { connections_per_address: 2, ..Limits::default() };
    let server = trusting(Server::new(routes()).limits(limits));
    let running = Running::start(server);
    for (first, second, third, other) in [
        ("2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff::3", "2001:db8:1:3::1"),
        ("6.6.6.6", "::ffff:6.6.6.6", "[::ffff:606:606]:80", "::ffff:6.6.6.7"),
    ] {
        let open = |client: &str| Client::upgrade(running.address, "/ws", &forwarded(client));
        let _inside = [first, second, other].map(open).map(|(client, reply)| {
            assert_eq!(reply.status, 101);
            client
        });
        assert_eq!(open(third).1.status, 503, "{} counts with {}", third, first);
    }
}

/// Returns a server on an address of IPv6, and its only client, which has reached it by IPv4; `None`
/// where the system has no such thing.
fn both_kinds(server: Server, address: &str) -> Option<(Running, Client)> {
    quiet();
    let listening = server.bind(address).ok()?;
    let reached = SocketAddr::from((Ipv4Addr::LOCALHOST, listening.address().port()));
    let stream = Wire::connect(reached).ok()?;
    Some((Running::serve(listening), Client::over(stream)))
}

#[test]
fn a_client_of_ipv4_has_its_ipv4_address_also_on_a_listener_of_ipv6() {
    let limits = Limits { drain_timeout: Duration::from_millis(50), ..Limits::default() };
    let plain = Server::new(routes()).limits(limits);
    let (running, mut client) = match both_kinds(plain, "[::]:0") {
        Some(both) => both,
        None => return,
    };
    let own = client.stream.peer();
    assert_eq!(client.get("/peer", "").text(), own.to_string());
    client.send(upgrade_request("/ws", "").as_bytes());
    assert_eq!(client.reply().status, 101);
    // It does not answer the Close frame.
    let stuck = running.handle.shutdown();
    assert_eq!((stuck.len(), &stuck[0].peer), (1, &own));

    // However the proxy is written, it is the same.
    for proxy in ["127.0.0.1", "::ffff:127.0.0.1"] {
        let proxy: IpAddr = proxy.parse().expect("an address");
        let trusting = Server::new(routes()).trusted_proxy(proxy);
        let (_running, mut client) = both_kinds(trusting, "[::]:0").expect("it was so before");
        assert_eq!(client.get("/peer", &forwarded("192.0.2.7")).text(), "192.0.2.7");
        let own = client.stream.peer().to_string();
        assert_eq!(client.get("/peer", "").text(), own);
    }
}

#[test]
fn loopback_in_the_notation_of_ipv6_is_loopback() {
    let server = Server::new(routes());
    if let Some((running, mut client)) = both_kinds(server, "[::ffff:127.0.0.1]:0") {
        client.send(b"GET /peer HTTP/1.1\r\nHost: attacker.example\r\n\r\n");
        assert_eq!(client.reply().status, 421, "a name that was made to mean 127.0.0.1");
        assert_eq!(running.address.ip(), Ipv4Addr::LOCALHOST);
    }
}

#[test]
fn a_trusted_proxy_says_whether_its_client_speaks_tls_and_nobody_else_can() {
    let start = |proxy: [u8; 4]| {
        Running::start(Server::new(vec![Handler::new("/", secure)]).trusted_proxy(proxy))
    };
    let rows = [
        ("", "false"),
        ("X-Forwarded-Proto: http\r\n", "false"),
        ("X-Forwarded-Proto: https\r\n", "true"),
        ("x-forwarded-proto: HTTPS\r\n", "true"),
        ("X-Forwarded-Proto: wss\r\n", "true"),
        ("X-Forwarded-Proto: ws\r\n", "false"),
        ("X-Forwarded-Proto: httpsx\r\n", "false"),
        ("X-Forwarded-Proto:\r\n", "false"),
        // The proxy's own word is the last one; a client may have written what precedes it.
        ("X-Forwarded-Proto: https, http\r\n", "false"),
        ("X-Forwarded-Proto: http, https\r\n", "true"),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", "false"),
        ("X-Forwarded-Proto: https,\r\n", "false"),
        ("X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n", "true"),
    ];
    let (trusting, plain) = (start([127, 0, 0, 1]), start([192, 0, 2, 1]));
    let [mut proxy, mut client] =
        [&trusting, &plain].map(|running| Client::connect(running.address));
    for (fields, expected) in rows {
        assert_eq!(proxy.get("/", fields).text(), expected, "{:?}", fields);
        assert_eq!(client.get("/", fields).text(), "false", "{:?}", fields);
    }
}

#[test]
fn a_connection_that_waits_for_a_proxy_to_read_the_last_answer_counts_for_no_client() {
    let limits = Limits { connections_per_address: 1, ..Limits::default() };
    let server = trusting(Server::new(routes()).limits(limits));
    let running = Running::start(server);
    let fields = format!("Connection: close\r\n{}", forwarded("192.0.2.7"));
    // They stay open on the proxy's side, and none of them makes room in less than a second.
    let _open: Vec<Client> = (0..5)
        .map(|_| {
            let mut proxy = Client::connect(running.address);
            assert_eq!(proxy.get("/peer", &fields).status, 200);
            proxy.assert_end();
            proxy
        })
        .collect();
}

transports! {
    all {
        a_connection_that_waits_for_a_proxy_to_read_the_last_answer_counts_for_no_client
    }
    not over memory: "a client in memory is no proxy" {
        a_trusted_proxy_names_the_client_of_each_request_and_no_other_peer_does
        a_connection_counts_for_the_client_whose_request_it_carries_and_for_nobody_while_idle
        one_network_of_ipv6_and_both_forms_of_one_ipv4_address_count_as_one
        the_limit_per_address_is_the_clients_and_not_the_proxys
    }
    only over TCP: "it trusts an address" {
        a_trusted_proxy_says_whether_its_client_speaks_tls_and_nobody_else_can
    }
    only over TCP: "it listens on an address" {
        a_client_of_ipv4_has_its_ipv4_address_also_on_a_listener_of_ipv6
        loopback_in_the_notation_of_ipv6_is_loopback
    }
}
