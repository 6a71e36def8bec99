//! A client of whom the outbox is real and the socket is a stub.

use super::{guest, Script, Stub};
use crate::ground::peer::Peer;
use crate::net::outbox::{Outbox, Patience, Shared};
use crate::net::queue::Owner;
use crate::websocket::frame::Frame;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct Client {
    pub stub: Arc<Stub>,
    pub outbox: Arc<Outbox>,
}

impl Client {
    /// Returns a client whose first bytes are being written: a writer has the role, and does not come
    /// back before `open` is called on the outbox.
    pub fn opening(shared: &Arc<Shared>, first: &[u8]) -> Client {
        let stub = Stub::new(Script::default());
        let peer = Peer::from(IpAddr::from([127, 0, 0, 1]));
        let outbox = Outbox::new(guest(), stub.clone(), peer, Arc::clone(shared), first.to_vec());
        Client { stub, outbox }
    }

    pub fn open(shared: &Arc<Shared>, first: &[u8]) -> Client {
        let client = Client::opening(shared, first);
        assert!(client.outbox.open());
        client
    }

    /// Returns a client that has just stopped reading, which no write has met yet.
    pub fn stalled(shared: &Arc<Shared>, first: &[u8]) -> Client {
        let client = Client::open(shared, first);
        client.stub.script().pace = Some((0, Duration::MAX));
        client
    }

    /// Appends a frame as for a courier. Returns whether no thread has it yet.
    pub fn append(&self, frame: &Frame) -> bool {
        self.outbox.append(frame, Owner::Courier, &mut Patience::default()).expect("room").0
    }
}
