//! `http::Files`: what of a directory is served, how it is described, and what never is. The rules of
//! conditions and ranges alone are in `inside/representation`.

mod loopback;

use loopback::wire::transports;
use loopback::{wait_until, Client, Running};
use sockling::http::Files;
use sockling::limits::Limits;
use sockling::prelude::*;
use sockling::testing::{self, Answer, Browser};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A directory that is removed at the end of the test. Below it, `public` is what is served.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name =
            format!("sockling-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Folder(std::env::temp_dir().join(name));
        fs::create_dir_all(folder.public()).expect("a new directory");
        folder
    }

    fn public(&self) -> PathBuf {
        self.0.join("public")
    }

    /// Writes a file, and makes the directories above it.
    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, content).expect("a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left there is no fault of the test.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn serve(files: Files) -> testing::Server {
    testing::Server::new(vec![Handler::new("/files/*", files)])
}

fn get(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = browser.request(Method::Get, path);
    fields.iter().fold(request, |request, (name, value)| request.header(name, value)).send()
}

/// Returns the entity tag of a file once it is strong, which takes a second after a change.
fn strong_tag(browser: &Browser, path: &str) -> String {
    let tag = || browser.get(path).header("etag").expect("a tag").to_string();
    wait_until("the tag is strong", || !tag().starts_with("W/"));
    tag()
}

/// The status of a name that Windows reserves: there the router refuses it.
const RESERVED: u16 = if cfg!(windows) { 400 } else { 404 };

/// Targets, each with the status of its answer.
const HOSTILE: &[(&str, u16, &str)] = &[
    // Up, and out.
    ("/files/../secret.txt", 400, "a dot segment"),
    ("/files/%2e%2e/secret.txt", 400, "encoded"),
    ("/files/.%2E/secret.txt", 400, "half encoded"),
    ("/files/%2e%2e%2fsecret.txt", 400, "with its slash"),
    ("/files/..%2Fsecret.txt", 400, "the slash alone"),
    ("/files/..%5csecret.txt", 400, "a backslash"),
    ("/files/..\\secret.txt", 400, "which is none of a URL's characters"),
    ("/files/docs/../../secret.txt", 400, "from below"),
    ("/files/docs/%2e%2e/hello.txt", 400, "even if it stays inside"),
    ("/files/./hello.txt", 400, "no other spelling of a path"),
    ("/files/%252e%252e/secret.txt", 404, "what is encoded twice is decoded once"),
    ("/files/..;/secret.txt", 404, "a parameter, as servlets know it"),
    ("/files/.../secret.txt", RESERVED, "three dots"),
    ("/files/%c0%ae%c0%ae/secret.txt", 400, "dots in overlong UTF-8"),
    ("/files/%u002e%u002e/secret.txt", 400, "dots as old IIS decoded them"),
    ("/files/%EF%BC%8E%EF%BC%8E/secret.txt", 404, "fullwidth dots"),
    ("/files//secret.txt", 400, "an empty segment"),
    ("/files//etc/passwd", 400, "an absolute path"),
    ("/files/%2Fetc%2Fpasswd", 400, "an encoded one"),
    ("/files/file:/etc/passwd", RESERVED, "a URL"),
    ("/files/~root/secret.txt", 404, "a home"),
    ("/files/$HOME/secret.txt", 404, "a variable"),
    // The end of a name.
    ("/files/hello.txt%00.html", 400, "NUL"),
    ("/files/hello.txt%0a", 400, "a line break"),
    ("/files/hello.txt/", 404, "a file is no directory"),
    ("/files/hello.txt/x", 404, "and has nothing in it"),
    ("/files/hello.txt.", RESERVED, "Windows drops the dot"),
    ("/files/hello.txt%20", RESERVED, "and the space"),
    ("/files/docs./", RESERVED, "of a directory, too"),
    ("/files/hello.txt::$DATA", RESERVED, "a stream"),
    ("/files/hello.txt:other", RESERVED, "another one"),
    ("/files/HELLO~1.TXT.", RESERVED, "a short name with a dot"),
    // Drives and devices.
    ("/files/C:/secret.txt", RESERVED, "a drive"),
    ("/files/c:secret.txt", RESERVED, "the current directory of a drive"),
    ("/files/C:%5Csecret.txt", 400, "with a backslash"),
    ("/files/%5C%5Chost%5Cshare", 400, "another host's files"),
    ("/files/NUL", RESERVED, "a device"),
    ("/files/con.txt", RESERVED, "whatever its extension"),
    ("/files/docs/COM1", RESERVED, "in any directory"),
    ("/files/com%C2%B9.log", RESERVED, "a superscript"),
    ("/files/CONIN$", RESERVED, "the console"),
    // Dots.
    ("/files/.env", 404, "a name with a dot"),
    ("/files/docs/.git/config", 404, "a directory with a dot"),
    ("/files/.git/", 404, "which has an index"),
    ("/files/.git", 404, "nor is it redirected to"),
    ("/files/.well-known/.env", 404, "below the exception"),
    ("/files/.WELL-KNOWN/acme.txt", 404, "another case"),
    // What there is, and is no file.
    ("/files/empty", 404, "a directory without an index"),
    ("/files/empty/", 404, "which is not listed"),
    ("/files/page/", 404, "an index that is a directory"),
    ("/files/nothing", 404, "nothing"),
];

