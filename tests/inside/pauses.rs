//! Points in the source at which a test can have a thread pause, to let another one pass it there, and
//! a system without room for further threads.

use std::cell::{Cell, RefCell};

type Pause = (&'static str, Box<dyn FnOnce()>);

thread_local! {
    static NEXT: RefCell<Option<Pause>> = const { RefCell::new(None) };
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Has this thread do something once when it comes to a point.
pub fn once(point: &'static str, pause: impl FnOnce() + 'static) {
    NEXT.with(|next| *next.borrow_mut() = Some((point, Box::new(pause))));
}

/// Called by the source at the point.
pub fn at(point: &str) {
    let next = NEXT.with(|next| {
        let is_it = next.borrow().as_ref().map_or(false, |(known, _)| *known == point);
        is_it.then(|| next.borrow_mut().take()).flatten()
    });
    if let Some((_, pause)) = next {
        pause();
    }
}

/// The thread that has this can start no other one.
pub struct Alone(());

impl Alone {
    pub fn from_here() -> Alone {
        ALONE.with(|alone| alone.set(true));
        Alone(())
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        ALONE.with(|alone| alone.set(false));
    }
}

/// Called by the source before it starts a thread.
pub fn is_alone() -> bool {
    ALONE.with(Cell::get)
}
