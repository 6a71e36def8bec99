//! What a peer can make of its records: cut at each byte, several at once, halves of messages, and
//! floods of what carries no plaintext. Seen at the session, without a stream.

#[path = "../src/handshake.rs"]
mod handshake;
mod kit;
#[path = "../src/session.rs"]
mod session;
#[path = "../src/stream.rs"]
mod stream;

use kit::{client_config, client_session, made, sealed, server_config, TLS12, TLS13};
use rustls::client::UnbufferedClientConnection;
use rustls::crypto::cipher::{MessageEncrypter, OutboundPlainMessage};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::ConnectionState;
use rustls::{ClientConfig, ConnectionTrafficSecrets, ContentType, ProtocolVersion};
use rustls::{PeerMisbehaved, SupportedCipherSuite};
use session::{Session, Unbuffered};
use std::sync::Arc;
use stream::Out;

type Near = Session<UnbufferedServerConnection>;
type Far = Session<UnbufferedClientConnection>;

fn drained<S: Unbuffered>(session: &mut Session<S>) -> Vec<u8> {
    let mut out = Out::default();
    session.drain(&mut out);
    out.left().to_vec()
}

/// Returns both ends with the handshake done, of which each byte has come alone.
fn opened(config: ClientConfig) -> (Near, Far) {
    let server = server_config(made(), &[&TLS13, &TLS12]);
    let server = UnbufferedServerConnection::new(Arc::new(server)).expect("a configuration");
    let (mut near, mut far) =
        (Session::new(server), Session::new(client_session(config, "localhost")));
    while near.tls.is_handshaking() || far.tls.is_handshaking() {
        for byte in drained(&mut far) {
            assert_eq!(near.decrypt(&mut [byte], 0, 1), 0);
            assert_eq!(near.failed, None);
        }
        let mut back = drained(&mut near);
        let got = back.len();
        assert_eq!(far.decrypt(&mut back, 0, got), 0);
        assert_eq!(far.failed, None);
    }
    (near, far)
}

/// Takes ciphertext as a stream does whose reads give so much at once into such a buffer.
fn read_all(near: &mut Near, ciphertext: &[u8], at_once: usize, buffer: usize) -> Vec<u8> {
    let mut plaintext = Vec::new();
    let mut buffer = vec![0; buffer];
    let from = buffer.len() / 4;
    for piece in ciphertext.chunks(at_once.min(buffer.len() - from)) {
        buffer[from..from + piece.len()].copy_from_slice(piece);
        let mut given = near.decrypt(&mut buffer, from, piece.len());
        while given > 0 {
            plaintext.extend_from_slice(&buffer[..given]);
            given = near.give(&mut buffer);
        }
    }
    plaintext
}

/// Seals as the client would, but anything.
struct Sealer(Box<dyn MessageEncrypter>, u64);

impl Sealer {
    /// Returns both, with the handshake done.
    fn opened() -> (Near, Sealer) {
        let mut config = client_config(made(), &[&TLS13]);
        config.enable_secret_extraction = true;
        let (near, far) = opened(config);
        let suite = far.tls.negotiated_cipher_suite();
        #[allow(deprecated)] // it is all that is needed here
        let (number, secrets) = far.tls.dangerous_extract_secrets().expect("it is allowed").tx;
        match (suite, secrets) {
            (
                Some(SupportedCipherSuite::Tls13(suite)),
                ConnectionTrafficSecrets::Aes256Gcm { key, iv },
            ) => (near, Sealer(suite.aead_alg.encrypter(key, iv), number)),
            _ => panic!("another suite"),
        }
    }

    fn seal(&mut self, typ: ContentType, payload: &[u8]) -> Vec<u8> {
        let version = ProtocolVersion::TLSv1_3;
        let message = OutboundPlainMessage { typ, version, payload: payload.into() };
        self.1 += 1;
        self.0.encrypt(message, self.1 - 1).expect("it can be sealed").encode()
    }
}

#[test]
fn records_may_be_cut_at_each_byte_and_come_together() {
    for version in [&TLS13, &TLS12] {
        let mut config = client_config(made(), &[version]);
        // A first message of 25 KiB in records of 32 bytes.
        let names = (0..100).map(|number| format!("{:0>250}", number).into_bytes());
        config.alpn_protocols = names.chain([b"http/1.1".to_vec()]).collect();
        config.max_fragment_size = Some(32);
        opened(config);
        let (mut near, mut far) = opened(client_config(made(), &[version]));
        let sent: Vec<u8> = (0..90_000).map(|at| (at ^ at >> 8) as u8).collect();
        for at_once in [1, 2, 21, 100, 4096, 20_000, 100_000] {
            for buffer in [1, 2, 3, 100, 4096, 16 * 1024, 64 * 1024, 200_000] {
                let mut ciphertext = Vec::new();
                let (mut rest, mut length) = (&sent[..], 1);
                while !rest.is_empty() {
                    let (now, later) = rest.split_at(length.min(rest.len()));
                    ciphertext.extend(sealed(&mut far, now));
                    (rest, length) = (later, (length * 3).min(30_000));
                }
                assert!(read_all(&mut near, &ciphertext, at_once, buffer) == sent);
                // What is written meanwhile does not touch what has half come.
                sealed(&mut near, b"hello");
            }
        }
    }
}

