//! What a vector is: the bytes a client sends, and what it must see.

/// A masking key; the examples of RFC 6455 (5.7) use this one.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One case. The defaults of [`http`] and [`ws`] are a fresh connection and patient time limits.
#[derive(Clone, Copy)]
pub struct Vector {
    pub id: &'static str,
    /// The parts follow an opening handshake on `/ws`.
    pub websocket: bool,
    /// Meant for the server whose time limits are about a second.
    pub fast: bool,
    /// The client shuts its sending half after the last part.
    pub half_close: bool,
    pub send: &'static [Part],
    pub expect: Expect,
}

/// A case on a fresh connection.
pub const fn http(id: &'static str, send: &'static [Part], expect: Expect) -> Vector {
    Vector { id, websocket: false, fast: false, half_close: false, send, expect }
}

/// A case on a connection that has done the opening handshake.
pub const fn ws(id: &'static str, send: &'static [Part], expect: Expect) -> Vector {
    Vector { id, websocket: true, fast: false, half_close: false, send, expect }
}

impl Vector {
    pub const fn fast(mut self) -> Vector {
        self.fast = true;
        self
    }

    pub const fn half_close(mut self) -> Vector {
        self.half_close = true;
        self
    }
}

/// A piece of what a client sends.
pub enum Part {
    /// These bytes.
    Raw(&'static [u8]),
    /// A payload, shown in the clear, sent under [`KEY`]. The frame's header stands before it.
    Masked(&'static [u8]),
    /// These parts so many times.
    Times(usize, &'static [Part]),
    /// Wait so many milliseconds.
    Pause(u64),
    /// The bytes of these parts one by one, each after a pause of so many milliseconds.
    Drip(u64, &'static [Part]),
}

/// How the connection must stand at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The server ends it.
    Closed,
    /// The server goes on serving it.
    Open,
}

/// What a client must see. A field that says nothing is not judged.
#[derive(Clone, Copy)]
pub struct Expect {
    pub end: End,
    /// The status of the first answer; [`NO_ANSWER`] is the end of the connection without a byte.
    pub status: Option<u16>,
    /// This status is among the answers.
    pub final_status: Option<u16>,
    /// The last answer has this status.
    pub last: Option<u16>,
    /// So many answers.
    pub count: Option<usize>,
    /// One of the answers has this body.
    pub body: Option<&'static str>,
    /// The first answer has this field, and its value contains the text.
    pub header: Option<(&'static str, &'static str)>,
    /// The first answer has no such field.
    pub no_header: Option<&'static str>,
    /// These texts are in what came.
    pub raw_contains: &'static [&'static str],
    /// The first request is HEAD: the first answer has the fields of a body, and no body. They
    /// are those of the second, if there is one.
    pub head_first: bool,
    /// Whether a controller was called.
    pub handler_ran: Option<bool>,
    /// The code of the first Close frame, [`NO_CODE`] or [`NO_FRAME`].
    pub close: Option<i32>,
    /// So many Close frames.
    pub close_count: Option<usize>,
    /// The texts that came back.
    pub echo: Option<&'static [&'static str]>,
    /// The lengths of the messages that came back.
    pub echo_len: Option<&'static [usize]>,
    /// The payloads of the Pong frames.
    pub pong: Option<&'static [&'static str]>,
    /// Each message came back as one frame with the shortest form of its length.
    pub minimal_len: bool,
    /// The server has sent a Ping.
    pub pinged: bool,
    /// The end came within so many milliseconds on an idle machine.
    pub within_ms: Option<u64>,
}

/// No byte came before the end.
pub const NO_ANSWER: u16 = 0;
/// A Close frame without a payload.
pub const NO_CODE: i32 = 0;
/// No Close frame came.
pub const NO_FRAME: i32 = -1;

pub const CLOSED: Expect = Expect { end: End::Closed, ..OPEN };
pub const OPEN: Expect = Expect {
    end: End::Open,
    status: None,
    final_status: None,
    last: None,
    count: None,
    body: None,
    header: None,
    no_header: None,
    raw_contains: &[],
    head_first: false,
    handler_ran: None,
    close: None,
    close_count: None,
    echo: None,
    echo_len: None,
    pong: None,
    minimal_len: false,
    pinged: false,
    within_ms: None,
};

