//! What the tests share: an authority, certificates of it, and a client's end of a connection, which
//! is the adapter's own stream with a client's session in it.

#![allow(dead_code)] // each test binary uses a part of it

use crate::stream::Encrypted;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use rustls::{Connection, SupportedProtocolVersion};
use sockling::net::{Peer, Stream};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub use rustls::version::{TLS12, TLS13};

/// How long anything is waited for before a test fails. Far more than a slow machine needs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// An authority, and a certificate of it for `localhost`, with its chain and key in PEM.
pub struct Made {
    pub authority: String,
    pub chain: String,
    pub key: String,
}

pub fn make() -> Made {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = params.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let names = ["localhost".to_string(), "127.0.0.1".to_string()];
    let params = CertificateParams::new(names).expect("names");
    let leaf = params.signed_by(&key, &issuer).expect("a certificate").pem();
    Made { chain: leaf + &authority, authority, key: key.serialize_pem() }
}

/// The certificates of this test binary.
pub fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(make)
}

/// Writes files into a folder of the test's own, and returns its path.
pub fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let name = format!("sockling-tls-{}-{}", std::process::id(), name);
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, content) in files {
        std::fs::write(folder.join(name), content).expect("a file");
    }
    folder
}

/// Returns a listener's configuration with the certificates of this test binary.
pub fn server_config(made: &Made, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(made.chain.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).expect("a key");
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain.expect("certificates"), key)
        .expect("they fit")
}

/// Returns the configuration of a client that trusts the authority.
pub fn client_config(made: &Made, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(made.authority.as_bytes()).expect("a certificate"))
        .expect("an authority");
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Returns the session of a client that asks for this name, or address.
pub fn client_session(config: ClientConfig, name: &str) -> Connection {
    let name = ServerName::try_from(name.to_string()).expect("a name");
    ClientConnection::new(Arc::new(config), name).expect("a session").into()
}

/// Returns the client's end, before its handshake.
pub fn client_over(
    inner: Box<dyn Stream>,
    versions: &[&'static SupportedProtocolVersion],
) -> Encrypted {
    let session = client_session(client_config(made(), versions), "localhost");
    Encrypted::new(inner, Peer::named("the server"), session)
}

/// Returns the server's end, before its handshake.
pub fn server_over(
    inner: Box<dyn Stream>,
    versions: &[&'static SupportedProtocolVersion],
) -> Encrypted {
    let session = ServerConnection::new(Arc::new(server_config(made(), versions)));
    Encrypted::new(inner, Peer::named("a client"), session.expect("a session").into())
}

/// Returns two ends in memory, with the handshake done.
pub fn opened(versions: &[&'static SupportedProtocolVersion]) -> (Encrypted, Encrypted) {
    let (near, far) = sockling::testing::Memory::pair();
    let (near, far) = (server_over(Box::new(near), versions), client_over(Box::new(far), versions));
    open(&near, &far);
    (near, far)
}

/// Runs both handshakes.
pub fn open(near: &dyn Stream, far: &dyn Stream) {
    let deadline = Instant::now() + PATIENCE;
    std::thread::scope(|scope| {
        let far = scope.spawn(|| far.open(deadline));
        near.open(deadline).expect("the server's end opens");
        far.join().expect("no panic").expect("the client's end opens");
    });
    for stream in [near, far] {
        stream.set_read_timeout(PATIENCE).expect("a timeout");
        stream.set_write_timeout(PATIENCE).expect("a timeout");
    }
}
