//! `CONNECTION_MEMORY` is what a connection takes of the heap at most, and two pages of stack.

#[path = "../src/handshake.rs"]
mod handshake;
mod kit;
#[path = "../src/session.rs"]
mod session;
#[path = "../src/stream.rs"]
mod stream;

use kit::{client_config, client_session, made, sealed, server_config, TLS12, TLS13};
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, ServerConfig};
use session::Session;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use stream::Out;

/// What the handshake has touched of the stack.
const STACK: usize = 8 * 1024;

/// Bytes that were asked for.
#[derive(Clone, Copy, Default)]
struct Counted {
    counts: bool,
    held: usize,
    most: usize,
}

thread_local! {
    static COUNTED: Cell<Counted> =
        const { Cell::new(Counted { counts: false, held: 0, most: 0 }) };
}

fn change(change: impl FnOnce(&mut Counted)) -> Counted {
    COUNTED.with(|cell| {
        let mut counted = cell.get();
        change(&mut counted);
        cell.set(counted);
        counted
    })
}

/// Counts what the calls in `count` hold.
struct Counting;

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        change(|counted| {
            if counted.counts {
                counted.held += layout.size();
                counted.most = counted.most.max(counted.held);
            }
        });
        System.alloc(layout)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        change(|counted| {
            if counted.counts {
                counted.held -= layout.size();
            }
        });
        System.dealloc(at, layout)
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count<T>(call: impl FnOnce() -> T) -> T {
    change(|counted| counted.counts = true);
    let result = call();
    change(|counted| counted.counts = false);
    result
}

/// The server's end, whose memory is counted, and the client's.
struct Ends {
    /// Of the listener.
    _config: Arc<ServerConfig>,
    near: Session<UnbufferedServerConnection>,
    far: Session<UnbufferedClientConnection>,
}

impl Ends {
    /// Returns them with the handshake done.
    fn open(client: ClientConfig) -> Ends {
        let config = Arc::new(server_config(made(), &[&TLS13, &TLS12]));
        let far = Session::new(client_session(client, "localhost"));
        let near = count(|| {
            Session::new(UnbufferedServerConnection::new(config.clone()).expect("a configuration"))
        });
        let mut ends = Ends { _config: config, near, far };
        while ends.near.tls.is_handshaking() || ends.far.tls.is_handshaking() {
            let mut out = Out::default();
            ends.far.drain(&mut out);
            for piece in out.left().to_vec().chunks_mut(2048) {
                assert_eq!(ends.read(piece), 0);
            }
            let mut out = Out::default();
            count(|| ends.near.drain(&mut out));
            let mut ciphertext = out.left().to_vec();
            count(|| drop(out));
            let got = ciphertext.len();
            assert_eq!(ends.far.decrypt(&mut ciphertext, 0, got), 0);
        }
        ends
    }

    fn read(&mut self, piece: &mut [u8]) -> usize {
        let given = count(|| self.near.decrypt(piece, 0, piece.len()));
        assert_eq!(self.near.failed, None);
        given
    }
}

#[test]
fn a_connection_holds_no_more_than_the_constant_says_and_not_much_less() {
    for version in [&TLS13, &TLS12] {
        change(|counted| *counted = Counted::default());
        let mut ends = Ends::open(client_config(made(), &[version]));
        // A record of which the caller takes but the front, and another that has all but come.
        let mut record = sealed(&mut ends.far, &[7; 16 * 1024]);
        let last = record.split_off(record.len() - 1);
        for piece in record.chunks_mut(1024) {
            assert_eq!(ends.read(piece), 0);
        }
        let mut piece = [&last[..], &[23, 3, 3, 0x47, 0xff], &[0; 10][..]].concat();
        assert!(ends.read(&mut piece) < 100);
        // And a lot that nobody takes.
        let mut out = Out::default();
        count(|| ends.near.seal(&[7; 100_000], &mut out).expect("it is open"));
        let most = change(|_| {}).most + STACK;
        count(|| drop((out, ends.near)));
        let bound = sockling_tls::CONNECTION_MEMORY;
        assert!(most <= bound && most > bound / 10 * 9, "{}", most);
    }
}
