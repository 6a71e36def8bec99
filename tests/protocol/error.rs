//! The status and the close code that a client receives for each error.

use crate::{chunked, head, message};
use sockling::http::ResponseError;
use sockling::net::Peer;
use sockling::websocket::{CloseCode, CloseError, Refusal, Violation};
use sockling::Error;
use std::collections::HashSet;
use std::io;
use std::net::IpAddr;

#[test]
fn each_error_of_a_client_maps_to_its_status() {
    for (error, status) in head::STATUSES {
        assert_eq!(Error::from(*error).status(), *status, "{}", error);
    }
    for (error, status) in chunked::STATUSES {
        assert_eq!(Error::from(*error).status(), *status, "{}", error);
    }
    assert_eq!(Error::from(Refusal::Origin).status(), 403);
    assert_eq!(Error::Token.status(), 400);
}

#[test]
fn each_error_of_a_client_maps_to_its_close_code() {
    for (violation, code) in message::CLOSE_CODES {
        assert_eq!(Error::from(*violation).close_code(), CloseCode(*code), "{}", violation);
    }
}

#[test]
fn all_other_errors_map_to_500_and_1011() {
    let errors = [
        Error::from(CloseError::Code),
        Error::from(ResponseError::Status(0)),
        Error::from(io::Error::from(io::ErrorKind::BrokenPipe)),
        Error::from("a text"),
        Error::from("a text".to_string()),
        Error::other("a text"),
        Error::Full { peer: Peer::from(IpAddr::from([127, 0, 0, 1])), waiting: 1, closed: true },
        Error::Parameter("name".to_string()),
        Error::Key,
        Error::Setting("a setting".to_string()),
    ];
    for error in errors {
        assert_eq!((error.status(), error.close_code()), (500, CloseCode(1011)), "{}", error);
    }
    // An error of one protocol has no code of its own in the other.
    assert_eq!(Error::from(Violation::TooBig).status(), 500);
    assert_eq!(Error::from(Refusal::Key).close_code(), CloseCode(1011));
}

#[test]
fn each_error_has_a_distinct_text_of_one_short_line() {
    let heads = head::STATUSES.iter().map(|(error, _)| error.to_string());
    let chunks = chunked::STATUSES.iter().map(|(error, _)| error.to_string());
    let violations = message::CLOSE_CODES.iter().map(|(violation, _)| violation.to_string());
    let texts: Vec<String> = heads.chain(chunks).chain(violations).collect();
    assert_eq!(texts.iter().collect::<HashSet<_>>().len(), texts.len());
    for text in texts {
        // It becomes the reason of a Close frame and part of a log line.
        assert!(!text.is_empty() && text.len() <= 123 && !text.contains('\n'), "{:?}", text);
    }
}
