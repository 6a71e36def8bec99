//! Who speaks through a proxy.

use crate::ground::peer::{canonical_socket, Peer};
use crate::http::forwarded::{client, is_proxy, Proxies};
use crate::http::Headers;
use std::net::SocketAddr;

/// Fields, and the client whom they tell, on a connection from 192.0.2.1, port 80, where this and
/// 2001:db8::1 are proxies.
const ROWS: &[(&[&str], &str, &str)] = &[
    (&[], "192.0.2.1:80", "the proxy says nothing"),
    (&["198.51.100.7"], "198.51.100.7:0", "one address"),
    (&["198.51.100.7:4711"], "198.51.100.7:4711", "with its port"),
    (&["2001:db8::7"], "[2001:db8::7]:0", "IPv6"),
    (&["[2001:db8::7]"], "[2001:db8::7]:0", "in brackets"),
    (&["[2001:db8::7]:4711"], "[2001:db8::7]:4711", "with its port"),
    (&[" \t198.51.100.7\t "], "198.51.100.7:0", "white space around it"),
    (&["203.0.113.9, 198.51.100.7"], "198.51.100.7:0", "what the client wrote itself is before it"),
    (&["203.0.113.9,198.51.100.7"], "198.51.100.7:0", "without white space"),
    (&["203.0.113.9", "198.51.100.7"], "198.51.100.7:0", "two lines are one list"),
    (&["198.51.100.7, 2001:db8::1"], "198.51.100.7:0", "behind two proxies"),
    (&["198.51.100.7", "2001:db8::1"], "198.51.100.7:0", "behind two proxies, in two lines"),
    (&["203.0.113.9, 198.51.100.7, 192.0.2.1"], "198.51.100.7:0", "the proxy names itself too"),
    (&["::ffff:192.0.2.1"], "192.0.2.1:0", "the proxy itself, as IPv6 writes it"),
    (&["::ffff:198.51.100.7"], "198.51.100.7:0", "IPv4, as IPv6 writes it"),
    (&["[::ffff:c633:6407]:4711"], "198.51.100.7:4711", "with its port"),
    (&["::198.51.100.7"], "[::198.51.100.7]:0", "which this is not"),
    (&["198.51.100.7, ::ffff:192.0.2.1"], "198.51.100.7:0", "and for another"),
    (&["198.51.100.7, unknown"], "192.0.2.1:80", "what is no address ends the list"),
    (&["198.51.100.7, "], "192.0.2.1:80", "and so does nothing"),
    (&[""], "192.0.2.1:80", "an empty field"),
    (&[","], "192.0.2.1:80", "an empty list"),
    (&["198.51.100.7, 192.0.2.01"], "192.0.2.1:80", "a number with a 0 before it"),
    (&["198.51.100.7:99999"], "192.0.2.1:80", "no port"),
    (&["host.example, 198.51.100.7"], "198.51.100.7:0", "a name is the client's own invention"),
    (&["192.0.2.1, 2001:db8::1"], "192.0.2.1:0", "nobody but proxies: the first of them"),
];

fn headers(fields: &[&str]) -> Headers {
    let mut headers = Headers::new();
    fields.iter().for_each(|field| headers.push("X-Forwarded-For", field.as_bytes()));
    headers
}

fn proxies(addresses: &[&str]) -> Proxies {
    let address = |address: &&str| address.parse().expect("an address");
    Proxies { addresses: addresses.iter().map(address).collect(), unix: false }
}

fn peer(address: &str) -> Peer {
    address.parse::<SocketAddr>().expect("an address").into()
}

#[test]
fn the_client_is_the_last_address_that_is_not_a_proxys() {
    let proxies = proxies(&["192.0.2.1", "2001:db8::1"]);
    for (fields, expected, gloss) in ROWS {
        // An IPv4 connection to a listener of both kinds has an address of IPv6.
        for from in ["192.0.2.1:80", "[::ffff:192.0.2.1]:80"] {
            let [from, expected] = [from, *expected].map(peer);
            assert_eq!(client(&headers(fields), &from, &proxies), expected, "{}", gloss);
        }
    }
}

#[test]
fn from_anybody_else_the_field_means_nothing() {
    let from = peer("203.0.113.9:80");
    for trusted in [&["192.0.2.1"][..], &[]] {
        assert_eq!(client(&headers(&["198.51.100.7"]), &from, &proxies(trusted)), from);
    }
}

#[test]
fn a_peer_without_an_address_is_no_proxy() {
    let mut proxies = proxies(&["0.0.0.0", "127.0.0.1", "::"]);
    for from in
        [Peer::named("127.0.0.1"), Peer::named("unix:/run/socket"), Peer::unix("/run/socket")]
    {
        assert_eq!(client(&headers(&["198.51.100.7"]), &from, &proxies), from);
    }
    proxies.unix = true;
    assert!(!is_proxy(&Peer::named("unix:/run/socket"), &proxies));
    assert!(!is_proxy(&peer("192.0.2.1:80"), &proxies));
}

#[test]
fn a_peer_on_a_unix_socket_is_a_proxy_where_the_server_trusts_it() {
    let (proxies, from) =
        (Proxies { unix: true, ..proxies(&["192.0.2.1"]) }, Peer::unix("/run/socket"));
    let behind = |fields: &[&str]| client(&headers(fields), &from, &proxies);
    assert_eq!(behind(&[]), from);
    assert_eq!(behind(&["unknown"]), from);
    assert_eq!(behind(&["203.0.113.9, 198.51.100.7"]), peer("198.51.100.7:0"));
    assert_eq!(behind(&["198.51.100.7, 192.0.2.1"]), peer("198.51.100.7:0"));
}

#[test]
fn an_address_keeps_its_port_and_one_of_ipv6_its_scope() {
    for (came, canonical) in [
        ("192.0.2.1:80", "192.0.2.1:80"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1:80"),
        ("[::ffff:192.0.2.1%7]:80", "192.0.2.1:80"),
        ("[fe80::1%7]:80", "[fe80::1%7]:80"),
        ("[::1]:80", "[::1]:80"),
        ("[::192.0.2.1]:80", "[::192.0.2.1]:80"),
        ("[64:ff9b::192.0.2.1]:80", "[64:ff9b::192.0.2.1]:80"),
    ] {
        let [came, canonical] =
            [came, canonical].map(|text| text.parse::<SocketAddr>().expect("an address"));
        assert_eq!(canonical_socket(came), canonical);
    }
}
