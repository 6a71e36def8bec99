//! What is measured: each cell is one load that every server gets.

use crate::load::requests::Ask;
use crate::servers::{Mode, Wire};

#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub name: String,
    /// For the servers that speak it; a raw one belongs to the plain cells.
    pub wire: Wire,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Messages sent back; `one_core` has client and server share one.
    Echo { connections: usize, in_flight: usize, bytes: usize, one_core: bool },
    /// HTTP requests answered.
    Requests { connections: usize, ask: Ask },
    /// One of the members speaks, all of them get it.
    Broadcast { members: usize, in_flight: usize, bytes: usize, topic: bool },
    /// Messages of so many KiB sent back on one connection.
    Flood { kib: usize, in_flight: usize },
    /// Connect, upgrade, one echo, close.
    Storm { visitors: usize },
    /// Memory and threads of connections that are silent after one message of so many bytes.
    Idle { connections: usize, bytes: usize },
    /// Broadcast to clients of whom some never read.
    Stalled { stalled: usize, clients: usize },
    /// No server: `apply_mask` alone.
    Unmask,
}

/// One number of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Column {
    pub title: &'static str,
    /// Digits after the point.
    pub digits: usize,
    /// A server whose number this one is divided by, in a column of its own.
    pub against: Option<&'static str>,
    /// Whether less is better.
    pub less: bool,
}

/// Bytes of a message, where nothing else is said.
pub const MESSAGE: usize = 125;

pub const RATE: usize = 0;
pub const CPU: usize = 1;

const fn column(title: &'static str, digits: usize) -> Column {
    Column { title, digits, against: None, less: false }
}

const fn rate(title: &'static str) -> Column {
    Column { title, digits: 0, against: Some("tungstenite"), less: false }
}

const fn cpu(title: &'static str) -> Column {
    Column { title, digits: 2, against: Some("tcp-threads"), less: true }
}

const BUSY: Column = column("client busy %", 0);
const PLAIN: Column = column("not compressed %", 1);

impl Cell {
    /// Returns the numbers of a sample, in their order.
    pub fn columns(&self) -> Vec<Column> {
        const ECHO: &[Column] = &[rate("messages/s"), cpu("server µs/message"), BUSY];
        const ROOM: &[Column] = &[rate("deliveries/s"), cpu("server µs/delivery"), BUSY];
        const HTTP: &[Column] = &[rate("requests/s"), cpu("server µs/request"), BUSY];
        const FLOOD: &[Column] = &[rate("MiB/s"), cpu("server µs/MiB"), BUSY];
        const STORM: &[Column] = &[rate("connections/s"), cpu("server µs/connection"), BUSY];
        const IDLE: &[Column] = &[
            Column { digits: 1, less: true, ..rate("KiB/connection") },
            column("threads more", 0),
        ];
        const STALLED: &[Column] = &[
            column("p99 ms", 1),
            column("longest send ms", 1),
            column("memory growth KiB", 0),
            column("stalled ones closed", 0),
            column("fewer takers told", 0),
        ];
        const UNMASK: &[Column] = &[column("GB/s", 1)];
        let columns = match self.kind {
            Kind::Echo { .. } => ECHO,
            Kind::Requests { .. } => HTTP,
            Kind::Broadcast { .. } => ROOM,
            Kind::Flood { kib: 1024, .. } => FLOOD,
            Kind::Flood { .. } => ECHO,
            Kind::Storm { .. } => STORM,
            Kind::Idle { .. } => IDLE,
            Kind::Stalled { .. } => STALLED,
            Kind::Unmask => UNMASK,
        };
        let against = |column: &Column| match column.against {
            Some(_) if self.wire == Wire::Tls => Some("tokio-tungstenite-tls"),
            Some(_) if self.wire == Wire::Deflate => Some("node-ws-deflate"),
            Some(_) if matches!(self.kind, Kind::Requests { .. }) => Some("tiny_http"),
            against => against,
        };
        let idle = matches!(self.kind, Kind::Idle { .. });
        let more = (self.wire == Wire::Deflate && !idle).then_some(&PLAIN);
        let columns = columns.iter().chain(more);
        columns.map(|column| Column { against: against(column), ..*column }).collect()
    }

    pub fn mode(&self) -> Mode {
        match self.kind {
            Kind::Broadcast { topic: false, .. } => Mode::Room,
            Kind::Broadcast { topic: true, .. } => Mode::Topic,
            Kind::Stalled { .. } | Kind::Unmask => Mode::Stalled,
            Kind::Requests { ask, .. } if ask.large => Mode::Large,
            Kind::Requests { .. } => Mode::Http,
            _ => Mode::Echo,
        }
    }

    pub fn about(&self) -> String {
        let wire = match self.wire {
            Wire::Tls => "; over TLS",
            Wire::Deflate => "; with compression",
            Wire::WebSocket | Wire::Raw => "",
        };
        self.plainly() + wire
    }

