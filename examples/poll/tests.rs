//! The tests of the poll: a server, and browsers with cookies and tabs, in one process and without a
//! socket. Tests run at the same time, so each has users of its own.

use super::*;
use sockling::testing::{self, Browser, Tab};
use std::sync::atomic::{AtomicI64, Ordering};

fn poll() -> testing::Server {
    static FIRST: AtomicI64 = AtomicI64::new(1000);
    testing::Server::of(server(FIRST.fetch_add(PEOPLE.len() as i64, Ordering::Relaxed)))
}

fn log_in(poll: &testing::Server, name: &str, password: &str) -> Browser {
    let browser = poll.browser();
    let answer = browser.post("/login", format!("name={}&password={}", name, password));
    assert_eq!((answer.status(), answer.header("location")), (303, Some("/")));
    browser
}

/// Waits until a tab shows this state.
fn shows(tab: &Tab, state: &str) {
    while tab.receive() != state.into() {}
}

#[test]
fn only_people_who_have_logged_in_see_the_poll() {
    let poll = poll();
    let stranger = poll.browser();
    for path in ["/", "/votes"] {
        assert_eq!(stranger.get(path).header("location"), Some("/login"));
    }
    let answer = stranger.post("/login", "name=Ada&password=tower");
    assert_eq!(answer.header("location"), Some("/login?wrong"));
    assert!(log_in(&poll, "Ada", "engine").get("/").text().contains("<title>Poll</title>"));
}

#[test]
fn all_tabs_see_each_vote_and_who_is_here() {
    let poll = poll();
    let ada = log_in(&poll, "Ada", "engine");
    let (one, other) = (ada.websocket("/votes"), ada.websocket("/votes"));
    let bob = log_in(&poll, "Bob", "tower").websocket("/votes");
    // The last one is not the admin.
    for (tab, vote, votes) in [
        (&one, "tea", "1 tea\n0 coffee"),
        (&bob, "tea", "2 tea\n0 coffee"),
        (&other, "coffee", "1 tea\n1 coffee"),
        (&bob, "close", "1 tea\n1 coffee"),
    ] {
        tab.send(vote);
        let state = format!("open\n{}\n0 water\nhere Ada\nhere Bob", votes);
        [&one, &other, &bob].iter().for_each(|tab| shows(tab, &state));
    }
    drop(bob);
    shows(&one, "open\n1 tea\n1 coffee\n0 water\nhere Ada");
}

#[test]
fn the_admin_closes_the_poll_in_all_tabs() {
    let poll = poll();
    let ada = log_in(&poll, "Ada", "engine").websocket("/votes");
    let admin = log_in(&poll, "admin", "sesame").websocket("/votes");
    ada.send("tea");
    // Messages of two tabs have no order, so the admin waits for this one.
    shows(&admin, "open\n1 tea\n0 coffee\n0 water\nhere admin\nhere Ada");
    admin.send("close");
    let closed = "closed\n1 tea\n0 coffee\n0 water\nhere admin\nhere Ada";
    shows(&ada, closed);
    ada.send("coffee");
    shows(&ada, closed);
}

#[test]
fn a_voter_who_floods_and_does_not_read_has_one_vote() {
    let poll = poll();
    let ada = log_in(&poll, "Ada", "engine").websocket("/votes");
    let bob = log_in(&poll, "Bob", "tower").websocket("/votes");
    (0..1000).for_each(|_| bob.send("coffee"));
    assert_eq!(bob.closed(), CloseCode::POLICY_VIOLATION);
    ada.send("tea");
    shows(&ada, "open\n1 tea\n1 coffee\n0 water\nhere Ada");
}

#[test]
fn all_of_this_runs_in_20_threads_at_once() {
    let all = || {
        only_people_who_have_logged_in_see_the_poll();
        all_tabs_see_each_vote_and_who_is_here();
        the_admin_closes_the_poll_in_all_tabs();
        a_voter_who_floods_and_does_not_read_has_one_vote();
    };
    std::thread::scope(|scope| (0..20).for_each(|_| drop(scope.spawn(all))));
}
