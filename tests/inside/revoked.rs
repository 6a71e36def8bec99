//! The list of ended logins: bounded, and never at the price of a login that comes back.

use super::pauses;
use super::threads::outbox;
use crate::comms::dispatch::{end_login, To};
use crate::comms::registry::{join, outboxes, NotJoined};
use crate::ground::limits::{REVOKED, REVOKED_PER_USER, SESSION_LIFE};
use crate::session::cookie::{Session, SessionCookie};
use crate::session::id::SessionId;
use crate::session::keys::SessionKeys;
use crate::session::revoked::{self, Ended, Revoked};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const LIFE: u64 = SESSION_LIFE * 1000;

/// Returns a login of a user that was issued at this time.
fn login(user: i64, issued: u64) -> Session {
    let mut login = [0; 16];
    login[..8].copy_from_slice(&user.to_be_bytes());
    login[8..].copy_from_slice(&issued.to_be_bytes());
    Session { id: SessionId::Authenticated(user), login, issued }
}

fn end(revoked: &mut Revoked, session: &Session, now: u64) -> Ended {
    revoked.end(&session.id, Ended::Login(session.login, session.issued), now)
}

#[test]
fn a_ninth_ended_login_ends_every_login_of_the_user_up_to_the_latest_of_the_nine() {
    let mut revoked = Revoked::default();
    let now = 1_000_000;
    let (other_browser, stranger) = (login(7, 3), login(8, 3));
    for issued in 10..10 + REVOKED_PER_USER as u64 {
        let session = login(7, issued);
        assert_eq!(end(&mut revoked, &session, now), Ended::Login(session.login, issued));
        assert!(revoked.has(&session) && !revoked.has(&other_browser));
    }
    // Issued before some of the others: the mark is at the latest, not at the last.
    let ninth = end(&mut revoked, &login(7, 5), now);
    let latest = 10 + REVOKED_PER_USER as u64 - 1;
    assert_eq!(ninth, Ended::UpTo(latest));
    assert!((0..=latest).all(|issued| revoked.has(&login(7, issued))));
    assert!(!revoked.has(&login(7, latest + 1)), "a later login stays");
    assert!(revoked.has(&other_browser) && !revoked.has(&stranger));
    // What a mark covers needs no entry, and nothing lowers the mark.
    for ended in [Ended::Login([9; 16], 2), Ended::UpTo(2)] {
        revoked.end(&SessionId::from(7), ended, now);
        assert!(revoked.has(&login(7, latest)) && !revoked.has(&login(7, latest + 1)));
    }
    // A mark from another process takes the place of what it covers.
    end(&mut revoked, &login(7, latest + 20), now);
    revoked.end(&SessionId::from(7), Ended::UpTo(latest + 10), now);
    assert!(revoked.has(&login(7, latest + 10)) && revoked.has(&login(7, latest + 20)));
    assert!(!revoked.has(&login(7, latest + 11)));
}

#[test]
fn a_login_is_issued_after_what_was_ended_by_time_also_when_the_clock_went_back() {
    let mut revoked = Revoked::default();
    assert_eq!(revoked.issue_time(7, 1000), 1000);
    end(&mut revoked, &login(7, 1000), 1000);
    assert_eq!(revoked.issue_time(7, 1000), 1000, "single entries name their login");
    revoked.end(&SessionId::from(7), Ended::UpTo(1000), 1000);
    for now in [0, 999, 1000, 1001] {
        let issued = revoked.issue_time(7, now);
        assert!(issued > 1000 && !revoked.has(&login(7, issued)), "at {}", now);
    }
    assert_eq!((revoked.issue_time(7, 2000), revoked.issue_time(8, 1)), (2000, 1));
    revoked.end(&SessionId::from(7), Ended::UpTo(u64::MAX), 1000);
    assert_eq!(revoked.issue_time(7, 1), u64::MAX, "no overflow");
}

