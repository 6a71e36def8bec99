//! TLS for Sockling: a [`Listener`] around another one, whose streams are encrypted by rustls.
//!
//! ```no_run
//! use sockling::{net, prelude::*};
//! use sockling_tls::Tls;
//!
//! # fn main() -> Result<(), Error> {
//! let tls = Tls::from_pem(net::Tcp::bind("[::]:443")?, "chain.pem", "key.pem")?;
//! Server::new(Vec::new()).listen(tls)?.serve()
//! # }
//! ```
//!
//! Reads and writes of one connection run at the same time, on threads of their own, as over TCP:
//! `stream.rs` says how. Cookies are `Secure`, and `Request::is_secure` is true.
//!
//! When a proxy is the better choice, and how to get certificates, stands in the library's guide, on
//! the page "On a small host".
//!
//! # What is spoken
//!
//! TLS 1.3 and 1.2 with the suites of rustls, all of which have forward secrecy and authenticated
//! encryption. There is no renegotiation, no compression and no early data. A client that names no
//! application protocol (ALPN) is served; one that names others, but not `http/1.1`, gets alert 120.
//! A client that speaks plain HTTP is answered with 400.
//!
//! # What a connection adds
//!
//! | part | bytes |
//! |---|--:|
//! | the session and, until the first answer, two tickets | 6 KiB |
//! | two more pages of stack, which the handshake has touched | 8 KiB |
//! | a record of the client's that has not come whole, and one that was not read | 34 KiB |
//! | what was sealed and not taken by the system | 32 KiB |
//! | one record more while it is sealed | 16 KiB |
//!
//! A quiet connection has the first two of these, and the room for what is sealed if its last write
//! was of 32 KiB or more. With what the allocator leaves unused it takes some 22 KiB more than one
//! without TLS. `Limits::most_memory` does not know of them: add
//! [`CONNECTION_MEMORY`] for each connection. A ticket carries the whole state of a session to the
//! client, so resumption costs the server no memory; the key of the tickets changes every six
//! hours, and ends with the process.
//!
//! Before the handshake ends there is less, except for the moment in which rustls parses the
//! client's first message: one of 64 KiB that is made for it takes 1.3 MB meanwhile.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod session;
mod stream;
mod handshake;
mod certificates;

use certificates::Certificates;
use rustls::server::{NoServerSessionStorage, UnbufferedServerConnection};
use rustls::ServerConfig;
use sockling::log;
use sockling::net::{Listener, Peer, Stream};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use stream::Encrypted;

/// The most memory, in bytes, that the encryption adds to a connection once it is open.
/// `Limits::most_memory` does not know of it:
///
/// ```
/// use sockling::limits::Limits;
///
/// let limits = Limits { connections: 40, ..Limits::small() };
/// let most = limits.most_memory().unwrap() + limits.connections * sockling_tls::CONNECTION_MEMORY;
/// assert!(most < 20 * 1024 * 1024);
/// ```
pub const CONNECTION_MEMORY: usize = 96 * 1024;

/// A listener whose connections are encrypted. It lies around any other one: TCP, a Unix socket, or
/// one in memory.
///
/// ```
/// use sockling::prelude::*;
/// use sockling::testing::MemoryListener;
/// use sockling_tls::{Reloader, Tls};
///
/// # let dir = std::env::temp_dir().join(format!("sockling-tls-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// # let (chain, key) = (dir.join("chain.pem"), dir.join("key.pem"));
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
/// # std::fs::write(&chain, made.cert.pem())?;
/// # std::fs::write(&key, made.signing_key.serialize_pem())?;
/// let tls = Tls::from_pem(MemoryListener::new("memory"), &chain, &key)?;
/// let reloader: Reloader = tls.reloader();
/// let listening = Server::new(vec![]).listen(tls)?;
///
/// // The new files do not fit together yet: what was read at the start stays.
/// # let other = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
/// # std::fs::write(&chain, other.cert.pem())?;
/// let error = reloader.reload().unwrap_err();
/// assert!(error.to_string().contains("key.pem: the private key is not that of the first"));
/// # std::fs::write(&key, other.signing_key.serialize_pem())?;
/// reloader.reload()?;
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Error>(())
/// ```
pub struct Tls<L> {
    listener: L,
    config: Arc<ServerConfig>,
    /// `None` with a configuration of the application's own.
    certificates: Option<Arc<Certificates>>,
}

impl<L: Listener> Tls<L> {
    /// Returns a listener with the certificates in a PEM file, the server's own first, and the
    /// private key in another one or in the same, in the form of PKCS#8, PKCS#1 or SEC1. Every
    /// client gets them, whichever name it asks for. Errors name the file and what was found in it:
    /// one that cannot be read or has no such thing, and a key that is not the certificate's.
    pub fn from_pem(
        listener: L,
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> io::Result<Tls<L>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificates = Certificates::read(chain.as_ref(), key.as_ref(), provider.clone())?;
        let certificates = Arc::new(certificates);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(other)?
            .with_no_client_auth()
            .with_cert_resolver(certificates.clone());
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(other)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let tls = Tls::new(listener, Arc::new(config));
        Ok(Tls { certificates: Some(certificates), ..tls })
    }

    /// Returns a listener with a configuration of the application's own, which decides on
    /// certificates, also those of clients; handlers do not see them. Two things are set, whatever
    /// it says: ALPN to `http/1.1`, the only protocol that the server speaks; and no early data,
    /// which anybody could send again.
    pub fn new(listener: L, config: Arc<ServerConfig>) -> Tls<L> {
        let mut config = ServerConfig::clone(&config);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.max_early_data_size = 0;
        Tls { listener, config: Arc::new(config), certificates: None }
    }

    /// Returns a handle that replaces the certificates while the server runs.
    pub fn reloader(&self) -> Reloader {
        Reloader(self.certificates.clone())
    }
}

impl<L: Listener> Listener for Tls<L> {
    fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        let (stream, peer) = self.listener.accept()?;
        let session = UnbufferedServerConnection::new(Arc::clone(&self.config)).map_err(other)?;
        let stream = Encrypted::new(stream, peer.clone(), session);
        Ok((Box::new(stream), peer))
    }

    fn address(&self) -> Peer {
        self.listener.address()
    }

    fn close(&self) {
        self.listener.close();
    }

    fn is_secure(&self) -> bool {
        true
    }
}

/// Replaces the certificates of a [`Tls`] listener while its server runs. New connections get the
/// new ones; those that are open are not touched.
#[derive(Clone, Debug)]
pub struct Reloader(Option<Arc<Certificates>>);

impl Reloader {
    /// Reads the files again. After an error, which is logged too, the certificates that were read
    /// before stay: files that a client of an authority replaces one after the other do not fit
    /// together in between. With a configuration of the application's own there are no files, and
    /// this is an error; that configuration has its own ways.
    pub fn reload(&self) -> io::Result<()> {
        let no_files = || io::Error::new(ErrorKind::Unsupported, "there are no files to read");
        let reloaded = self.0.as_ref().ok_or_else(no_files).and_then(|files| files.reload());
        match &reloaded {
            Ok(()) => log::info!("read the certificates again"),
            Err(error) => log::error!("the certificates stay as they were: {}", error),
        }
        reloaded
    }
}

fn other(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::Other, error)
}
