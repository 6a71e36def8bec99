//! The servers. Each runs as a child of the bench: this binary with `serve NAME MODE`, or a script
//! of `peers/`.

mod fast;
mod http;
mod sockling;
mod tcp_epoll;
mod tcp_threads;
mod tokio;
mod tungstenite;
mod yawc;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::CertificateDer;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a server does with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Sends each back.
    Echo,
    /// Sends those that start with 'b' to everybody, and others back.
    Room,
    /// The same, to those who subscribed to a topic: all.
    Topic,
    /// Answers HTTP requests.
    Http,
    /// The same, with a long body and its length.
    Large,
    /// Waits for a word on stdin, then broadcasts from a thread of its own.
    Stalled,
}

impl Mode {
    const ALL: [Mode; 6] =
        [Mode::Echo, Mode::Room, Mode::Topic, Mode::Http, Mode::Large, Mode::Stalled];

    fn name(self) -> &'static str {
        match self {
            Mode::Echo => "echo",
            Mode::Room => "room",
            Mode::Topic => "topic",
            Mode::Http => "http",
            Mode::Large => "large",
            Mode::Stalled => "stalled",
        }
    }

    pub fn named(name: &str) -> Result<Mode, String> {
        let found = Mode::ALL.into_iter().find(|mode| mode.name() == name);
        found.ok_or(format!("no mode is {name:?}"))
    }
}

/// What is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    WebSocket,
    /// A WebSocket over TLS.
    Tls,
    /// A WebSocket that compresses each message by itself.
    Deflate,
    /// The same bytes without any meaning.
    Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Sockling,
    SocklingLines,
    Tungstenite,
    TokioTungstenite,
    FastWebsockets,
    NodeWs,
    PythonWebsockets,
    TcpThreads,
    TcpEpoll,
    SocklingTls,
    SocklingTlsLines,
    TokioTungsteniteTls,
    TinyHttp,
    Rouille,
    Axum,
    SocklingDeflate,
    NodeWsDeflate,
    YawcDeflate,
}

/// The bodies of HTTP answers, in bytes, and what they are made of.
pub const SMALL: usize = 125;
pub const LARGE: usize = 1024 * 1024;
pub const LETTER: u8 = b'x';

/// The level of those that compress, and the smallest message that they compress, in bytes: this
/// library's defaults.
const LEVEL: u32 = 1;
pub const SMALLEST: usize = 256;

