//! The keys that sign session cookies, and the random numbers of session ids.
//!
//! Signatures are HMAC-SHA1 (RFC 2104). SHA-1 is broken for collisions; no attack on HMAC-SHA1 is
//! known (RFC 6194, 3.3).

use crate::error::Error;
use crate::ground::logger::log_line;
use crate::ground::system;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use base64::Engine;
use sha1_smol::Sha1;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Length of a signature, in bytes.
pub(crate) const SIGNATURE: usize = 20;

/// The keys of a server's sessions: the first signs, all verify. To replace a key, put a new one
/// before it and remove the old one when its cookies have expired. Clones share the keys.
///
/// ```
/// use sockling::prelude::*;
///
/// let keys = SessionKeys::new(["a key that nobody else knows, kept out of the source"])?;
/// assert!(SessionKeys::new(["too short"]).is_err());
/// assert_eq!(format!("{:?}", SessionKeys::random()?), "SessionKeys(1 keys)");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct SessionKeys(Arc<Secrets>);

struct Secrets {
    keys: Vec<Vec<u8>>,
    /// The secret key of the random numbers, each of which is the HMAC of a counter and the time.
    seed: [u8; 32],
    /// The counter. Not behind a lock, which a fork could copy while another thread holds it.
    drawn: AtomicUsize,
}

impl SessionKeys {
    /// Length of the shortest key, in bytes: that of the hash (RFC 2104, 3).
    pub const SHORTEST: usize = SIGNATURE;

    /// Returns the keys in this order. Errors: [`Error::Key`] when there is no key or one is
    /// shorter than [`SHORTEST`](SessionKeys::SHORTEST), [`Error::Entropy`] when the system has no
    /// random numbers.
    pub fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Result<SessionKeys, Error> {
        let keys: Vec<Vec<u8>> = keys.into_iter().map(|key| key.as_ref().to_vec()).collect();
        if keys.is_empty() || keys.iter().any(|key| key.len() < SessionKeys::SHORTEST) {
            return Err(Error::Key);
        }
        Ok(SessionKeys::with_seed(keys, entropy()?))
    }

    /// Returns one random key, so that sessions end with the process. Errors: [`Error::Entropy`].
    pub fn random() -> Result<SessionKeys, Error> {
        Ok(SessionKeys::with_seed(vec![entropy()?.to_vec()], entropy()?))
    }

    /// Returns keys for requests that no client sent: different each time, but not secret.
    pub(crate) fn for_tests() -> SessionKeys {
        use std::hash::{BuildHasher, Hasher};
        let seed = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_be_bytes());
        SessionKeys::with_seed(vec![key.to_vec()], key)
    }

    fn with_seed(keys: Vec<Vec<u8>>, seed: [u8; 32]) -> SessionKeys {
        SessionKeys(Arc::new(Secrets { keys, seed, drawn: AtomicUsize::new(0) }))
    }

    /// Returns 128 random bits. Cannot fail, because the system was asked when the keys were made.
    pub(crate) fn draw(&self) -> [u8; 16] {
        let count = self.0.drawn.fetch_add(1, Ordering::Relaxed) as u64;
        // A fork leaves the seed and the count to the child. The process id tells parent and child
        // apart; the time tells apart two children that had the same id one after the other, and a
        // count that began again after 32 bits.
        let process = std::process::id();
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        let time = time.unwrap_or_else(|before| before.duration()).as_nanos();
        let mut text = [0; 28];
        text[..8].copy_from_slice(&count.to_be_bytes());
        text[8..12].copy_from_slice(&process.to_be_bytes());
        text[12..].copy_from_slice(&time.to_be_bytes());
        let mut bits = [0; 16];
        bits.copy_from_slice(&hmac_sha1(&self.0.seed, &text)[..16]);
        bits
    }

    pub(crate) fn sign(&self, text: &[u8]) -> [u8; SIGNATURE] {
        self.0.keys.first().map_or([0; SIGNATURE], |key| hmac_sha1(key, text))
    }

    /// Returns whether one of the keys gives the text this signature, in base64.
    fn verify(&self, text: &str, signature: &str) -> bool {
        let signed = |key: &Vec<u8>| BASE64.encode(hmac_sha1(key, text.as_bytes()));
        self.0.keys.iter().any(|key| same(signed(key).as_bytes(), signature.as_bytes()))
    }
}

