//! Certificates and keys from PEM files: what is read, what an error says, and what a reload does.

#[path = "../src/handshake.rs"]
mod handshake;
mod kit;
#[path = "../src/session.rs"]
mod session;
#[path = "../src/stream.rs"]
mod stream;

use kit::{
    client_config, connect_with, folder, made, make, quiet, receive_all, send, Made, Running,
    TLS12, TLS13,
};
use sockling::http::Server;
use sockling::net::{Stream, Tcp};
use sockling::testing::MemoryListener;
use sockling_tls::Tls;
use std::net::{Shutdown, SocketAddr};
use std::path::Path;
use std::process::Command;

const RSA: (&str, &str, &str) = (
    include_str!("pem/rsa-chain.pem"),
    include_str!("pem/rsa-pkcs8.pem"),
    include_str!("pem/rsa-pkcs1.pem"),
);
const EC: (&str, &str) = (include_str!("pem/ec-chain.pem"), include_str!("pem/ec-sec1.pem"));

fn error_of(chain: &Path, key: &Path) -> String {
    match Tls::from_pem(MemoryListener::new("memory"), chain, key) {
        Ok(_) => panic!("{:?} and {:?} fit", chain, key),
        Err(error) => error.to_string(),
    }
}

/// Asks for a page, as a client that trusts this authority.
fn ask(address: SocketAddr, made: &Made) -> std::io::Result<Vec<u8>> {
    let client = connect_with(address, client_config(made, &[&TLS13, &TLS12]), "localhost")?;
    send(&client, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    Ok(receive_all(&client))
}

fn assert_serves(made: &Made, chain: &str, key: &str, name: &str) {
    quiet();
    let folder = folder(name, &[("chain.pem", chain), ("key.pem", key)]);
    let tcp = Tcp::bind("127.0.0.1:0").expect("a free port");
    let tls = Tls::from_pem(tcp, folder.join("chain.pem"), folder.join("key.pem"));
    let tls = tls.unwrap_or_else(|error| panic!("{}: {}", name, error));
    let server = Running::serve(Server::new(vec![]).listen(tls).expect("it listens"));
    let answer = ask(server.address, made).expect("a handshake");
    assert!(answer.starts_with(b"HTTP/1.1 404 "), "{}", answer.escape_ascii());
    std::fs::remove_dir_all(folder).expect("the folder is there");
}

#[test]
fn keys_are_read_as_pkcs8_pkcs1_and_sec1_with_lf_and_crlf() {
    assert_serves(made(), &made().chain, &made().key, "pkcs8");
    for (name, (chain, key)) in
        [("rsa-pkcs8", (RSA.0, RSA.1)), ("rsa-pkcs1", (RSA.0, RSA.2)), ("ec-sec1", EC)]
    {
        for crlf in [false, true] {
            let end = |text: &str| if crlf { text.replace('\n', "\r\n") } else { text.to_string() };
            let folder = folder(name, &[("chain.pem", &end(chain)), ("key.pem", &end(key))]);
            let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
            let tls = Tls::from_pem(MemoryListener::new("memory"), chain, key);
            tls.unwrap_or_else(|error| panic!("{}: {}", name, error));
        }
    }
    let crlf = made().chain.replace('\n', "\r\n");
    assert_serves(made(), &crlf, &made().key.replace('\n', "\r\n"), "crlf");
    assert_serves(made(), &format!("\u{feff}{}", made().chain), &made().key, "mark");
}

#[test]
fn both_may_be_in_one_file_with_text_around() {
    let both = format!("My files\n{}\nthe key:\n{}", made().key, made().chain);
    assert_serves(made(), &both, &both, "both");
}

#[test]
fn an_error_names_the_file_and_what_was_found_in_it() {
    let garbled = made().chain.replacen("MI", "MII", 1);
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let folder = folder(
        "errors",
        &[
            ("chain.pem", &made().chain),
            ("key.pem", &made().key),
            ("other.pem", &make().key),
            ("garbled.pem", &garbled),
            ("cut.pem", &made().chain[..99]),
            ("text.pem", "hello\n"),
            ("empty.pem", ""),
            ("encrypted.pem", encrypted),
            ("rsa.pem", RSA.1),
        ],
    );
    let file = |name: &str| folder.join(name);
    for (chain, key, expected) in [
        ("none.pem", "key.pem", "none.pem: it cannot be read: "),
        ("chain.pem", "none.pem", "none.pem: it cannot be read: "),
        ("key.pem", "key.pem", "key.pem: no certificate; found PRIVATE KEY"),
        ("chain.pem", "chain.pem", "chain.pem: no private key; found CERTIFICATE, CERTIFICATE"),
        ("text.pem", "key.pem", "text.pem: no certificate; found no section in PEM format"),
        ("empty.pem", "key.pem", "empty.pem: no certificate; found an empty file"),
        ("cut.pem", "key.pem", "cut.pem: it is no PEM file: "),
        (
            "chain.pem",
            "encrypted.pem",
            "encrypted.pem: no private key; found ENCRYPTED PRIVATE KEY",
        ),
        ("chain.pem", "other.pem", "other.pem: the private key is not that of the first"),
        ("chain.pem", "rsa.pem", "rsa.pem: the private key is not that of the first"),
    ] {
        let error = error_of(&file(chain), &file(key));
        assert!(error.contains(expected), "{}", error);
    }
    let error = error_of(&file("garbled.pem"), &file("key.pem"));
    assert!(error.contains("garbled.pem: "), "{}", error);
    std::fs::remove_dir_all(folder).expect("the folder is there");
}

#[test]
fn a_reload_takes_the_new_pair_once_both_files_fit_and_keeps_the_old_one_until_then() {
    quiet();
    let (old, new) = (made(), make());
    let folder = folder("reload", &[("chain.pem", &old.chain), ("key.pem", &old.key)]);
    let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    let tcp = Tcp::bind("127.0.0.1:0").expect("a free port");
    let tls = Tls::from_pem(tcp, &chain, &key).expect("they fit");
    let reloader = tls.reloader();
    let server = Running::serve(Server::new(vec![]).listen(tls).expect("it listens"));
    let open = connect_with(server.address, client_config(old, &[&TLS13]), "localhost");
    let open = open.expect("a handshake");
    for (chain_now, key_now) in
        [(&new.chain, &old.key), (&new.chain[..50].to_string(), &new.key), (&old.chain, &new.key)]
    {
        std::fs::write(&chain, chain_now).expect("a file");
        std::fs::write(&key, key_now).expect("a file");
        reloader.reload().expect_err("they do not fit");
        ask(server.address, old).expect("the old pair stays");
        ask(server.address, &new).expect_err("the new one is not there yet");
    }
    std::fs::write(&chain, &new.chain).expect("a file");
    reloader.clone().reload().expect("both fit");
    ask(server.address, &new).expect("the new pair");
    ask(server.address, old).expect_err("the old one is not there any more");
    // A connection that was open before goes on.
    send(&open, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(receive_all(&open).starts_with(b"HTTP/1.1 404 "));
    open.shutdown(Shutdown::Both).expect("it can be shut");
    std::fs::remove_dir_all(folder).expect("the folder is there");
}

#[test]
fn a_listener_with_a_configuration_of_its_own_has_nothing_to_reload() {
    let config = kit::server_config(made(), &[&TLS13]);
    let tls = Tls::new(MemoryListener::new("memory"), std::sync::Arc::new(config));
    let error = tls.reloader().reload().expect_err("there are no files");
    assert!(error.to_string().contains("no files"), "{}", error);
}

/// Run by the next test, in a process of its own: its log is what is looked at.
#[test]
#[ignore = "run by another test"]
fn child() {
    let folder = folder("child", &[("chain.pem", &made().chain), ("key.pem", &made().key)]);
    let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    let tcp = Tcp::bind("127.0.0.1:0").expect("a free port");
    let tls = Tls::from_pem(tcp, &chain, &key).expect("they fit");
    let reloader = tls.reloader();
    let server = Running::serve(Server::new(vec![]).listen(tls).expect("it listens"));
    std::fs::write(&chain, "broken").expect("a file");
    reloader.reload().expect_err("it is broken");
    // Ends without close_notify: before a request, behind an answer, and inside a handshake.
    for request in ["", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let config = client_config(made(), &[&TLS13]);
        let client = connect_with(server.address, config, "localhost").expect("a handshake");
        send(&client, request.as_bytes());
        if !request.is_empty() {
            kit::receive_head(&client);
        }
    }
    drop(std::net::TcpStream::connect(server.address));
    drop(server); // which waits for the connections
    std::fs::remove_dir_all(folder).expect("the folder is there");
}

#[test]
fn the_log_tells_of_a_broken_file_and_of_no_client_that_just_goes() {
    let child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env("SOCKLING_LOG", "info")
        .output()
        .expect("it runs");
    let log = String::from_utf8(child.stderr).expect("text");
    assert!(child.status.success(), "{}", log);
    assert!(log.contains("the certificates stay as they were: "), "{}", log);
    assert!(log.contains("chain.pem: no certificate; found no section in PEM format"), "{}", log);
    // What the server says at its start is above debug, too.
    let start = ["listening on https://localhost:", "sessions end with this process"];
    let of_start = |line: &&str| start.iter().any(|start| line.contains(start));
    assert_eq!(log.lines().filter(of_start).count(), 2, "{}", log);
    assert_eq!(log.lines().count(), 3, "{}", log);
}