// One setter for each field, so that a row of a table names only what it is about.
#[rustfmt::skip]
impl Expect {
    pub const fn status(self, status: u16) -> Expect {
        Expect { status: Some(status), ..self }
    }
    pub const fn final_status(self, status: u16) -> Expect {
        Expect { final_status: Some(status), ..self }
    }
    pub const fn last(self, status: u16) -> Expect { Expect { last: Some(status), ..self } }
    pub const fn count(self, count: usize) -> Expect { Expect { count: Some(count), ..self } }
    pub const fn body(self, body: &'static str) -> Expect { Expect { body: Some(body), ..self } }
    pub const fn header(self, name: &'static str, value: &'static str) -> Expect {
        Expect { header: Some((name, value)), ..self }
    }
    pub const fn no_header(self, name: &'static str) -> Expect {
        Expect { no_header: Some(name), ..self }
    }
    pub const fn raw_contains(self, texts: &'static [&'static str]) -> Expect {
        Expect { raw_contains: texts, ..self }
    }
    pub const fn head_first(self) -> Expect { Expect { head_first: true, ..self } }
    pub const fn handler_ran(self, ran: bool) -> Expect {
        Expect { handler_ran: Some(ran), ..self }
    }
    pub const fn close(self, code: i32) -> Expect { Expect { close: Some(code), ..self } }
    pub const fn close_count(self, count: usize) -> Expect {
        Expect { close_count: Some(count), ..self }
    }
    pub const fn echo(self, texts: &'static [&'static str]) -> Expect {
        Expect { echo: Some(texts), ..self }
    }
    pub const fn echo_len(self, lengths: &'static [usize]) -> Expect {
        Expect { echo_len: Some(lengths), ..self }
    }
    pub const fn pong(self, payloads: &'static [&'static str]) -> Expect {
        Expect { pong: Some(payloads), ..self }
    }
    pub const fn minimal_len(self) -> Expect { Expect { minimal_len: true, ..self } }
    pub const fn pinged(self) -> Expect { Expect { pinged: true, ..self } }
    pub const fn within_ms(self, time: u64) -> Expect { Expect { within_ms: Some(time), ..self } }
}

/// Bytes that leave together, after a pause.
pub struct Burst {
    pub pause_ms: u64,
    pub bytes: Vec<u8>,
}

impl Vector {
    /// The bursts that the parts stand for; a vector without a pause is one burst.
    pub fn bursts(&self) -> Vec<Burst> {
        let mut bursts = vec![Burst { pause_ms: 0, bytes: Vec::new() }];
        lay_out(self.send, &mut bursts);
        bursts
    }

    /// The pause and the last byte of a vector that ends in a drip.
    pub fn last_drip(&self) -> Option<(u64, u8)> {
        match self.send.last() {
            Some(Part::Drip(pause_ms, parts)) => Some((*pause_ms, *flat(parts).last()?)),
            _ => None,
        }
    }
}

fn lay_out(parts: &[Part], bursts: &mut Vec<Burst>) {
    for part in parts {
        match part {
            Part::Pause(pause_ms) => {
                bursts.push(Burst { pause_ms: *pause_ms, bytes: Vec::new() });
            }
            Part::Drip(pause_ms, parts) => bursts.extend(
                flat(parts)
                    .into_iter()
                    .map(|byte| Burst { pause_ms: *pause_ms, bytes: vec![byte] }),
            ),
            still => {
                let burst = bursts.last_mut().expect("a list that starts with one burst");
                append(still, &mut burst.bytes);
            }
        }
    }
}

fn flat(parts: &[Part]) -> Vec<u8> {
    let mut bytes = Vec::new();
    parts.iter().for_each(|part| append(part, &mut bytes));
    bytes
}

fn append(part: &Part, bytes: &mut Vec<u8>) {
    match part {
        Part::Raw(raw) => bytes.extend_from_slice(raw),
        Part::Masked(payload) => bytes.extend(mask(payload)),
        Part::Times(times, parts) => bytes.extend(flat(parts).repeat(*times)),
        Part::Pause(_) | Part::Drip(..) => panic!("a pause inside other parts"),
    }
}

/// The payload under [`KEY`].
pub fn mask(payload: &[u8]) -> impl Iterator<Item = u8> + '_ {
    payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key)
}
