//! PEM files to what a handshake signs with: a chain of certificates and the key of the first one.
//!
//! Files that do not fit are refused with an error that names the file and what was found in it.

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// The pair that a listener shows to every client, whichever name it asks for, and the files that it
/// comes from.
pub struct Certificates {
    files: (PathBuf, PathBuf),
    provider: Arc<CryptoProvider>,
    pair: RwLock<Arc<CertifiedKey>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "certificates of {:?}", self.files.0)
    }
}

impl Certificates {
    /// Reads both files.
    pub fn read(chain: &Path, key: &Path, provider: Arc<CryptoProvider>) -> io::Result<Self> {
        let pair = RwLock::new(Arc::new(read(chain, key, &provider)?));
        Ok(Certificates { files: (chain.to_path_buf(), key.to_path_buf()), provider, pair })
    }

    /// Reads both files again. After an error the old pair stays.
    pub fn reload(&self) -> io::Result<()> {
        let pair = Arc::new(read(&self.files.0, &self.files.1, &self.provider)?);
        *self.pair.write().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    /// Devices are reached by an address, which is no server name, and by names that nobody knew
    /// when the certificate was made. So the client decides whether the certificate will do.
    fn resolve(&self, _: ClientHello) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.pair.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn read(chain: &Path, key: &Path, provider: &CryptoProvider) -> io::Result<CertifiedKey> {
    let certificates: Vec<CertificateDer> = sections(chain, "certificate", |kind, der| {
        (kind == SectionKind::Certificate).then(|| der.into())
    })?;
    for (place, certificate) in certificates.iter().enumerate() {
        ParsedCertificate::try_from(certificate).map_err(|error| {
            let (number, all) = (place + 1, certificates.len());
            fault(chain, format_args!("certificate {} of {} is none: {}", number, all, error))
        })?;
    }
    let keys: Vec<PrivateKeyDer> = sections(key, "private key", PrivateKeyDer::from_pem)?;
    let key_of = |first| provider.key_provider.load_private_key(first);
    let loaded = keys.into_iter().next().map(key_of).unwrap_or(Err(Error::NoCertificatesPresented));
    let loaded = loaded
        .map_err(|error| fault(key, format_args!("the private key is not usable: {}", error)))?;
    let pair = CertifiedKey::new(certificates, loaded);
    match pair.keys_match() {
        // A provider that cannot tell does not refuse either.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(_) => {
            let chain = chain.display();
            let why = "the private key is not that of the first certificate in";
            Err(fault(key, format_args!("{} {}", why, chain)))
        }
    }
}

/// Returns all sections of one kind, of which there is one at least.
fn sections<T>(
    path: &Path,
    what: &str,
    wanted: impl Fn(SectionKind, Vec<u8>) -> Option<T>,
) -> io::Result<Vec<T>> {
    let read = fs::read(path);
    let text = read.map_err(|error| {
        io::Error::new(error.kind(), format!("{}: it cannot be read: {}", path.display(), error))
    })?;
    // Some editors begin a text with a mark.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let mut found = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        let (kind, der) =
            section.map_err(|error| fault(path, format_args!("it is no PEM file: {}", error)))?;
        found.extend(wanted(kind, der));
    }
    match found.is_empty() {
        true => Err(fault(path, format_args!("no {}; found {}", what, labels(text)))),
        false => Ok(found),
    }
}

/// Returns what the sections of a PEM file say they are.
fn labels(text: &[u8]) -> String {
    let lines = text.split(|byte| matches!(byte, b'\n' | b'\r'));
    let begins = lines.filter_map(|line| line.strip_prefix(b"-----BEGIN "));
    let label = |line: &[u8]| {
        let end = line.iter().position(|byte| *byte == b'-').unwrap_or(line.len());
        line[..end.min(40)].escape_ascii().to_string()
    };
    let labels: Vec<String> = begins.take(8).map(label).collect();
    match text {
        [] => "an empty file".to_string(),
        _ if labels.is_empty() => "no section in PEM format".to_string(),
        _ => labels.join(", "),
    }
}

fn fault(path: &Path, why: fmt::Arguments) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("{}: {}", path.display(), why))
}