/// Prints no key.
impl std::fmt::Debug for SessionKeys {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "SessionKeys({} keys)", self.0.keys.len())
    }
}

/// Returns the HMAC-SHA1 of a text (RFC 2104, 2): the hash of the key's outer pad and of the hash
/// of the key's inner pad and the text.
///
/// ```
/// // RFC 2202, 3, test case 2.
/// let mac = sockling::http::hmac_sha1(b"Jefe", b"what do ya want for nothing?");
/// assert_eq!(mac[..4], [0xef, 0xfc, 0xdf, 0x6a]);
/// ```
pub fn hmac_sha1(key: &[u8], text: &[u8]) -> [u8; SIGNATURE] {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..SIGNATURE].copy_from_slice(&Sha1::from(key).digest().bytes());
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    padded(&block, 0x5c, &padded(&block, 0x36, text))
}

/// Not inlined: it would be inlined twice, where a cookie is signed on a stack that must stay
/// small.
#[inline(never)]
fn padded(block: &[u8; 64], pad: u8, text: &[u8]) -> [u8; SIGNATURE] {
    let mut hash = Sha1::new();
    hash.update(&block.map(|byte| byte ^ pad));
    hash.update(text);
    hash.digest().bytes()
}

/// Compares without returning early, so that the time does not tell how much of a guess was right.
#[inline(never)]
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

static PROCESS_KEYS: Mutex<Option<SessionKeys>> = Mutex::new(None);

/// Returns the keys of servers that were given none: random, and the same in the whole process.
/// Errors: [`Error::Entropy`].
pub(crate) fn process_keys() -> Result<SessionKeys, Error> {
    let mut keys = PROCESS_KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(keys) = &*keys {
        return Ok(keys.clone());
    }
    let fresh = SessionKeys::random()?;
    log_line!(Info, "sessions end with this process; Server::session_keys makes them last");
    Ok(keys.insert(fresh).clone())
}

fn entropy() -> Result<[u8; 32], Error> {
    system::entropy().unwrap_or_else(|| Ok(thread_mix())).map_err(Error::Entropy)
}

/// Mixes the seeds of the standard library's hash maps in eight new threads. The seeds come from
/// the system, but the standard library does not promise their quality.
fn thread_mix() -> [u8; 32] {
    use std::hash::{BuildHasher, Hasher};
    let draw =
        || std::collections::hash_map::RandomState::new().build_hasher().finish().to_be_bytes();
    let mut seeds = Vec::new();
    for _ in 0..8 {
        // For a thread that cannot be started, this thread's seed is used.
        let thread = std::thread::Builder::new().spawn(draw);
        let seed = thread.ok().and_then(|thread| thread.join().ok());
        seeds.extend_from_slice(&seed.unwrap_or_else(draw));
    }
    let mut bits = [0; 32];
    for (half, count) in bits.chunks_mut(16).zip(0..) {
        half.copy_from_slice(&hmac_sha1(&seeds, &[count])[..16]);
    }
    bits
}

/// Returns `label.body.signature`. The label is signed too, so that a text for one purpose is not
/// valid for another.
pub(crate) fn seal(label: &str, body: &str, keys: &SessionKeys) -> String {
    let text = format!("{}.{}", label, body);
    let signature = BASE64.encode(keys.sign(text.as_bytes()));
    format!("{}.{}", text, signature)
}

/// Returns the body of a text that [`seal`] returned for one of the keys and this label.
pub(crate) fn unseal<'a>(label: &str, sealed: &'a str, keys: &SessionKeys) -> Option<&'a str> {
    let (text, signature) = sealed.rsplit_once('.')?;
    let body = text.strip_prefix(label)?.strip_prefix('.')?;
    keys.verify(text, signature).then_some(body)
}
