//! The slots of a server: how many connections there may be, in all and from one address.

use super::{Script, Stub};
use crate::ground::limits::Limits;
use crate::server::connections::{Connections, SlotGuard};
use crate::websocket::close::{CloseCode, CloseFrame};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Asks for a slot for a client of this address, with another port each time.
fn admit(connections: &Arc<Connections>, ip: impl Into<IpAddr>) -> Option<SlotGuard> {
    let peer = SocketAddr::new(ip.into(), 1000 + connections.len() as u16).into();
    connections.admit(Stub::new(Script::default()), &peer, false)
}

#[test]
fn an_address_has_its_slots_and_gets_each_back_when_that_connection_ends() {
    let connections = Connections::new(&Limits { connections_per_address: 2, ..Limits::default() });
    let [one, other] = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];
    let admit = |ip: Ipv4Addr| admit(&connections, ip);
    // Whatever was there before: nobody, somebody, many.
    for round in 0..3 {
        let first = admit(one).expect("room");
        let second = admit(one).expect("room");
        assert!(admit(one).is_none() && admit(one).is_none(), "round {}", round);
        let stranger = admit(other).expect("another address has slots of its own");
        assert_eq!(connections.len(), 3);
        drop(first);
        let third = admit(one).expect("the slot of the one that left");
        assert!(admit(one).is_none(), "and no more than that");
        drop((second, third));
        let places = [admit(one), admit(one)].map(|slot| slot.expect("both are free again"));
        assert!(admit(one).is_none());
        drop((places, stranger));
        assert_eq!(connections.len(), 0, "round {}", round);
    }
}

#[test]
fn the_addresses_of_one_ipv6_network_count_as_one_and_translated_ones_do_not() {
    let connections = Connections::new(&Limits { connections_per_address: 1, ..Limits::default() });
    let admit = |ip: &str| admit(&connections, ip.parse::<IpAddr>().expect("an address"));
    for (one, same) in [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("fe80::1", "fe80::2"),
        ("::1", "::127.0.0.1"), // an address of IPv6, whatever it looks like
    ] {
        let _place = admit(one).expect("room");
        assert!(admit(same).is_none(), "{} counts with {}", same, one);
    }
    for (one, other) in [
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("192.0.2.1", "192.0.2.2"),
        ("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2"),
    ] {
        let _place = admit(one).expect("room");
        assert!(admit(other).is_some(), "{} does not count with {}", other, one);
    }
}

#[test]
fn one_ceiling_holds_for_all_addresses_together_and_0_is_none() {
    let of = |connections, connections_per_address| {
        Connections::new(&Limits { connections, connections_per_address, ..Limits::default() })
    };
    let ips = || (1..=8).map(|network| Ipv6Addr::new(0xfd00, 0, 0, network, 0, 0, 0, 1));
    let (three, none) = (of(3, 2), of(0, 0));
    let mut places: Vec<SlotGuard> = ips().filter_map(|ip| admit(&three, ip)).collect();
    assert_eq!((places.len(), three.len()), (3, 3));
    places.pop();
    assert!(admit(&three, Ipv6Addr::LOCALHOST).is_some(), "the one that left made room");
    places.extend((0..2000).filter_map(|_| admit(&none, Ipv4Addr::LOCALHOST)));
    assert_eq!((three.len(), none.len()), (2, 2000));
    places.clear();
    assert_eq!((three.len(), none.len()), (0, 0));
}

#[test]
fn nobody_is_admitted_once_the_server_is_closing() {
    let connections = Connections::new(&Limits::default());
    let admit = || admit(&connections, Ipv4Addr::LOCALHOST);
    let before = admit().expect("room");
    connections.close(&CloseFrame { code: CloseCode::GOING_AWAY, reason: String::new() });
    assert!(admit().is_none());
    drop(before);
    assert!(admit().is_none() && connections.len() == 0);
}