/// Targets of what links lead to, and of what must not be opened. `None` is 404.
#[cfg(unix)]
const LINKS: &[(&str, Option<&str>, &str)] = &[
    ("/files/out.txt", None, "a link to a file outside"),
    ("/files/absolute.txt", None, "by its absolute path"),
    ("/files/twice.txt", None, "by way of a link inside"),
    ("/files/out/secret.txt", None, "through a link to a directory outside"),
    ("/files/out/", None, "its index"),
    ("/files/out", None, "no redirect to it"),
    ("/files/sibling/secret.txt", None, "a directory whose name begins with that of the root"),
    ("/files/linked/", None, "an index that is a link out"),
    ("/files/dangling", None, "a link to nothing"),
    ("/files/loop", None, "a link to itself"),
    ("/files/fifo", None, "a FIFO, which would wait for a writer"),
    ("/files/pipe/", None, "as an index"),
    ("/files/socket", None, "a socket"),
    ("/files/device", None, "a link to a device"),
    ("/files/inside.txt", Some("0123456789"), "a link that stays inside"),
    ("/files/out/public/hello.txt", Some("0123456789"), "out and in again"),
    ("/files/up/hello.txt", Some("0123456789"), "by way of the root"),
    ("/files/mounted.txt", Some("data"), "by way of names with a dot, as in Kubernetes' volumes"),
];

fn hostile_folder() -> Folder {
    let folder = Folder::new();
    for (path, content) in [
        ("secret.txt", "secret"),
        ("index.html", "secret"),
        ("public-2/secret.txt", "secret"),
        ("public/hello.txt", "0123456789"),
        ("public/docs/index.html", "docs"),
        ("public/docs/.git/config", "secret"),
        ("public/.git/index.html", "secret"),
        ("public/.env", "secret"),
        ("public/.well-known/.env", "secret"),
        ("public/.well-known/acme.txt", "acme"),
        ("public/empty/other.html", "other"),
        ("public/page/index.html/index.html", "page"),
    ] {
        folder.write(path, content);
    }
    // On other systems than Windows these can be files.
    #[cfg(not(windows))]
    for name in ["hello.txt.", "hello.txt ", "hello.txt::$DATA", "c:secret.txt", "NUL", "con.txt"] {
        folder.write(&format!("public/{}", name), "secret");
    }
    folder
}

