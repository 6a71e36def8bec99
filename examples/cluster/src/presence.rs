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
//! it is back. Only the beat connects: a handler that finds no connection does not wait for one.

use redis::{Client, Connection, RedisResult};
use sockling::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const BEAT: Duration = Duration::from_secs(2);
const LIFE: u64 = 8;
/// Longest that Redis may take to answer; then it is away, until a beat has connected again.
const ANSWER: Duration = Duration::from_secs(1);
const ROOMS: &str = "chat:rooms";

pub struct Presence {
    client: Client,
    /// What tells this process from the others.
    process: String,
    state: Mutex<State>,
}

/// Locked also while Redis is asked, so that who comes and who goes is written in order. So who comes
/// while Redis has just gone waits for some answers that do not come, a few seconds in all.
#[derive(Default)]
struct State {
    connection: Option<Connection>,
    /// Room, and who with which name is in it, in this process.
    here: BTreeMap<String, BTreeMap<(String, String), Tabs>>,
}

/// How many tabs, and whether they were written.
#[derive(Clone, Copy, Default)]
struct Tabs {
    count: usize,
    written: bool,
}

impl Presence {
    /// Returns the presence by the Redis at this URL. It calls `tell` with a word, a room, who and a name:
    /// `leave` for those whose process died, `join` for those of this one who were taken for such.
    pub fn start(
        url: &str,
        tell: impl Fn(&str, &str, &str, &str) + Send + 'static,
    ) -> Result<Arc<Presence>, Error> {
        let client = Client::open(url).map_err(Error::other)?;
        // A process comes again with another number, or at another time.
        let process = format!("{}.{}", std::process::id(), now());
        let presence = Arc::new(Presence { client, process, state: Mutex::default() });
        presence.beat();
        let beating = Arc::clone(&presence);
        thread::Builder::new().name("presence".to_string()).spawn(move || loop {
            thread::sleep(BEAT);
            for (word, room, who, name) in beating.beat() {
                tell(word, &room, &who, &name);
            }
        })?;
        Ok(presence)
    }

    /// Notes a tab in a room. Returns whether its person was not there.
    pub fn enter(&self, room: &str, who: &str, name: &str) -> bool {
        let mut state = self.state();
        let new = !self.all(&mut state, room).iter().any(|(known, _)| known == who);
        let written = state.ask(|redis| self.write(redis, room, [(who, name)].into_iter()));
        let tabs = state.here.entry(room.to_string()).or_default();
        let tabs = tabs.entry((who.to_string(), name.to_string())).or_default();
        tabs.count += 1;
        tabs.written |= written.is_some();
        new
    }

    /// Notes that a tab has left a room. Returns whether its person is there no more.
    pub fn leave(&self, room: &str, who: &str, name: &str) -> bool {
        let mut state = self.state();
        let person = (who.to_string(), name.to_string());
        if let Some(tabs) = state.here.get_mut(room) {
            match tabs.get_mut(&person) {
                Some(of_person) if of_person.count > 1 => {
                    of_person.count -= 1;
                    return false;
                }
                _ => drop(tabs.remove(&person)),
            }
        }
        state.here.retain(|_, tabs| !tabs.is_empty());
        let entry = self.entry(who, name);
        state.ask(|redis| redis::cmd("ZREM").arg(key(room)).arg(entry).exec(redis));
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
        let entries = state.ask(range).unwrap_or_default();
        entries.iter().filter_map(|entry| person(entry)).collect()
    }

    /// Connects if that is needed, writes those who are with this process, and takes out who has not been
    /// written for long. Returns what is to be told: a word, a room, who and a name.
    fn beat(&self) -> Vec<(&'static str, String, String, String)> {
        let mut state = self.state();
        if state.connection.is_none() {
            state.connection = self.connect();
        }
        let here = state.here.clone();
        let taken = state.ask(|redis| {
            let mut back = Vec::new();
            for (room, tabs) in &here {
                let people = tabs.keys().map(|(who, name)| (who.as_str(), name.as_str()));
                let new = self.write(redis, room, people)?;
                let again = tabs.iter().zip(new).filter(|((_, tabs), new)| tabs.written && *new);
                back.extend(again.map(|(((who, name), _), _)| {
                    ("join", room.clone(), who.clone(), name.clone())
                }));
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
                        taken.push(("leave", room.clone(), who, name));
                    }
                }
            }
            // The rooms that nobody has written for long are empty by then.
            let until = now().saturating_sub(LIFE);
            redis::cmd("ZREMRANGEBYSCORE").arg(ROOMS).arg("-inf").arg(until).exec(redis)?;
            Ok((back, taken))
        });
        let (back, mut taken) = match taken {
            Some(told) => told,
            None => return Vec::new(),
        };
        let written = state.here.values_mut().flat_map(|tabs| tabs.values_mut());
        written.for_each(|tabs| tabs.written = true);
        // Who came back at another process has not gone.
        taken.retain(|(_, room, who, _)| {
            !self.all(&mut state, room).iter().any(|(known, _)| known == who)
        });
        back.into_iter().chain(taken).collect()
    }

    fn connect(&self) -> Option<Connection> {
        let connected = self.client.get_connection_with_timeout(ANSWER).and_then(|connection| {
            connection.set_read_timeout(Some(ANSWER))?;
            connection.set_write_timeout(Some(ANSWER))?;
            Ok(connection)
        });
        connected.map_err(|error| log::warn!("nobody is written as here: {}", error)).ok()
    }

    /// Writes people of a room, all at once. Returns who of them was not there.
    fn write<'a>(
        &self,
        redis: &mut Connection,
        room: &str,
        people: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> RedisResult<Vec<bool>> {
        let end = now() + LIFE;
        let mut all = redis::pipe();
        all.cmd("ZADD").arg(ROOMS).arg(end).arg(room).ignore();
        for (who, name) in people {
            all.cmd("ZADD").arg(key(room)).arg(end).arg(self.entry(who, name));
        }
        all.query(redis)
    }

    fn entry(&self, who: &str, name: &str) -> String {
        [&self.process, who, name].join("\t")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Asks Redis something; `None` when it is away, or does not answer.
    fn ask<T>(&mut self, question: impl FnOnce(&mut Connection) -> RedisResult<T>) -> Option<T> {
        let result = question(self.connection.as_mut()?);
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
