//! The settings of the whole process: the relay, if there is one, and the bounds of topics.
//!
//! The lock is held to read and to change them, and may be taken while the registry's is held;
//! never the other way round.

use crate::error::Error;
use crate::ground::limits::Limits;
use crate::relay::adapter::{Counts, Outward};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

static PROCESS: Process = Process {
    state: Mutex::new(State { relay: None, bounds: None }),
    relayed: AtomicBool::new(false),
};

struct Process {
    state: Mutex<State>,
    /// Whether there is a relay. Changed under the lock, read without it.
    relayed: AtomicBool,
}

struct State {
    relay: Option<Arc<dyn Outward>>,
    /// `None` until a server is bound.
    bounds: Option<Bounds>,
}

/// The bounds of topics: the largest that any server of the process sets.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// Most topics of a session.
    pub per_session: usize,
    /// Longest name of a topic, in bytes.
    pub name: usize,
    /// Most bytes of messages that all topics together keep.
    pub keep: usize,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Bounds {
        let (per_session, name) = (limits.topics_per_session, limits.topic_name);
        Bounds { per_session, name, keep: limits.topics_keep }
    }
}

fn state() -> MutexGuard<'static, State> {
    PROCESS.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that a server is bound, and what it allows. Error: there is a relay and the server has no
/// keys of its own, so only this process would accept its cookies.
pub(crate) fn bind(has_keys: bool, limits: &Limits) -> Result<(), Error> {
    let mut state = state();
    if state.relay.is_some() && !has_keys {
        let how = "with a relay a server needs Server::session_keys, the same on every process";
        return Err(Error::Setting(how.to_string()));
    }
    let new = Bounds::from(limits);
    state.bounds = Some(state.bounds.map_or(new, |old| Bounds {
        per_session: old.per_session.max(new.per_session),
        name: old.name.max(new.name),
        keep: old.keep.max(new.keep),
    }));
    Ok(())
}

/// Returns the bounds of topics; those of the default limits while no server is bound.
pub(crate) fn bounds() -> Bounds {
    state().bounds.unwrap_or_else(|| Bounds::from(&Limits::default()))
}

/// Sets the relay, which then starts; `None` takes back one that could not. Error: there is one
/// already, or a server was bound before.
pub(crate) fn set_relay(relay: Option<Arc<dyn Outward>>) -> Result<(), Error> {
    let mut state = state();
    if relay.is_some() && state.relay.is_some() {
        return Err(Error::Setting("there is a relay already".to_string()));
    }
    if relay.is_some() && state.bounds.is_some() {
        return Err(Error::Setting("a relay is set before a server is bound".to_string()));
    }
    PROCESS.relayed.store(relay.is_some(), Ordering::Release);
    state.relay = relay;
    Ok(())
}

/// Returns whether there is a relay.
pub(crate) fn is_relayed() -> bool {
    PROCESS.relayed.load(Ordering::Relaxed)
}

/// Returns the relay, if there is one.
pub(crate) fn relay() -> Option<Arc<dyn Outward>> {
    state().relay.clone()
}

/// Returns how much has passed through the relay.
pub(crate) fn relay_counts() -> Counts {
    relay().map_or(Counts::default(), |relay| relay.counts())
}
