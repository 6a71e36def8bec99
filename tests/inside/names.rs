//! Names in a path that Windows does not read as those of files: refused there, on any system here.

use super::served::serve_with;
use super::{Script, Stub};
use crate::ground::limits::Limits;
use crate::http::target::is_reserved_on_windows;
use crate::http::{Handler, Request, Response};
use crate::server::route::Router;

/// What the row shows, the segment, and whether Windows reads it as something else than a file of
/// this name.
const NAMES: &[(&str, &str, bool)] = &[
    ("nothing, as behind the last slash", "", false),
    ("a name", "a.txt", false),
    ("a hidden name", ".git", false),
    ("a space inside", "a b", false),
    ("a short name, which leads to no other folder", "PROGRA~1", false),
    ("a drive", "C:", true),
    ("a path on a drive", "c:x", true),
    ("a stream", "a:b", true),
    ("the unnamed stream", "a.txt::$DATA", true),
    ("a colon alone", ":", true),
    ("the name that Windows makes of a dot at the end", "a.txt.", true),
    ("a space at the end", "a.txt ", true),
    ("dots and spaces at the end", "a. . ", true),
    ("dots alone", "...", true),
    ("a space alone", " ", true),
    ("a device", "NUL", true),
    ("a device in small letters", "nul", true),
    ("a device with an ending", "Nul.tar.gz", true),
    ("a device, a space and an ending", "NUL .txt", true),
    ("a space before a device", " NUL", true),
    ("the console", "CON", true),
    ("its input", "CONIN$", true),
    ("its output", "conout$.txt", true),
    ("the printer", "PRN", true),
    ("the auxiliary device", "AUX", true),
    ("the clock", "CLOCK$", true),
    ("a serial port", "COM1", true),
    ("a serial port with an ending", "COM1.txt", true),
    ("the last one", "com9", true),
    ("number 0, which is reserved too", "COM0", true),
    ("a printer port", "LPT1", true),
    ("a superscript one", "COM\u{b9}", true),
    ("a superscript two", "lpt\u{b2}.x", true),
    ("a superscript three", "COM\u{b3}", true),
    ("a superscript four, which is no port", "COM\u{2074}", false),
    ("two digits", "COM10", false),
    ("no digit", "COM", false),
    ("a letter for the digit", "COMA", false),
    ("a longer name", "NULL", false),
    ("a device as an ending", "a.NUL", false),
    ("letters of more than one byte", "c\u{f6}m1", false),
    ("a letter of more than one byte where the number stands", "CO\u{20ac}", false),
];

#[test]
fn a_name_that_windows_reads_as_a_drive_a_stream_a_device_or_another_name_is_reserved() {
    for (gloss, name, reserved) in NAMES {
        assert_eq!(is_reserved_on_windows(name), *reserved, "{}: {:?}", gloss, name);
    }
}

/// Sends the bytes to a server on Windows, or on another system, and returns its answers.
fn answers(windows: bool, bytes: &[u8]) -> String {
    let text = |name: &'static str| {
        move |request: &Request| Ok(Response::new().text(request.parameter(name)?))
    };
    let routes = vec![
        Handler::new("/files/*", text("*")),
        Handler::new("/page/:name", text("name")),
        Handler::new("/NUL", |_: &Request| Ok(Response::new().text("routed"))),
    ];
    let mut router = Router::new(routes).expect("good patterns");
    router.windows = windows;
    let stub = Stub::new(Script { input: bytes.to_vec().into(), ..Script::default() });
    serve_with(&stub, router, Limits::default());
    let output = stub.script().output.clone();
    String::from_utf8(output).expect("text")
}

#[test]
fn a_reserved_name_in_place_of_a_star_or_a_parameter_is_400_on_windows_alone() {
    for (target, reserved, text) in [
        ("/files/C:/x", true, "C:/x"),
        ("/files/a/NUL", true, "a/NUL"),
        ("/files/a/COM1.txt/b", true, "a/COM1.txt/b"),
        ("/files/Talk:Rust", true, "Talk:Rust"),
        ("/files/a./", true, "a./"),
        ("/files/%43%3a", true, "C:"),
        ("/files/a/", false, "a/"),
        ("/files/", false, ""),
        ("/page/C:", true, "C:"),
        ("/page/Rust", false, "Rust"),
        // The pattern's own words are the application's.
        ("/NUL", false, "routed"),
    ] {
        let head = format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", target);
        for windows in [false, true] {
            let answers = answers(windows, head.as_bytes());
            let refused = windows && reserved;
            let status = if refused { "HTTP/1.1 400 " } else { "HTTP/1.1 200 " };
            assert!(answers.starts_with(status), "{}: {}", target, answers);
            let body = if refused { "400 Bad Request\n" } else { text };
            assert!(answers.ends_with(&format!("\r\n\r\n{}", body)), "{}: {}", target, answers);
        }
    }
}

#[test]
fn the_body_of_a_request_for_a_reserved_name_is_not_asked_for() {
    let head = "POST /files/NUL HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\
                Content-Length: 1\r\n\r\nx";
    assert!(answers(false, head.as_bytes()).starts_with("HTTP/1.1 100 "));
    assert!(answers(true, head.as_bytes()).starts_with("HTTP/1.1 400 "));
}
