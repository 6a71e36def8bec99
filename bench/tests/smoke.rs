//! The bench itself runs: a little of it, with the servers that need nothing installed.

use std::path::Path;
use std::process::Command;

#[test]
fn a_short_run_writes_a_report_and_charts() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("smoke");
    std::fs::create_dir_all(&folder).unwrap();
    let report = folder.join("REPORT.md");
    let _ = std::fs::remove_file(&report);
    let servers = "sockling,tungstenite,tokio-tungstenite,fastwebsockets,tcp-threads,tcp-epoll";
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--cells", "echo-1-1,echo-1-64,echo-16-64,broadcast-16,flood,storm,unmask"])
        .args(["--servers", servers, "--rounds", "1", "--seconds", "0.1", "--warm-up", "0"])
        .arg("--out")
        .arg(&report)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&report).unwrap();
    assert!(!text.contains("failed"), "{text}");
    for server in servers.split(',') {
        // Its line in the list, and a row in each of five tables at least.
        assert!(text.matches(server).count() > 5, "{server} is missing in {text}");
    }
    assert!(text.contains("![cpu](cpu.svg)"), "{text}");
    assert!(std::fs::read_to_string(folder.join("cpu.svg")).unwrap().starts_with("<svg"));
}

#[test]
fn a_short_run_over_tls_measures_the_servers_that_speak_it() {
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tls").join("REPORT.md");
    let servers = ["sockling-tls", "sockling-tls-lines", "tokio-tungstenite-tls"];
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--cells", "tls-echo,tls-flood,tls-storm"])
        .args(["--servers", &format!("tungstenite,{}", servers.join(","))])
        .args(["--rounds", "1", "--seconds", "0.1", "--warm-up", "0"])
        .arg("--out")
        .arg(&report)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&report).unwrap();
    assert!(!text.contains("failed"), "{text}");
    for server in servers {
        assert_eq!(text.matches(&format!("| {server} |")).count(), 4, "{server} in {text}");
    }
    assert!(!text.contains("| tungstenite |"), "{text}");
}

#[test]
fn a_short_run_of_requests_measures_the_servers_of_http_and_names_the_best_peer() {
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join("http").join("REPORT.md");
    let servers = ["sockling", "tiny_http", "rouille", "axum"];
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--cells", "http", "--servers", &format!("tungstenite,{}", servers.join(","))])
        .args(["--rounds", "1", "--seconds", "0.1", "--warm-up", "0"])
        .arg("--out")
        .arg(&report)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&report).unwrap();
    assert!(!text.contains("failed"), "{text}");
    for server in servers {
        let cells = if server == "rouille" { 4 } else { 5 };
        assert_eq!(text.matches(&format!("| {server} |")).count(), cells, "{server} in {text}");
    }
    assert_eq!(text.matches("Best peer: ").count(), 2 * 5, "{text}");
    assert!(!text.contains("| tungstenite |"), "{text}");
}

#[test]
fn a_short_run_with_compression_measures_the_servers_that_compress() {
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deflate").join("REPORT.md");
    let servers = ["sockling-deflate", "yawc-deflate"];
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--cells", "deflate", "--servers", &format!("sockling,{}", servers.join(","))])
        .args(["--rounds", "1", "--seconds", "0.1", "--warm-up", "0"])
        .arg("--out")
        .arg(&report)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&report).unwrap();
    assert!(!text.contains("failed"), "{text}");
    for server in servers {
        assert_eq!(text.matches(&format!("| {server} |")).count(), 4, "{server} in {text}");
    }
    assert!(!text.contains("| sockling |"), "{text}");
}

#[test]
fn what_is_not_known_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).arg("--nonsense").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