#[test]
fn a_hostile_path_never_leads_out_of_the_directory() {
    let folder = hostile_folder();
    let server =
        Running::start(Server::new(vec![route!("/files/*" => Files::new(folder.public()))]));
    let long = format!("/files/{}", "a".repeat(300));
    let deep = format!("/files/{}", "a/".repeat(3000));
    let lengths = [(&*long, 404, "a name that is too long"), (&*deep, 404, "a path that is")];
    for (target, status, gloss) in HOSTILE.iter().copied().chain(lengths) {
        let reply = Client::connect(server.address).get(target, "");
        assert_eq!(reply.status, status, "{}: {}", target, gloss);
        assert!(!reply.text().contains("secret") && reply.header("location").is_none());
    }
    // What is to be served is, so the rows above are refused for their own sake.
    for (target, body) in [
        ("/files/hello.txt", "0123456789"),
        ("/files/%68ello.txt?..", "0123456789"),
        ("http://localhost/files/hello.txt", "0123456789"),
        ("/files/docs/", "docs"),
        ("/files/.well-known/acme.txt", "acme"),
    ] {
        let reply = Client::connect(server.address).get(target, "");
        assert_eq!((reply.status, reply.text()), (200, body), "{}", target);
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_only_inside_and_nothing_but_a_file_is_opened() {
    use std::os::unix::fs::symlink;
    use std::path::Path;
    let folder = hostile_folder();
    let public = folder.public();
    let outside = folder.0.join("secret.txt");
    folder.write("public/..data/mounted.txt", "data");
    for name in ["linked", "pipe"] {
        fs::create_dir(public.join(name)).expect("a directory");
    }
    for (to, name) in [
        (Path::new("../secret.txt"), "out.txt"),
        (&*outside, "absolute.txt"),
        (Path::new("out.txt"), "twice.txt"),
        (Path::new(".."), "out"),
        (Path::new("../public-2"), "sibling"),
        (Path::new("../../secret.txt"), "linked/index.html"),
        (Path::new("gone"), "dangling"),
        (Path::new("loop"), "loop"),
        (Path::new("/dev/zero"), "device"),
        (Path::new("../public/hello.txt"), "inside.txt"),
        (Path::new("."), "up"),
        (Path::new("..data/mounted.txt"), "mounted.txt"),
    ] {
        symlink(to, public.join(name)).expect("a link");
    }
    let _socket = std::os::unix::net::UnixListener::bind(public.join("socket")).expect("a socket");
    for name in ["fifo", "pipe/index.html"] {
        let made = std::process::Command::new("mkfifo").arg(public.join(name)).status();
        assert!(made.expect("mkfifo").success());
    }
    let server = serve(Files::new(public));
    let browser = server.browser();
    for (target, content, gloss) in LINKS {
        let answer = browser.get(target);
        match content {
            None => assert_eq!(answer.status(), 404, "{}: {}", target, gloss),
            Some(content) => {
                assert_eq!((answer.status(), answer.text()), (200, *content), "{}", target)
            }
        }
    }
}

// Other systems do not tell the path of an open file.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn a_directory_that_is_exchanged_for_a_link_meanwhile_leads_to_nothing_outside() {
    use std::os::unix::fs::symlink;
    use std::path::Path;
    let folder = Folder::new();
    folder.write("secrets/a.txt", "secret");
    folder.write("public/a/a.txt", "inside");
    let [place, directory, link] = ["a", "b", "c"].map(|name| folder.public().join(name));
    symlink("../secrets", &link).expect("a link");
    let server = serve(Files::new(folder.public()));
    let browser = server.browser();
    std::thread::scope(|scope| {
        let exchange = scope.spawn(|| {
            let rename = |from: &Path, to: &Path| fs::rename(from, to).expect("a rename");
            for _ in 0..5000 {
                rename(&place, &directory);
                rename(&link, &place);
                rename(&place, &link);
                rename(&directory, &place);
            }
        });
        while !exchange.is_finished() {
            let answer = browser.get("/files/a/a.txt");
            let inside = (answer.status(), answer.text()) == (200, "inside");
            assert!(inside || answer.status() == 404, "{:?}", answer);
        }
    });
    assert_eq!(browser.get("/files/a/a.txt").text(), "inside");
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_not_found() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let file = folder.write("public/a.txt", "text");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o0)).expect("a mode");
    // The administrator may read everything.
    let expected = if fs::read(&file).is_ok() { 200 } else { 404 };
    let server = serve(Files::new(folder.public()));
    assert_eq!(server.browser().get("/files/a.txt").status(), expected);
}

