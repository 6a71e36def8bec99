//! TLS over TCP, for the tests over loopback: what `tests/loopback/wire.rs` takes in place of TCP.

#[path = "../../src/handshake.rs"]
mod handshake;
#[path = "../kit/mod.rs"]
mod kit;
#[path = "../../src/session.rs"]
mod session;
#[path = "../../src/stream.rs"]
mod stream;

use kit::{client_config, client_session, made, server_config, TLS12, TLS13};
use sockling::http::{Listening, Server};
use sockling::net::{Peer, Stream, Tcp};
use sockling_tls::Tls;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use stream::Encrypted;

/// The addresses at which TLS is spoken. A test may have a server of plain HTTP beside.
static OURS: Mutex<Vec<SocketAddr>> = Mutex::new(Vec::new());

pub fn bind(server: Server, address: SocketAddr) -> Result<Listening, sockling::Error> {
    let config = Arc::new(server_config(made(), &[&TLS13, &TLS12]));
    let listening = server.listen(Tls::new(Tcp::bind(address)?, config))?;
    OURS.lock().unwrap_or_else(PoisonError::into_inner).push(listening.address());
    Ok(listening)
}

pub fn connect(address: SocketAddr) -> io::Result<(Arc<dyn Stream>, Peer)> {
    let tcp = TcpStream::connect(address)?;
    tcp.set_nodelay(true)?;
    let peer = tcp.local_addr()?.into();
    if !OURS.lock().unwrap_or_else(PoisonError::into_inner).contains(&address) {
        return Ok((Arc::new(tcp), peer));
    }
    let session = client_session(client_config(made(), &[&TLS13]), "localhost");
    let client = Encrypted::new(Box::new(tcp), Peer::named("the server"), session);
    Ok((Arc::new(Client { client, open: Mutex::new(false) }), peer))
}

/// A client's end, which runs its handshake once something is read or written: a server that is full
/// lets it wait. What ends in the middle is an end, as it is for a client of TCP.
struct Client {
    client: kit::Client,
    open: Mutex<bool>,
}

impl Client {
    fn open_once(&self) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !*open {
            self.client.open(Instant::now() + kit::PATIENCE)?;
            *open = true;
        }
        Ok(())
    }
}

impl Stream for Client {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.open_once().and_then(|()| self.client.read(buffer)) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            result => result,
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.open_once()?;
        self.client.write(bytes)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.client.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.client.set_write_timeout(timeout)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.client.shutdown(how)
    }
}
