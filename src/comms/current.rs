//! Which WebSocket this thread serves.

use crate::comms::recipients::Members;
use crate::net::outbox::Outbox;
use crate::session::id::SessionId;
use std::cell::RefCell;
use std::sync::Arc;

#[derive(Clone)]
pub(crate) enum Here {
    /// It is in the map; the list has it alone.
    Open(SessionId, Members),
    /// It has left the map, as the last of its session or not.
    Left { last: bool },
}

thread_local! {
    static HERE: RefCell<Option<Here>> = const { RefCell::new(None) };
}

/// Returns the WebSocket that this thread serves.
pub(crate) fn here() -> Option<Here> {
    HERE.try_with(|here| here.borrow().clone()).ok().flatten()
}

/// Says which WebSocket this thread serves from here on.
pub(crate) fn serve(new: Option<Here>) {
    // Fails near the end of the thread, when nobody is served any more.
    let _ = HERE.try_with(|here| *here.borrow_mut() = new);
}

/// Notes that a WebSocket has left the map, if this thread serves it.
pub(crate) fn left(outbox: &Arc<Outbox>, last: bool) {
    match here() {
        Some(Here::Open(_, one)) if one.iter().any(|one| Arc::ptr_eq(&one.outbox, outbox)) => {
            serve(Some(Here::Left { last }));
        }
        _ => {}
    }
}