#[test]
fn a_directory_that_does_not_exist_yet_is_not_found() {
    let folder = Folder::new();
    let server = serve(Files::new(folder.0.join("later")));
    let browser = server.browser();
    assert_eq!(browser.get("/files/a.txt").status(), 404);
    assert_eq!(browser.get("/files/").status(), 404);
    folder.write("later/a.txt", "text");
    assert_eq!(browser.get("/files/a.txt").text(), "text");
    // Nor is a file a directory.
    let file =
        testing::Server::new(vec![Handler::get("/*", Files::new(folder.0.join("later/a.txt")))]);
    assert_eq!(file.browser().get("/").status(), 404);
    assert_eq!(file.browser().get("/a.txt").status(), 404);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_release_may_be_switched_between_requests() {
    let folder = Folder::new();
    folder.write("1/a.txt", "one");
    folder.write("2/a.txt", "two");
    let switch = |to: &str| {
        std::os::unix::fs::symlink(to, folder.0.join("next")).expect("a link");
        fs::rename(folder.0.join("next"), folder.0.join("current")).expect("a rename");
    };
    switch("1");
    let server = serve(Files::new(folder.0.join("current")));
    let browser = server.browser();
    assert_eq!(browser.get("/files/a.txt").text(), "one");
    switch("2");
    assert_eq!(browser.get("/files/a.txt").text(), "two");
}

#[test]
fn a_directory_is_redirected_to_its_slash_and_answered_with_its_index() {
    let folder = Folder::new();
    folder.write("public/index.html", "<p>home");
    folder.write("public/docs/index.html", "<p>docs");
    folder.write("public/\u{fc} %2F+&/index.html", "<p>odd");
    let files = Files::new(folder.public());
    let routes = vec![Handler::get("/files/*", files.clone()), Handler::get("/*", files)];
    let server = testing::Server::new(routes);
    let browser = server.browser();
    for (path, location) in [
        ("/files/docs", "/files/docs/"),
        ("/docs", "/docs/"),
        ("/files/docs?a=/../b%20c&d=//e", "/files/docs/?a=/../b%20c&d=//e"),
        ("/files/docs?", "/files/docs/"),
        ("/files/%64ocs", "/files/docs/"),
        ("http://localhost/docs", "/docs/"),
        ("/files/%C3%BC%20%252F+%26", "/files/%C3%BC%20%252F%2B%26/"),
    ] {
        let answer = browser.get(path);
        assert_eq!((answer.status(), answer.header("location")), (308, Some(location)), "{}", path);
    }
    for (path, page) in [
        ("/files/", "<p>home"),
        ("/", "<p>home"),
        ("/files/docs/", "<p>docs"),
        ("/files/docs/index.html", "<p>docs"),
        ("/files/%C3%BC%20%252F%2B%26/", "<p>odd"),
    ] {
        let answer = browser.get(path);
        assert_eq!((answer.status(), answer.text()), (200, page), "{}", path);
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{}", path);
    }
    // `/files` is not below the route.
    assert_eq!(browser.get("/files").status(), 404);
}

#[test]
fn only_get_and_head_are_allowed() {
    let folder = Folder::new();
    folder.write("public/a.txt", "text");
    let server = serve(Files::new(folder.public()));
    let browser = server.browser();
    for method in [Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Options] {
        for path in ["/files/a.txt", "/files/gone"] {
            let answer = browser.request(method, path).send();
            assert_eq!((answer.status(), answer.header("allow")), (405, Some("GET, HEAD")));
        }
    }
    assert_eq!(browser.request(Method::Head, "/files/a.txt").send().status(), 200);
    assert_eq!(browser.request(Method::Head, "/files/gone").send().status(), 404);
}

#[test]
fn an_answer_describes_the_file_and_its_part() {
    let folder = Folder::new();
    folder.write("public/fw.bin", "0123456789");
    let server = testing::Server::new(vec![
        route!("/files/*" => Files::new(folder.public()).cache_control("no-cache").header("X-A", "b")),
    ]);
    let browser = server.browser();
    let tag = strong_tag(&browser, "/files/fw.bin");

    let whole = browser.get("/files/fw.bin");
    assert_eq!((whole.status(), whole.text()), (200, "0123456789"));
    let modified = whole.header("last-modified").expect("a time").to_string();
    assert!(modified.ends_with(" GMT") && modified.len() == 29, "{}", modified);
    let part = get(&browser, "/files/fw.bin", &[("Range", "bytes=2-4"), ("If-Range", &tag)]);
    assert_eq!((part.status(), part.text()), (206, "234"));
    assert_eq!(part.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!(part.header("content-length"), Some("3"));
    let head = browser.request(Method::Head, "/files/fw.bin").header("Range", "bytes=2-4").send();
    assert_eq!((head.status(), head.content()), (200, &b""[..]));
    for answer in [&whole, &part, &head] {
        for (name, value) in [
            ("content-type", "application/octet-stream"),
            ("x-content-type-options", "nosniff"),
            ("accept-ranges", "bytes"),
            ("cache-control", "no-cache"),
            ("x-a", "b"),
            ("etag", &tag),
            ("last-modified", &modified),
        ] {
            assert_eq!(answer.header(name), Some(value), "{:?} {}", answer, name);
        }
    }
    for answer in [&whole, &head] {
        assert_eq!(answer.header("content-length"), Some("10"));
        assert_eq!(answer.header("content-range"), None);
    }

    for (name, value) in [("If-None-Match", &tag), ("If-Modified-Since", &modified)] {
        for method in [Method::Get, Method::Head] {
            let known = browser.request(method, "/files/fw.bin").header(name, value).send();
            assert_eq!((known.status(), known.content()), (304, &b""[..]), "{}", name);
            assert_eq!(known.header("etag"), Some(&*tag));
            assert_eq!(known.header("cache-control"), Some("no-cache"));
            assert_eq!(known.header("content-type"), None);
        }
    }
    let failed = get(&browser, "/files/fw.bin", &[("If-Match", "\"x\"")]);
    assert_eq!((failed.status(), failed.text()), (412, "412 Precondition Failed\n"));
    let beyond = get(&browser, "/files/fw.bin", &[("Range", "bytes=10-")]);
    assert_eq!((beyond.status(), beyond.content()), (416, &b""[..]));
    assert_eq!(beyond.header("content-range"), Some("bytes */10"));

    // A condition does not matter where there is no file (RFC 9110, 13.2.1).
    assert_eq!(get(&browser, "/files/gone", &[("If-Match", "*")]).status(), 404);
    assert_eq!(get(&browser, "/files/gone", &[("If-None-Match", "*")]).status(), 404);

    // A resumed download of a file that was changed meanwhile begins anew.
    fs::write(folder.public().join("fw.bin"), "abcdefghij").expect("a file");
    let resumed = get(&browser, "/files/fw.bin", &[("Range", "bytes=5-"), ("If-Range", &tag)]);
    assert_eq!((resumed.status(), resumed.text()), (200, "abcdefghij"));
}

#[test]
fn an_empty_file_is_sent_whole_whatever_the_range() {
    let folder = Folder::new();
    folder.write("public/empty.txt", "");
    let server = serve(Files::new(folder.public()));
    let browser = server.browser();
    for fields in [&[][..], &[("Range", "bytes=0-")], &[("Range", "bytes=-5")]] {
        let answer = get(&browser, "/files/empty.txt", fields);
        assert_eq!((answer.status(), answer.content()), (200, &b""[..]));
        assert_eq!(answer.header("content-length"), Some("0"));
    }
}

#[test]
fn the_version_changes_every_tag_and_dotfiles_are_served_on_request() {
    let folder = Folder::new();
    folder.write("public/a.txt", "text");
    folder.write("public/.env", "text");
    let routes = vec![
        Handler::get("/1/*", Files::new(folder.public()).version("1")),
        Handler::get("/2/*", Files::new(folder.public()).version("2 \"beta\"").dotfiles(true)),
    ];
    let server = testing::Server::new(routes);
    let browser = server.browser();
    let (one, two) = (strong_tag(&browser, "/1/a.txt"), strong_tag(&browser, "/2/a.txt"));
    assert_ne!(one, two);
    assert_eq!(get(&browser, "/2/a.txt", &[("If-None-Match", &one)]).status(), 200);
    assert_eq!(get(&browser, "/2/a.txt", &[("If-None-Match", &two)]).status(), 304);
    assert_eq!(browser.get("/1/.env").status(), 404);
    assert_eq!(browser.get("/2/.env").status(), 200);
    assert_eq!(browser.get("/2/.env/").status(), 404);
}

/// More than the buffers of a connection hold.
const LARGE: u64 = 64 << 20;

#[test]
fn a_file_that_grows_is_cut_and_one_that_shrinks_ends_the_connection() {
    let folder = Folder::new();
    let path = folder.write("public/log.txt", "");
    let file = OpenOptions::new().append(true).open(&path).expect("a file");
    let server = Running::start(
        Server::new(vec![route!("/files/*" => Files::new(folder.public()))])
            .limits(Limits::small()),
    );
    let begin = || {
        file.set_len(LARGE).expect("room");
        let mut client = Client::connect(server.address);
        client.send(b"GET /files/log.txt HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let reply = client.reply_to("HEAD");
        assert_eq!(reply.header("content-length"), Some(&*LARGE.to_string()), "{}", reply.head);
        client
    };

    let mut growing = begin();
    (&file).write_all(b"more").expect("room");
    assert!(growing.bytes(LARGE as usize).iter().all(|byte| *byte == 0));
    assert_eq!(growing.get("/files/gone", "").status, 404);

    let mut shrinking = begin();
    file.set_len(0).expect("a shorter file");
    assert!((shrinking.read_to_end().len() as u64) < LARGE);
}

transports! {
    all {
        a_hostile_path_never_leads_out_of_the_directory
        a_link_is_followed_only_inside_and_nothing_but_a_file_is_opened
        a_directory_that_is_exchanged_for_a_link_meanwhile_leads_to_nothing_outside
        a_file_that_may_not_be_read_is_not_found
        a_directory_that_does_not_exist_yet_is_not_found
        a_link_to_a_release_may_be_switched_between_requests
        a_directory_is_redirected_to_its_slash_and_answered_with_its_index
        only_get_and_head_are_allowed
        an_answer_describes_the_file_and_its_part
        an_empty_file_is_sent_whole_whatever_the_range
        the_version_changes_every_tag_and_dotfiles_are_served_on_request
        a_file_that_grows_is_cut_and_one_that_shrinks_ends_the_connection
    }
}
