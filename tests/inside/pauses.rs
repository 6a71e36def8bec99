//! Points in the source at which a test can have a thread pause, to let another one pass it there.

use std::cell::RefCell;

type Pause = (&'static str, Box<dyn FnOnce()>);

thread_local! {
    static NEXT: RefCell<Option<Pause>> = const { RefCell::new(None) };
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
