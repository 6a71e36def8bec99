//! An authority that signs one certificate, for this example, and is never used again: its key is
//! thrown away, so that nobody can sign another site with what a browser was told to trust.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use sockling::Error;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

/// Where everything is.
pub struct Files {
    /// What a client has to trust.
    pub authority: String,
    pub chain: String,
    pub key: String,
}

/// Returns the files for a host. They are made once, and made again if they were removed.
pub fn files(host: &str) -> Result<Files, Error> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/target/certificates");
    let folder = PathBuf::from(std::env::var("CHAT_FOLDER").unwrap_or(default.to_string()));
    let name = |name: &str| folder.join(format!("{}-{}", host, name)).display().to_string();
    let files =
        Files { authority: name("authority.pem"), chain: name("chain.pem"), key: name("key.pem") };
    if fs::metadata(&files.chain).is_err() {
        fs::create_dir_all(&folder)?;
        make(host, &files)?;
    }
    Ok(files)
}

fn make(host: &str, files: &Files) -> Result<(), Error> {
    let failed = |error: rcgen::Error| Error::from(error.to_string());
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "Sockling's example");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().map_err(failed)?;
    let authority = params.self_signed(&key).map_err(failed)?;
    let issuer = Issuer::new(params, key);

    let key = KeyPair::generate().map_err(failed)?;
    let names = ["localhost", "127.0.0.1", "::1", host].map(String::from);
    let own = if names[..3].contains(&names[3]) { 3 } else { 4 };
    let mut params = CertificateParams::new(&names[..own]).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, host);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;

    fs::write(&files.authority, authority.pem())?;
    write_secret(&files.key, &key.serialize_pem())?;
    // Last: what is there is whole.
    Ok(fs::write(&files.chain, certificate.pem())?)
}

/// Writes a file that only this user can read.
fn write_secret(path: &str, text: &str) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok(options.open(path)?.write_all(text.as_bytes())?)
}
