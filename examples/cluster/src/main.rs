//! The chat on several processes: the page of `examples/chat.rs`, messages through Redis, and who is
//! here over all processes. README.md says how to try it.

mod presence;

use presence::Presence;
use sockling::{limits::Limits, prelude::*, Topic};
use sockling_redis::{Gap, Redis};
use std::env;
use std::sync::Arc;

/// A tab in a room: made for its connection, whose state it is.
#[derive(macros::WebsocketController)]
struct Visit {
    room: String,
    name: String,
    presence: Arc<Presence>,
}

/// What is said in a room. The last 40 lines are kept: by each process for itself, while it has
/// somebody there.
fn talk(room: &str) -> Topic {
    Comms::topic(format!("talk/{}", room)).keep(40)
}

/// Who comes and goes.
fn people(room: &str) -> Topic {
    Comms::topic(format!("people/{}", room))
}

/// Tells a room on all processes that somebody came or went: a word, who, a name, with tabs between.
fn tell(room: &str, word: &str, who: &str, name: &str) -> Result<(), Error> {
    people(room).send(format!("{}\t{}\t{}", word, who, name)).map(drop)
}

impl WebsocketController for Visit {
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        let _ = (talk(&self.room).join_here(), people(&self.room).join_here());
        let who = client.to_string();
        if self.presence.enter(&self.room, &who, &self.name) {
            tell(&self.room, "join", &who, &self.name)?;
        }
        let all = self.presence.here(&self.room);
        let all: String = all.iter().map(|(who, name)| format!("\t{}\t{}", who, name)).collect();
        Comms::here().map_or(Ok(0), |tab| tab.send(format!("here\t{}{}", client, all))).map(drop)
    }

    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        let text = message.as_text().unwrap_or("(no text)");
        talk(&self.room).send(format!("say\t{}\t{}\t{}", client, self.name, text)).map(drop)
    }

    fn handle_disconnection(&self, id: &SessionId, _: Option<&CloseFrame>) -> Result<(), Error> {
        let who = id.to_string();
        match self.presence.leave(&self.room, &who, &self.name) {
            true => tell(&self.room, "leave", &who, &self.name),
            false => Ok(()),
        }
    }
}

/// Tells the clients of this process that they may have missed something. Every process has its own
/// gap, and tells its own clients.
fn tell_gap(gap: &Gap) {
    if gap.to.is_some() {
        // Always `Ok`.
        let _ = Comms::notify().local().send(format!("say\tguest-000000\tthe chat\t{}", gap));
    }
}

fn setting(name: &str) -> Result<String, Error> {
    env::var(name).map_err(|_| Error::Setting(format!("${} is not set", name)))
}

fn main() -> Result<(), Error> {
    let url = setting("REDIS_URL")?;
    let keys = SessionKeys::new([setting("CHAT_KEY")?])?;
    let redis = Redis::new(&url)?.prefix("chat:").on_gap(tell_gap);
    Comms::relay(redis)?;

    let tell = |word: &str, room: &str, who: &str, name: &str| drop(tell(room, word, who, name));
    let presence = Presence::start(&url, tell)?;
    let enter = move |request: &Request| {
        let room = request.parameter("*")?.to_string();
        match request.query("name").filter(|name| name.len() <= 80 && !name.contains('\t')) {
            Some(name) if request.upgrade_websocket() => {
                let presence = Arc::clone(&presence);
                Controller::handle(&Visit { room, name, presence }, request)
            }
            _ => Ok(Response::new().html(include_str!("../../pages/chat.html"))),
        }
    };
    let limits = Limits { message: 1000, ..Limits::default() };
    let mut server = Server::new(vec![Handler::new("/*", enter)]).limits(limits);
    // Behind a proxy: the name in the browsers' address line.
    if let Ok(host) = env::var("CHAT_HOST") {
        server = server.allowed_hosts([host]).trusted_proxy([127, 0, 0, 1]);
    }
    server.session_keys(keys).launch()
}
