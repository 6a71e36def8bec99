//! A stream to Redis on which all that is done ends at a moment that was set before.
//!
//! A timeout of a socket is one for each read: a Redis that sends a byte each second never exceeds
//! it. So the socket is this crate's own, below TLS if there is any, and before each read and each
//! write it is given the time that is left.

use crate::bounds::CONNECT;
use redis::{ConnectionAddr, ErrorKind, RedisError, RedisResult};
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// When what is being done on a stream ends. The stream and the code that uses it share it, since a
/// layer of TLS may lie between them.
#[derive(Clone)]
pub(crate) struct End(Rc<Cell<Instant>>);

impl End {
    pub fn after(time: Duration) -> End {
        End(Rc::new(Cell::new(Instant::now() + time)))
    }

    pub fn set(&self, time: Duration) {
        self.0.set(Instant::now() + time);
    }

    /// Returns the time that is left. Error: there is none.
    fn left(&self) -> io::Result<Duration> {
        match self.0.get().saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long")),
            left => Ok(left),
        }
    }
}

pub(crate) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// A socket whose reads and writes can be given a time.
trait Socket: Read + Write {
    fn limit_read(&self, time: Duration) -> io::Result<()>;
    fn limit_write(&self, time: Duration) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn limit_read(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))
    }

    fn limit_write(&self, time: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(time))
    }
}

#[cfg(unix)]
impl Socket for UnixStream {
    fn limit_read(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))
    }

    fn limit_write(&self, time: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(time))
    }
}

/// A socket on which everything ends in time.
struct Timed<T> {
    socket: T,
    end: End,
}

impl<T: Socket> Timed<T> {
    /// Tries until there is no time left. A signal that interrupts a call costs nothing.
    fn try_until_the_end(
        &mut self,
        mut once: impl FnMut(&mut T, Duration) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let result = once(&mut self.socket, self.end.left()?);
            match result.as_ref().map_err(io::Error::kind) {
                Err(io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(io::ErrorKind::Interrupted) => {}
                _ => return result,
            }
        }
    }
}

impl<T: Socket> Read for Timed<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.try_until_the_end(|socket, left| {
            socket.limit_read(left)?;
            socket.read(buffer)
        })
    }
}

impl<T: Socket> Write for Timed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.try_until_the_end(|socket, left| {
            socket.limit_write(left)?;
            socket.write(bytes)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// Connects, with TLS if the address says so. The time begins when the system has looked the host's
/// name up, which cannot be limited.
pub(crate) fn connect(address: &ConnectionAddr, end: &End) -> RedisResult<Box<dyn Stream>> {
    match address {
        ConnectionAddr::Tcp(host, port) => Ok(Box::new(tcp(host, *port, end)?)),
        #[cfg(any(feature = "tls-rustls", feature = "tls-native-tls"))]
        ConnectionAddr::TcpTls { host, port, insecure, .. } => {
            let stream = tcp(host, *port, end)?;
            Ok(Box::new(tls::secure(stream, host, *insecure).map_err(io::Error::other)?))
        }
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => {
            Ok(Box::new(Timed { socket: UnixStream::connect(path)?, end: end.clone() }))
        }
        _ => Err(RedisError::from((
            ErrorKind::InvalidClientConfig,
            "this kind of address needs a feature or another system",
        ))),
    }
}

/// Tries the addresses of a host one after the other, each for its share of the time that is left.
fn tcp(host: &str, port: u16, end: &End) -> io::Result<Timed<TcpStream>> {
    let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
    end.set(CONNECT);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let untried = (addresses.len() - tried) as u32;
        match TcpStream::connect_timeout(address, end.left()? / untried) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                return Ok(Timed { socket, end: end.clone() });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(feature = "tls-rustls")]
mod tls {
    use super::Stream;
    use rustls::crypto::CryptoProvider;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
    use std::error::Error;
    use std::sync::Arc;

    /// Returns a stream that shakes hands when it is first written to, with the system's certificates.
    pub fn secure<S: Stream>(
        stream: S,
        host: &str,
        insecure: bool,
    ) -> Result<StreamOwned<ClientConnection, S>, Box<dyn Error + Send + Sync>> {
        if insecure {
            return Err("with rustls the certificate is verified".into());
        }
        let provider = CryptoProvider::get_default().ok_or("there is no crypto provider")?;
        let mut found = rustls_native_certs::load_native_certs();
        if let Some(error) = found.errors.pop() {
            return Err(error.into());
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        let config = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_string())?;
        Ok(StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, stream))
    }
}

#[cfg(all(feature = "tls-native-tls", not(feature = "tls-rustls")))]
mod tls {
    use super::Stream;
    use native_tls::{HandshakeError, TlsConnector, TlsStream};
    use std::error::Error;

    /// Returns a stream that has shaken hands.
    pub fn secure<S: Stream>(
        stream: S,
        host: &str,
        insecure: bool,
    ) -> Result<TlsStream<S>, Box<dyn Error + Send + Sync>> {
        let mut builder = TlsConnector::builder();
        if insecure {
            builder.danger_accept_invalid_certs(true);
            builder.danger_accept_invalid_hostnames(true).use_sni(false);
        }
        // The error has the stream in it, which is of no more use.
        builder.build()?.connect(host, stream).map_err(|error| match error {
            HandshakeError::Failure(error) => error.into(),
            HandshakeError::WouldBlock(_) => "it took too long".into(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// Returns an address at which somebody says this, and then a byte each moment for ever.
    pub(crate) fn dripping(first: &'static [u8]) -> ConnectionAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("somebody");
            let mut result = socket.write_all(first);
            while result.is_ok() {
                thread::sleep(Duration::from_millis(20));
                result = socket.write_all(b"x");
            }
        });
        ConnectionAddr::Tcp(address.ip().to_string(), address.port())
    }

    #[test]
    fn a_byte_each_moment_does_not_make_the_time_longer() {
        let end = End::after(CONNECT);
        let mut stream = connect(&dripping(b"first"), &end).expect("it listens");
        let mut first = [0; 5];
        stream.read_exact(&mut first).expect("it speaks");
        assert_eq!(&first, b"first");
        end.set(Duration::from_millis(200));
        let error = stream.read_to_end(&mut Vec::new()).expect_err("it has no end");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // It goes on when there is time again.
        end.set(CONNECT);
        assert_eq!(stream.read(&mut [0]).expect("a byte"), 1);
    }

    #[test]
    fn a_reader_that_stands_still_ends_a_write_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let address = ConnectionAddr::Tcp(address.ip().to_string(), address.port());
        let end = End::after(CONNECT);
        let mut stream = connect(&address, &end).expect("it listens");
        end.set(Duration::from_millis(200));
        let error = stream.write_all(&vec![0; 64 * 1024 * 1024]).expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