#[test]
fn a_writer_may_seal_while_half_a_message_has_come() {
    let (mut near, mut client) = Sealer::opened();
    for byte in [24, 0, 0, 1, 0] {
        for byte in client.seal(ContentType::Handshake, &[byte]) {
            assert_eq!(near.decrypt(&mut [byte], 0, 1), 0);
            assert_eq!(near.failed, None);
            sealed(&mut near, b"hello");
        }
    }
    let (mut near, mut client) = Sealer::opened();
    let mut halves = client.seal(ContentType::ApplicationData, b"before");
    halves.extend(client.seal(ContentType::Handshake, &[24, 0]));
    halves.extend(client.seal(ContentType::Handshake, &[0, 1]));
    assert_eq!(read_all(&mut near, &halves, 100_000, 64 * 1024), b"before");
    sealed(&mut near, b"hello");
    near.say_farewell();
    assert!(!drained(&mut near).is_empty());
    read_all(&mut near, &client.seal(ContentType::ApplicationData, b"between"), 7, 100);
    let interleaved = PeerMisbehaved::MessageInterleavedWithHandshakeMessage.into();
    assert_eq!(near.failed, Some(interleaved));
    near.say_farewell();
    drained(&mut near);
}

#[test]
fn a_message_without_end_is_refused_before_it_takes_memory() {
    for length in [1, 1000, 16_000] {
        let (mut near, mut client) = Sealer::opened();
        let first = client.seal(ContentType::Handshake, &[24, 0, 0xff, 0xff]);
        read_all(&mut near, &first, 4096, 4096);
        let mut taken = 0;
        while near.failed.is_none() {
            let more = client.seal(ContentType::Handshake, &vec![0; length]);
            taken += more.len();
            assert!(taken < 40_000);
            read_all(&mut near, &more, 4096, 4096);
        }
        near.say_farewell();
        drained(&mut near);
    }
}

#[test]
fn a_flood_without_plaintext_ends_with_an_error() {
    let floods: [(ContentType, &[u8]); 2] =
        [(ContentType::Alert, &[1, 90]), (ContentType::ApplicationData, &[])];
    for (typ, payload) in floods {
        for at_once in [1, 100_000] {
            let (mut near, mut client) = Sealer::opened();
            let flood: Vec<u8> = (0..100).flat_map(|_| client.seal(typ, payload)).collect();
            assert_eq!(read_all(&mut near, &flood, at_once, 64 * 1024), b"");
            assert!(matches!(near.failed, Some(rustls::Error::PeerMisbehaved(_))));
        }
    }
    let (mut near, mut far) = opened(client_config(made(), &[&TLS13]));
    let mut flood = Vec::new();
    while flood.len() < 5000 {
        match far.tls.process(&mut []).state.expect("no error") {
            ConnectionState::WriteTraffic(it) => it.refresh_traffic_keys().expect("TLS 1.3"),
            ConnectionState::TransmitTlsData(data) => data.done(),
            ConnectionState::EncodeTlsData(mut data) => {
                let mut room = [0; 999];
                let length = data.encode(&mut room).expect("there is room");
                flood.extend_from_slice(&room[..length]);
            }
            state => panic!("{:?}", state),
        }
    }
    assert_eq!(read_all(&mut near, &flood, 77, 4096), b"");
    assert_eq!(near.failed, Some(PeerMisbehaved::TooManyKeyUpdateRequests.into()));
    // Each asked for an answer, of which there is one, and the alert.
    assert!(drained(&mut near).len() < 100);
}

#[test]
fn the_end_may_come_behind_half_a_record_and_with_others_in_one_read() {
    for at_once in [1, 30, 100_000] {
        let (mut near, mut far) = opened(client_config(made(), &[&TLS13]));
        let mut ciphertext = sealed(&mut far, &[7; 5000]);
        far.say_farewell();
        ciphertext.append(&mut far.owed);
        ciphertext.extend([0xff; 999]);
        assert_eq!(read_all(&mut near, &ciphertext, at_once, 64 * 1024), [7; 5000]);
        assert!(matches!(near.end(), Some(Ok(0))));
        assert_eq!(far.decrypt(&mut sealed(&mut near, &[7; 500]), 0, 522), 500);
        // In the middle of a record it is a record that is wrong.
        let (mut near, mut far) = opened(client_config(made(), &[&TLS13]));
        let mut ciphertext = sealed(&mut far, &[7; 5000]);
        ciphertext.truncate(2500);
        far.say_farewell();
        ciphertext.extend(far.owed.repeat(200));
        assert_eq!(read_all(&mut near, &ciphertext, at_once, 64 * 1024), b"");
        assert_eq!(near.failed, Some(rustls::Error::DecryptError));
    }
}
