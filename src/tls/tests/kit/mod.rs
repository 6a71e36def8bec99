//! What the tests share: an authority, certificates of it, and a client's end of a connection, which
//! is the adapter's own stream with a client's session in it.

#![allow(dead_code)] // each test binary uses a part of it

use super::session::{Session, Unbuffered};
use super::stream::{Encrypted, Out};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use sockling::http::{Listening, Server, ServerHandle};
use sockling::net::{Peer, Stream, Tcp};
use sockling_tls::Tls;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Once, OnceLock};
use std::thread::JoinHandle;
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

/// The client's end of a connection, and the server's.
pub type Client = Encrypted<UnbufferedClientConnection>;
pub type Served = Encrypted<UnbufferedServerConnection>;

impl Unbuffered for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    const OWES_TICKETS: bool = false;

    fn process<'c, 'i>(
        &'c mut self,
        ciphertext: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(ciphertext)
    }
}

/// Returns the session of a client that asks for this name, or address.
pub fn client_session(config: ClientConfig, name: &str) -> UnbufferedClientConnection {
    let name = ServerName::try_from(name.to_string()).expect("a name");
    UnbufferedClientConnection::new(Arc::new(config), name).expect("a session")
}

/// Returns the client's end, before its handshake.
pub fn client_over(
    inner: Box<dyn Stream>,
    versions: &[&'static SupportedProtocolVersion],
) -> Client {
    let session = client_session(client_config(made(), versions), "localhost");
    Encrypted::new(inner, Peer::named("the server"), session)
}

/// Returns the server's end, before its handshake.
pub fn server_over(
    inner: Box<dyn Stream>,
    versions: &[&'static SupportedProtocolVersion],
) -> Served {
    let session = UnbufferedServerConnection::new(Arc::new(server_config(made(), versions)));
    Encrypted::new(inner, Peer::named("a client"), session.expect("a session"))
}

/// Returns two ends in memory, with the handshake done.
pub fn opened(versions: &[&'static SupportedProtocolVersion]) -> (Served, Client) {
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

/// A server at a port of the system's choice, with the certificates of this test binary, which runs
/// until it is dropped.
pub struct Running {
    pub address: SocketAddr,
    pub handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub fn start(server: Server) -> Running {
        let config = Arc::new(server_config(made(), &[&TLS13, &TLS12]));
        let tcp = Tcp::bind("127.0.0.1:0").expect("a free port");
        Running::serve(server.listen(Tls::new(tcp, config)).expect("it listens"))
    }

    pub fn serve(listening: Listening) -> Running {
        let (address, handle) = (listening.address(), listening.handle());
        let thread = std::thread::spawn(move || listening.serve().expect("a thread"));
        Running { address, handle, thread: Some(thread) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shutdown();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Turns the log off, which `cargo test` does not capture.
pub fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("SOCKLING_LOG").is_none() {
            std::env::set_var("SOCKLING_LOG", "off");
        }
    });
}

/// Connects, and returns the client's end after its handshake.
pub fn connect(address: SocketAddr) -> Client {
    connect_with(address, client_config(made(), &[&TLS13]), "localhost").expect("a handshake")
}

pub fn connect_with(
    address: SocketAddr,
    config: ClientConfig,
    name: &str,
) -> std::io::Result<Client> {
    let tcp = TcpStream::connect(address)?;
    let client =
        Encrypted::new(Box::new(tcp), Peer::named("the server"), client_session(config, name));
    client.open(Instant::now() + PATIENCE)?;
    client.set_read_timeout(PATIENCE)?;
    client.set_write_timeout(PATIENCE)?;
    Ok(client)
}

/// Makes the next record of a client begin with new keys on both sides.
pub fn update_keys(client: &Client) {
    let mut session = client.session.lock().expect("no panic");
    loop {
        match session.tls.process(&mut []).state.expect("no error") {
            ConnectionState::WriteTraffic(traffic) => {
                return traffic.refresh_traffic_keys().expect("TLS 1.3");
            }
            ConnectionState::TransmitTlsData(data) => data.done(),
            state => panic!("{:?}", state),
        }
    }
}

/// Returns what the session seals of these bytes, without sending it.
pub fn sealed<S: Unbuffered>(session: &mut Session<S>, bytes: &[u8]) -> Vec<u8> {
    let mut out = Out::default();
    session.seal(bytes, &mut out).expect("it is open");
    out.left().to_vec()
}

/// Writes all bytes.
pub fn send(stream: &dyn Stream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        bytes = &bytes[stream.write(bytes).expect("the server reads")..];
    }
}

/// Reads exactly so many bytes.
pub fn receive(stream: &dyn Stream, count: usize) -> Vec<u8> {
    let (mut bytes, mut at) = (vec![0; count], 0);
    while at < count {
        match stream.read(&mut bytes[at..]).expect("the server sends") {
            0 => panic!("the end, after {}", bytes[..at].escape_ascii()),
            read => at += read,
        }
    }
    bytes
}

/// Reads until the end of the server's side.
pub fn receive_all(stream: &dyn Stream) -> Vec<u8> {
    let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut bytes).expect("the server sends, or ends in order") {
            0 => return all,
            read => all.extend_from_slice(&bytes[..read]),
        }
    }
}

/// Reads the head of an answer.
pub fn receive_head(stream: &dyn Stream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(receive(stream, 1));
    }
    String::from_utf8(head).expect("text")
}

/// Opens a WebSocket.
pub fn websocket(address: SocketAddr, path: &str) -> Client {
    let client = connect(address);
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        path
    );
    send(&client, request.as_bytes());
    let head = receive_head(&client);
    assert!(head.starts_with("HTTP/1.1 101 "), "{}", head);
    client
}

/// Returns a frame with a mask that changes nothing.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut frame = vec![first];
    match length {
        0..=125 => frame.push(0x80 | length as u8),
        126..=0xffff => {
            frame.push(0xfe);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            frame.push(0xff);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Reads a whole frame that is no ping, and returns its first byte and its payload.
pub fn receive_frame(stream: &dyn Stream) -> (u8, Vec<u8>) {
    let head = receive(stream, 2);
    let length = match head[1] {
        126 => receive(stream, 2).iter().fold(0, |all, byte| all << 8 | usize::from(*byte)),
        127 => receive(stream, 8).iter().fold(0, |all, byte| all << 8 | usize::from(*byte)),
        short => usize::from(short),
    };
    let payload = receive(stream, length);
    match head[0] {
        0x89 => receive_frame(stream),
        first => (first, payload),
    }
}
