//! The bench itself runs: a little of it, with the servers that need nothing installed.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs these cells briefly with these servers. Returns the report, and the folder that it is in.
fn report(name: &str, cells: &str, servers: &str) -> (String, PathBuf) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let report = folder.join("REPORT.md");
    // One of an earlier run would hide that this one writes none.
    let _ = std::fs::remove_file(&report);
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--cells", cells, "--servers", servers])
        .args(["--rounds", "1", "--seconds", "0.1", "--warm-up", "0"])
        .arg("--out")
        .arg(&report)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&report).unwrap();
    assert!(!text.contains("failed"), "{text}");
    (text, folder)
}

#[test]
fn a_short_run_writes_a_report_and_charts() {
    let servers = "sockling,tungstenite,tokio-tungstenite,fastwebsockets,tcp-threads,tcp-epoll";
    let cells = "echo-1-1,echo-1-64,echo-16-64,broadcast-16,flood,storm,unmask";
    let (text, folder) = report("smoke", cells, servers);
    for server in servers.split(',') {
        // Its line in the list, and a row in each of five tables at least.
        assert!(text.matches(server).count() > 5, "{server} is missing in {text}");
    }
    assert!(text.contains("![cpu](cpu.svg)"), "{text}");
    assert!(std::fs::read_to_string(folder.join("cpu.svg")).unwrap().starts_with("<svg"));
}

#[test]
fn a_short_run_over_tls_measures_the_servers_that_speak_it() {
    let servers = ["sockling-tls", "sockling-tls-lines", "tokio-tungstenite-tls"];
    let all = format!("tungstenite,{}", servers.join(","));
    let (text, _) = report("tls", "tls-echo,tls-flood,tls-storm", &all);
    for server in servers {
        assert_eq!(text.matches(&format!("| {server} |")).count(), 4, "{server} in {text}");
    }
    assert!(!text.contains("| tungstenite |"), "{text}");
}

#[test]
fn a_short_run_of_requests_measures_the_servers_of_http_and_names_the_best_peer() {
    let servers = ["sockling", "tiny_http", "rouille", "axum"];
    let all = format!("tungstenite,{}", servers.join(","));
    let (text, _) = report("http", "http", &all);
    for server in servers {
        let cells = if server == "rouille" { 4 } else { 5 };
        assert_eq!(text.matches(&format!("| {server} |")).count(), cells, "{server} in {text}");
    }
    assert_eq!(text.matches("Best peer: ").count(), 2 * 5, "{text}");
    assert!(!text.contains("| tungstenite |"), "{text}");
}

#[test]
fn a_short_run_with_compression_measures_the_servers_that_compress() {
    let servers = ["sockling-deflate", "yawc-deflate"];
    let all = format!("sockling,{}", servers.join(","));
    let (text, _) = report("deflate", "deflate", &all);
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
