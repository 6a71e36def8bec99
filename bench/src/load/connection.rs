//! One connection of the load: TCP, or TLS over it. Both are read and written in the same way.

use crate::servers::{certificates, Wire};
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

pub struct Connection<S> {
    pub tcp: S,
    tls: Option<Box<Tls>>,
}

struct Tls {
    session: ClientConnection,
    ciphertext: Box<[u8]>,
    /// What of it was read and the session has not taken.
    waiting: Range<usize>,
    /// Whether the last read took all that the socket had.
    short: bool,
}

impl<S: Read + Write> Connection<S> {
    /// The handshake takes place with the first reads and writes.
    pub fn new(tcp: S, wire: Wire) -> io::Result<Connection<S>> {
        let tls = if wire == Wire::Tls { Some(Box::new(Tls::new()?)) } else { None };
        Ok(Connection { tcp, tls })
    }

    pub fn map<T>(self, change: impl FnOnce(S) -> io::Result<T>) -> io::Result<Connection<T>> {
        Ok(Connection { tcp: change(self.tcp)?, tls: self.tls })
    }

    /// Returns whether a read that returned less than it had room for was the last: on Linux the
    /// next one would only say that there is no more.
    pub fn is_drained(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.short && tls.waiting.is_empty())
    }
}

impl<S: Read + Write> Read for Connection<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.tcp.read(buffer),
            Some(tls) => tls.read(&mut self.tcp, buffer),
        }
    }
}

impl<S: Read + Write> Write for Connection<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.tcp.write(bytes),
            Some(tls) => tls.write(&mut self.tcp, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Tls {
    fn new() -> io::Result<Tls> {
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let session = ClientConnection::new(config()?, name).map_err(io::Error::other)?;
        Ok(Tls { session, ciphertext: vec![0; 64 * 1024].into(), waiting: 0..0, short: false })
    }

    fn read(&mut self, tcp: &mut (impl Read + Write), buffer: &mut [u8]) -> io::Result<usize> {
        self.send(tcp)?;
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            if self.waiting.is_empty() {
                let count = tcp.read(&mut self.ciphertext)?;
                if count == 0 {
                    return Ok(0);
                }
                self.short = count < self.ciphertext.len();
                self.waiting = 0..count;
            }
            let taken = self.session.read_tls(&mut &self.ciphertext[self.waiting.clone()])?;
            self.waiting.start += taken;
            self.session.process_new_packets().map_err(io::Error::other)?;
            self.send(tcp)?;
        }
    }

    /// Seals what there is room for, after all before it has gone.
    fn write(&mut self, tcp: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        self.send(tcp)?;
        if self.session.wants_write() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.session.writer().write(bytes)?;
        self.send(tcp)?;
        Ok(count)
    }

    /// Writes what is sealed, or as much of it as the socket takes: the rest leaves with the next
    /// read or write.
    fn send(&mut self, tcp: &mut impl Write) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(tcp) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                result => result?,
            };
        }
        Ok(())
    }
}

/// Returns what all connections share: TLS 1.3 alone, so that every server speaks the same version
/// and, as the client's first choice decides, the same suite. No session is resumed.
fn config() -> io::Result<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let mut roots = RootCertStore::empty();
    for certificate in certificates()? {
        roots.add(certificate).map_err(io::Error::other)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}