#[test]
fn a_full_list_ends_more_logins_of_users_and_forgets_none_that_was_ended() {
    let mut revoked = Revoked::default();
    let now = 5_000_000;
    let users: Vec<Session> =
        (0..REVOKED as i64).map(|user| login(user, 1000 + user as u64)).collect();
    for session in &users {
        end(&mut revoked, session, now);
    }
    let bystander = login(-1, 1000);
    let late = login(-2, 1001);
    assert!(users.iter().all(|session| revoked.has(session)) && !revoked.has(&bystander));
    // One too many: that which was issued first makes room, whatever the order they were ended in.
    let more = login(-3, 900_000);
    end(&mut revoked, &more, now);
    assert!(users.iter().chain([&more]).all(|session| revoked.has(session)));
    assert!(revoked.has(&bystander), "issued no later than what was dropped");
    assert!(!revoked.has(&late), "issued later");
    assert_eq!(revoked.issue_time(-1, 3), 1001, "a login works all the same");
    // An old login that is ended later is covered at once.
    let old = login(-4, 5);
    end(&mut revoked, &old, now);
    assert!(revoked.has(&old) && !revoked.has(&late));
    // With their cookies the entries go, and nothing has to be ended for room.
    let later = now + LIFE;
    for user in 0..REVOKED as i64 {
        end(&mut revoked, &login(user, later), later);
    }
    assert!(!revoked.has(&late) && !revoked.has(&login(1, 1001)), "their cookies have expired");
    assert!(revoked.has(&login(1, later)));
}

#[test]
fn guests_take_no_room_from_users_and_the_oldest_of_them_goes_first() {
    let mut revoked = Revoked::default();
    let user = login(7, 1);
    end(&mut revoked, &user, 1);
    let keys = SessionKeys::random().expect("entropy");
    let cookie = SessionCookie { name: "s".to_string(), secure: false, keys };
    let guests: Vec<Session> = (0..=REVOKED).map(|_| cookie.guest()).collect();
    for guest in &guests {
        end(&mut revoked, guest, 2);
    }
    assert!(!revoked.has(&guests[0]) && guests[1..].iter().all(|guest| revoked.has(guest)));
    assert!(revoked.has(&user) && !revoked.has(&login(8, 1)));
    end(&mut revoked, &guests[0], 2 + LIFE);
    assert!(revoked.has(&guests[0]) && !revoked.has(&guests[REVOKED]), "it has expired");
}

/// Returns whether a session has a WebSocket in the map, and it was not closed.
fn is_open(id: &SessionId) -> bool {
    let open = outboxes(id);
    open.map_or(false, |open| open.iter().any(|outbox| !outbox.is_closing()))
}

#[test]
fn a_login_that_ends_while_its_websocket_opens_finds_it_in_the_map() {
    let session = login(7_000_001, 1);
    let ended = Ended::Login(session.login, session.issued);
    let (tell, told) = channel();
    let ender = {
        let id = session.id;
        std::thread::spawn(move || {
            told.recv().expect("it opens");
            end_login(To::Everywhere, id, ended, "logged out");
        })
    };
    let paused = session;
    pauses::once("asked whether the login has ended", move || {
        tell.send(()).expect("the other thread waits");
        // All that can happen before the WebSocket is in the map is given time to happen.
        let end = Instant::now() + Duration::from_secs(1);
        while !revoked::is_ended(&paused) && Instant::now() < end {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(20));
    });
    let (outbox, _) = outbox(session, Vec::new());
    let registration = join(&outbox, 0);
    assert!(registration.is_ok(), "it had not ended when that was asked");
    ender.join().expect("no panic");
    assert!(!is_open(&session.id), "nobody will close it");
}

#[test]
fn a_websocket_that_opens_while_its_login_ends_finds_it_on_the_list() {
    let session = login(7_000_002, 1);
    let ended = Ended::Login(session.login, session.issued);
    let opening = session;
    let (tell, told) = channel();
    pauses::once("the login is on the list", move || {
        let (outbox, _) = outbox(opening, Vec::new());
        // Kept, as a conversation keeps it.
        tell.send(join(&outbox, 0)).expect("the test waits");
    });
    end_login(To::Everywhere, session.id, ended, "logged out");
    let joined = told.recv().expect("it tried");
    assert!(matches!(joined, Err(NotJoined::Revoked)) && !is_open(&session.id));
}
