//! Who is in which room, over all processes: a sorted set in Redis for each room.
//!
//! ```text
//! chat:here:tea    member: process, who, name, with tabs between    score: when it ends, in seconds
//! chat:rooms       the rooms that there are                          score: the same
//! ```
//!
//! A process writes those who are with it every [`BEAT`], to last for [`LIFE`]. So who is with a
//! process that died is gone after that; the one process that takes an entry out tells so. To count
//! is `ZCOUNT chat:here:tea (now +inf`. The clocks of the processes' hosts have to agree within some
//! seconds.
//!
//! While Redis is away nobody comes or goes for the others; those who are here are written again when
//! it is back.

use redis::{Client, Connection, RedisResult};
use sockling::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const BEAT: Duration = Duration::from_secs(2);
const LIFE: u64 = 8;
/// Longest that a handler waits for Redis.
const ANSWER: Duration = Duration::from_secs(1);
const ROOMS: &str = "chat:rooms";

pub struct Presence {
    client: Client,
    /// What tells this process from the others.
    process: String,
    state: Mutex<State>,
}

/// Locked also while Redis is asked, so that who comes and who goes is written in order.
#[derive(Default)]
struct State {
    connection: Option<Connection>,
    /// Room, and who with which name is in it with how many tabs, in this process.
    here: BTreeMap<String, BTreeMap<(String, String), usize>>,
}

impl Presence {
    /// Returns the presence by the Redis at this URL. It calls `gone` for those whose process died.
    pub fn start(
        url: &str,
        gone: impl Fn(&str, &str, &str) + Send + 'static,
    ) -> Result<Arc<Presence>, Error> {
        let client = Client::open(url).map_err(Error::other)?;
        // A process comes again with another number, or at another time.
        let process = format!("{}.{}", std::process::id(), now());
        let presence = Arc::new(Presence { client, process, state: Mutex::default() });
        let beating = Arc::clone(&presence);
        thread::Builder::new().name("presence".to_string()).spawn(move || loop {
            for (room, who, name) in beating.beat() {
                gone(&room, &who, &name);
            }
            thread::sleep(BEAT);
        })?;
        Ok(presence)
    }

    /// Notes a tab in a room. Returns whether its person was not there.
    pub fn enter(&self, room: &str, who: &str, name: &str) -> bool {
        let mut state = self.state();
        let tabs = state.here.entry(room.to_string()).or_default();
        *tabs.entry((who.to_string(), name.to_string())).or_default() += 1;
        let new = !self.all(&mut state, room).iter().any(|(known, _)| known == who);
        state.ask(&self.client, |redis| self.write(redis, room, [(who, name)].into_iter()));
        new
    }

    /// Notes that a tab has left a room. Returns whether its person is there no more.
    pub fn leave(&self, room: &str, who: &str, name: &str) -> bool {
        let mut state = self.state();
        let person = (who.to_string(), name.to_string());
        if let Some(tabs) = state.here.get_mut(room) {
            match tabs.get_mut(&person) {
                Some(count) if *count > 1 => {
                    *count -= 1;
                    return false;
                }
                _ => drop(tabs.remove(&person)),
            }
        }
        state.here.retain(|_, tabs| !tabs.is_empty());
        let entry = self.entry(who, name);
        state.ask(&self.client, |redis| redis::cmd("ZREM").arg(key(room)).arg(entry).exec(redis));
        !self.all(&mut state, room).iter().any(|(known, _)| known == who)
    }

    /// Returns who is in a room, on all processes: each person once.
    pub fn here(&self, room: &str) -> Vec<(String, String)> {
        let mut state = self.state();
        let mut all = self.all(&mut state, room);
        // Also when Redis is away.
        let here = state.here.get(room).into_iter().flat_map(|tabs| tabs.keys().cloned());
        all.extend(here);
        let people: BTreeMap<String, String> = all.into_iter().collect();
        people.into_iter().collect()
    }

    fn all(&self, state: &mut State, room: &str) -> BTreeSet<(String, String)> {
        let range = |redis: &mut Connection| {
            let range =
                redis::cmd("ZRANGEBYSCORE").arg(key(room)).arg(now()).arg("+inf").to_owned();
            range.query::<Vec<String>>(redis)
        };
        let entries = state.ask(&self.client, range).unwrap_or_default();
        entries.iter().filter_map(|entry| person(entry)).collect()
    }

    /// Writes those who are with this process, and takes out who has not been written for long.
    /// Returns their rooms and names.
    fn beat(&self) -> Vec<(String, String, String)> {
        let mut state = self.state();
        let here = state.here.clone();
        let taken = state.ask(&self.client, |redis| {
            for (room, tabs) in &here {
                let people = tabs.keys().map(|(who, name)| (who.as_str(), name.as_str()));
                self.write(redis, room, people)?;
            }
            let mut taken = Vec::new();
            for room in
                redis::cmd("ZRANGE").arg(ROOMS).arg(0).arg(-1).query::<Vec<String>>(redis)?
            {
                let old =
                    redis::cmd("ZRANGEBYSCORE").arg(key(&room)).arg("-inf").arg(now()).to_owned();
                for entry in old.query::<Vec<String>>(redis)? {
                    // Of all processes that try, one takes it out.
                    let one: bool = redis::cmd("ZREM").arg(key(&room)).arg(&entry).query(redis)?;
                    if let (true, Some((who, name))) = (one, person(&entry)) {
                        taken.push((room.clone(), who, name));
                    }
                }
            }
            // The rooms that nobody has written for long are empty by then.
            let until = now().saturating_sub(LIFE);
            redis::cmd("ZREMRANGEBYSCORE").arg(ROOMS).arg("-inf").arg(until).exec(redis)?;
            Ok(taken)
        });
        let mut taken = taken.unwrap_or_default();
        // Who came back at another process has not gone.
        taken.retain(|(room, who, _)| {
            !self.all(&mut state, room).iter().any(|(known, _)| known == who)
        });
        taken
    }

    fn write<'a>(
        &self,
        redis: &mut Connection,
        room: &str,
        people: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> RedisResult<()> {
        let end = now() + LIFE;
        for (who, name) in people {
            redis::cmd("ZADD").arg(key(room)).arg(end).arg(self.entry(who, name)).exec(redis)?;
        }
        redis::cmd("ZADD").arg(ROOMS).arg(end).arg(room).exec(redis)
    }

    fn entry(&self, who: &str, name: &str) -> String {
        [&self.process, who, name].join("\t")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Asks Redis something; `None` when it does not answer. The next question connects anew.
    fn ask<T>(
        &mut self,
        client: &Client,
        question: impl FnOnce(&mut Connection) -> RedisResult<T>,
    ) -> Option<T> {
        let result = match &mut self.connection {
            Some(connection) => question(connection),
            none => client.get_connection_with_timeout(ANSWER).and_then(|connection| {
                connection.set_read_timeout(Some(ANSWER))?;
                connection.set_write_timeout(Some(ANSWER))?;
                question(none.insert(connection))
            }),
        };
        if let Err(error) = &result {
            log::warn!("who is here is not known to other processes: {}", error);
            self.connection = None;
        }
        result.ok()
    }
}

fn key(room: &str) -> String {
    format!("chat:here:{}", room)
}

/// Returns who an entry is about, and the name.
fn person(entry: &str) -> Option<(String, String)> {
    let mut parts = entry.split('\t').skip(1);
    Some((parts.next()?.to_string(), parts.next()?.to_string()))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