impl Server {
    pub const ALL: [Server; 18] = [
        Server::Sockling,
        Server::SocklingLines,
        Server::Tungstenite,
        Server::TokioTungstenite,
        Server::FastWebsockets,
        Server::NodeWs,
        Server::PythonWebsockets,
        Server::TcpThreads,
        Server::TcpEpoll,
        Server::SocklingTls,
        Server::SocklingTlsLines,
        Server::TokioTungsteniteTls,
        Server::TinyHttp,
        Server::Rouille,
        Server::Axum,
        Server::SocklingDeflate,
        Server::NodeWsDeflate,
        Server::YawcDeflate,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Server::Sockling => "sockling",
            Server::SocklingLines => "sockling-lines",
            Server::Tungstenite => "tungstenite",
            Server::TokioTungstenite => "tokio-tungstenite",
            Server::FastWebsockets => "fastwebsockets",
            Server::NodeWs => "node-ws",
            Server::PythonWebsockets => "python-websockets",
            Server::TcpThreads => "tcp-threads",
            Server::TcpEpoll => "tcp-epoll",
            Server::SocklingTls => "sockling-tls",
            Server::SocklingTlsLines => "sockling-tls-lines",
            Server::TokioTungsteniteTls => "tokio-tungstenite-tls",
            Server::TinyHttp => "tiny_http",
            Server::Rouille => "rouille",
            Server::Axum => "axum",
            Server::SocklingDeflate => "sockling-deflate",
            Server::NodeWsDeflate => "node-ws-deflate",
            Server::YawcDeflate => "yawc-deflate",
        }
    }

    pub fn about(self) -> &'static str {
        match self {
            Server::Sockling => "this library: a thread per connection",
            Server::SocklingLines => "this library, its conversations in straight lines",
            Server::Tungstenite => "blocking, a thread per connection, as its README does it",
            Server::TokioTungstenite => "tokio with its default of a thread per core",
            Server::FastWebsockets => {
                "tokio with one thread, hyper's upgrade, as its example does it"
            }
            Server::NodeWs => "Node's `ws`: an event loop",
            Server::PythonWebsockets => "Python's `websockets.sync`: a thread per connection",
            Server::TcpThreads => "a floor: blocking TCP echo, a thread per connection, no parsing",
            Server::TcpEpoll => "a floor: TCP echo in one event loop, no parsing",
            Server::SocklingTls => "this library with its adapter for TLS",
            Server::SocklingTlsLines => "the same, its conversations in straight lines",
            Server::TokioTungsteniteTls => "`tokio-tungstenite` over `tokio-rustls`",
            Server::TinyHttp => "HTTP: a pool of threads, four of which answer",
            Server::Rouille => "HTTP: on `tiny_http`, a pool of threads of its own",
            Server::Axum => "HTTP: hyper on tokio with its default of a thread per core",
            Server::SocklingDeflate => "this library, compressing",
            Server::NodeWsDeflate => "Node's `ws`, compressing for each client",
            Server::YawcDeflate => "tokio and hyper's upgrade, compressing for each client",
        }
    }

    /// Returns whether it is neither this library nor a floor.
    pub fn is_peer(self) -> bool {
        !self.name().starts_with("sockling") && !self.name().starts_with("tcp-")
    }

    pub fn named(name: &str) -> Result<Server, String> {
        let found = Server::ALL.into_iter().find(|server| server.name() == name);
        found.ok_or(format!("no server is {name:?}; --list shows them"))
    }

    pub fn wire(self) -> Wire {
        match self {
            Server::TcpThreads | Server::TcpEpoll => Wire::Raw,
            Server::SocklingTls | Server::SocklingTlsLines | Server::TokioTungsteniteTls => {
                Wire::Tls
            }
            Server::SocklingDeflate | Server::NodeWsDeflate | Server::YawcDeflate => Wire::Deflate,
            _ => Wire::WebSocket,
        }
    }

    pub fn can(self, mode: Mode) -> bool {
        let http_alone = matches!(self, Server::TinyHttp | Server::Rouille | Server::Axum);
        match mode {
            Mode::Echo => !http_alone,
            Mode::Http => http_alone || self == Server::Sockling,
            // Rouille sends a long body in chunks, which is other work.
            Mode::Large => http_alone && self != Server::Rouille || self == Server::Sockling,
            // Others have no broadcast, or need more than a few lines for one.
            Mode::Room => {
                let those = [Server::Sockling, Server::TokioTungstenite, Server::NodeWs];
                those.contains(&self) || self.wire() == Wire::Deflate
            }
            Mode::Topic | Mode::Stalled => self == Server::Sockling,
        }
    }

    /// Returns why the server cannot run here, if so.
    pub fn missing(self) -> Option<&'static str> {
        let (mut probe, why) = match self {
            Server::NodeWs | Server::NodeWsDeflate => {
                let mut probe = Command::new("node");
                probe.args(["-e", "require('ws')"]);
                (probe, "there is no node with the module `ws`")
            }
            Server::PythonWebsockets => {
                let mut probe = Command::new(python());
                probe.args(["-c", "import websockets.sync.server"]);
                (probe, "there is no python3 with the module `websockets`")
            }
            _ => return None,
        };
        probe.current_dir(peers()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let runs = probe.status().is_ok_and(|status| status.success());
        (!runs).then_some(why)
    }

    /// Returns the command that starts the server.
    pub fn command(self, mode: Mode) -> io::Result<Command> {
        let (program, script) = match self {
            Server::NodeWs | Server::NodeWsDeflate => (PathBuf::from("node"), "node_ws.cjs"),
            Server::PythonWebsockets => (python(), "python_websockets.py"),
            _ => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["serve", self.name(), mode.name()]);
                return Ok(command);
            }
        };
        let mut command = Command::new(program);
        command.arg(peers().join(script));
        if self.wire() == Wire::Deflate {
            command.args([LEVEL.to_string(), SMALLEST.to_string()]);
        }
        Ok(command)
    }
}

/// Returns the file with the certificate of those that speak TLS, which every client trusts, and its
/// key.
fn pem() -> PathBuf {
    peers().join("localhost.pem")
}

pub fn certificates() -> io::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(pem()).and_then(Iterator::collect);
    found.map_err(io::Error::other)
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

fn python() -> PathBuf {
    let venv = peers().join("venv/bin/python");
    match std::env::var_os("PYTHON") {
        Some(python) => PathBuf::from(python),
        None if venv.exists() => venv,
        None => PathBuf::from("python3"),
    }
}

/// Runs a server until the bench ends it.
pub fn serve(server: Server, mode: Mode) -> io::Result<()> {
    // A bench that is killed leaves no servers behind.
    set_pdeathsig(Signal::SIGKILL)?;
    match server {
        Server::Sockling if matches!(mode, Mode::Http | Mode::Large) => http::sockling(),
        Server::Sockling => sockling::serve(mode, Wire::WebSocket),
        Server::TinyHttp => http::tiny_http(),
        Server::Rouille => http::rouille(),
        Server::Axum => http::axum(),
        Server::SocklingLines => sockling::serve_lines(Wire::WebSocket),
        Server::Tungstenite => tungstenite::serve(),
        Server::TokioTungstenite => tokio::serve(mode),
        Server::FastWebsockets => fast::serve(),
        Server::TcpThreads => tcp_threads::serve(),
        Server::TcpEpoll => tcp_epoll::serve(),
        Server::SocklingTls => sockling::serve(mode, Wire::Tls),
        Server::SocklingTlsLines => sockling::serve_lines(Wire::Tls),
        Server::TokioTungsteniteTls => tokio::serve_tls(),
        Server::SocklingDeflate => sockling::serve(mode, Wire::Deflate),
        Server::YawcDeflate => yawc::serve(mode),
        Server::NodeWs | Server::NodeWsDeflate | Server::PythonWebsockets => {
            Err(io::Error::other("a script serves it"))
        }
    }
}

/// Listens on a port that the system chooses, and tells it to the bench.
fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    announce(listener.local_addr()?)?;
    Ok(listener)
}

fn announce(address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", address.port())?;
    out.flush()
}