    fn plainly(&self) -> String {
        match self.kind {
            Kind::Echo { connections, in_flight, bytes, one_core } => {
                let place = if one_core { "; client and server on one core" } else { "" };
                format!("echo of {}: {connections} × {in_flight} in flight{place}", size(bytes))
            }
            Kind::Requests { connections, ask } => {
                let body = if ask.large { "1 MiB" } else { "125 bytes" };
                let way = match ask {
                    Ask { close: true, .. } => ", a connection for each".to_string(),
                    Ask { in_flight: 1, .. } => String::new(),
                    Ask { in_flight, .. } => format!(" × {in_flight} in flight"),
                };
                format!("HTTP, answers of {body}: {connections} connections{way}")
            }
            Kind::Broadcast { members, in_flight, bytes, topic } => {
                let what = if topic { "topic: a message" } else { "broadcast" };
                format!("{what} of {} to {members}: {in_flight} in flight", size(bytes))
            }
            Kind::Flood { kib, in_flight } => {
                format!("echo of {kib} KiB on one connection: {in_flight} in flight")
            }
            Kind::Storm { visitors } => {
                format!("connect, upgrade, one echo, close: {visitors} at a time")
            }
            Kind::Idle { connections, bytes } => {
                let what = format!("memory and threads of {connections} connections");
                match bytes {
                    MESSAGE => format!("{what} after one echo each"),
                    _ => format!("{what} after one echo of {bytes} bytes each"),
                }
            }
            Kind::Stalled { stalled, clients } => {
                format!("broadcast of 16 KiB to {clients}, of whom {stalled} never read")
            }
            Kind::Unmask => "`apply_mask` on 64 KiB".to_string(),
        }
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        MESSAGE => format!("{bytes} bytes"),
        _ => format!("{} KiB", bytes / 1024),
    }
}

pub fn all() -> Vec<Cell> {
    let echo = |connections, in_flight, one_core| Cell {
        name: format!("echo-{connections}-{in_flight}"),
        wire: Wire::WebSocket,
        kind: Kind::Echo { connections, in_flight, bytes: MESSAGE, one_core },
    };
    let sized = |in_flight, kib: usize| Cell {
        name: format!("echo-16-{in_flight}-{kib}k"),
        wire: Wire::WebSocket,
        kind: Kind::Echo { connections: 16, in_flight, bytes: kib * 1024, one_core: false },
    };
    let http = |name: &str, connections, ask| Cell {
        name: format!("http-{name}"),
        wire: Wire::WebSocket,
        kind: Kind::Requests { connections, ask },
    };
    let one = Ask { large: false, close: false, in_flight: 1 };
    let broadcast = |in_flight, topic| Cell {
        name: format!("{}-{in_flight}", if topic { "topic" } else { "broadcast" }),
        wire: Wire::WebSocket,
        kind: Kind::Broadcast { members: 1000, in_flight, bytes: MESSAGE, topic },
    };
    let cell = |name: &str, kind| Cell { name: name.to_string(), wire: Wire::WebSocket, kind };
    let flood = |name, kib| cell(name, Kind::Flood { kib, in_flight: 4 });
    let over =
        |wire, name, plain: Cell| Cell { name: format!("{name}-{}", plain.name), wire, ..plain };
    let tls = |plain| over(Wire::Tls, "tls", plain);
    let deflate = |plain| over(Wire::Deflate, "deflate", plain);
    let idle = |connections| Cell {
        name: format!("idle-{connections}"),
        wire: Wire::WebSocket,
        kind: Kind::Idle { connections, bytes: MESSAGE },
    };
    let stalled = |stalled| Cell {
        name: format!("stalled-{stalled}"),
        wire: Wire::WebSocket,
        kind: Kind::Stalled { stalled, clients: 100 },
    };
    vec![
        echo(1, 1, true),
        echo(16, 1, false),
        echo(128, 1, false),
        echo(1000, 1, false),
        echo(1, 64, false),
        echo(16, 64, false),
        echo(128, 64, false),
        echo(1000, 64, false),
        echo(5000, 64, false),
        sized(16, 1),
        sized(16, 16),
        sized(4, 32),
        sized(16, 64),
        broadcast(1, false),
        broadcast(16, false),
        broadcast(1, true),
        broadcast(16, true),
        flood("flood", 1024),
        flood("flood-32", 32),
        flood("flood-64", 64),
        cell("storm", Kind::Storm { visitors: 16 }),
        idle(128),
        idle(1000),
        idle(5000),
        stalled(1),
        stalled(40),
        cell("unmask", Kind::Unmask),
        http("16", 16, one),
        http("128", 128, one),
        http("close", 16, Ask { close: true, ..one }),
        http("pipelined", 16, Ask { in_flight: 16, ..one }),
        http("1MiB", 4, Ask { large: true, ..one }),
        tls(echo(16, 1, false)),
        tls(echo(16, 64, false)),
        tls(flood("flood", 1024)),
        tls(cell("storm", Kind::Storm { visitors: 16 })),
        tls(idle(1000)),
        tls(cell("idle-1000-30000", Kind::Idle { connections: 1000, bytes: 30_000 })),
        deflate(cell(
            "broadcast-1",
            Kind::Broadcast { members: 1000, in_flight: 1, bytes: 1024, topic: false },
        )),
        deflate(sized(1, 16)),
        deflate(idle(1000)),
        deflate(cell("idle-1000-1024", Kind::Idle { connections: 1000, bytes: 1024 })),
    ]
}

/// Returns the cells with these names: `storm`, or `echo` for all whose name begins so, or
/// `growth` for the echo cells with 64 in flight.
pub fn named(names: &str) -> Result<Vec<Cell>, String> {
    let is = |cell: &Cell, name: &str| match name {
        "growth" => {
            cell.wire == Wire::WebSocket && matches!(cell.kind, Kind::Echo { in_flight: 64, .. })
        }
        _ => cell.name == name || cell.name.starts_with(&format!("{name}-")),
    };
    for name in names.split(',') {
        if !all().iter().any(|cell| is(cell, name)) {
            return Err(format!("no cell is {name:?}; --list shows them"));
        }
    }
    let wanted = |cell: &Cell| names.split(',').any(|name| is(cell, name));
    Ok(all().into_iter().filter(wanted).collect())
}
