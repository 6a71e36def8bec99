//! Serves the files of a directory: the path of a request becomes a file inside it, or a 404.
//!
//! Paths are not trusted, and neither are links. The name is checked first, then the path is
//! resolved, and what it resolves to must be inside the directory, which is resolved too. The type
//! is looked at before the file is opened, since opening a FIFO waits for a writer, and once more on
//! the open file.

use crate::error::Error;
use crate::ground::logger::log_line;
use crate::ground::system::{is_same_file, path_of, unix_nanos, WINDOWS_NAMES};
use crate::http::head::Method;
use crate::http::representation::{media_type, Representation, Selected};
use crate::http::response::Response;
use crate::http::target::{is_reserved_on_windows, percent_encode};
use crate::server::controller::Controller;
use crate::server::request::Request;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Serves the files of a directory to GET and HEAD, as the controller of a route that ends in `/*`.
///
/// ```
/// use sockling::http::Files;
/// use sockling::prelude::*;
///
/// let directory = std::env::temp_dir().join(format!("sockling-example-{}", std::process::id()));
/// std::fs::create_dir_all(&directory)?;
/// std::fs::write(directory.join("index.html"), "<p>hey")?;
/// std::fs::write(directory.join("fw.bin"), [0, 1, 2, 3])?;
///
/// let files = Files::new(&directory)
///     .cache_control("no-cache") // browsers ask each time whether they have the latest
///     .version("2.4.1") // of the firmware, whose files all have one time
///     .header("Content-Security-Policy", "default-src 'self'")
///     .dotfiles(false);
/// let routes = vec![route!("/files/*" => files.clone()), Handler::get("/app/*", files)];
///
/// let server = sockling::testing::Server::new(routes);
/// let browser = server.browser();
/// let page = browser.get("/app/");
/// assert_eq!((page.status(), page.text()), (200, "<p>hey"));
/// assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
///
/// let rest = browser.request(Method::Get, "/files/fw.bin").header("Range", "bytes=2-").send();
/// assert_eq!((rest.status(), rest.content()), (206, &[2, 3][..]));
/// assert_eq!(browser.get("/files/fw.bin/").status(), 404);
/// assert_eq!(browser.post("/files/fw.bin", "").status(), 405);
/// std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Error>(())
/// ```
///
/// # Paths
///
/// - A path that ends in a slash is that of a directory and is answered with its `index.html`. The
///   path without the slash is redirected there with 308.
/// - Everything else that is not a file is 404: a directory without an index, a FIFO, a socket or a
///   device, a name that is too long, and a file that the process may not read. There is no
///   listing, and a compressed file beside another one is never sent in its place.
/// - A symbolic link is followed if what it leads to is inside the directory, and otherwise 404.
/// - A segment that begins with a dot is 404, except for `.well-known`; see
///   [`dotfiles`](Files::dotfiles).
/// - On every system, a segment is 404 that Windows takes for a drive, a stream, a device, or for
///   another name.
///
/// The directory is resolved anew for each request. So it may be a link that is switched from one
/// release to the next, and until it exists, every path is 404. A relative one belongs to the
/// current directory of the process.
///
/// Another user who may write into the directory can publish there, by a hard link, what only the
/// process may read, and can hold a thread by exchanging a file for a FIFO between the look at its type
/// and the call that opens it. Linux tells in `/proc` where an open file is; where a system does not,
/// such a user can also exchange a directory for a link to one outside at that moment, and on Unix has
/// to do so once more, back and forth, while the path is looked at again.
///
/// # Answers
///
/// The body is sent in pieces, so a file of any size takes a few pages of memory. A file that grows
/// meanwhile is cut at the length that was announced, and one that becomes shorter ends the
/// connection. To exchange a file, rename another one to its name: a client that is reading the
/// old one gets it whole.
///
/// Each answer has Last-Modified, unless the file's time is on the first day of 1970 or before it,
/// and an ETag of its time in nanoseconds, its length, and the [`version`](Files::version). The tag
/// is weak in the second after a change. A request with If-Match, If-None-Match, If-Modified-Since,
/// or If-Unmodified-Since is answered with 304 or 412 where RFC 9110, 13 says so, and one range of
/// bytes with 206 or 416 (RFC 9110, 14). Several ranges, and any of an empty file, are answered with
/// the whole file.
///
/// Content-Type follows the extension of the requested name, and is `application/octet-stream` for
/// one that is not among those of the web. Text is UTF-8. `X-Content-Type-Options: nosniff` keeps
/// browsers from guessing another type.
///
/// A controller that looks at the request first calls [`handle`](Controller::handle):
///
/// ```
/// use sockling::http::Files;
/// use sockling::prelude::*;
///
/// let files = Files::new("/nonexistent/members");
/// let members = move |request: &Request| match request.session_id() {
///     SessionId::Authenticated(_) => files.handle(request),
///     SessionId::Guest(_) => Ok(Response::unauthorized()),
/// };
/// let request = Request::get("/members/a.pdf").with_parameter("*", "a.pdf");
/// assert_eq!(members.handle(&request)?.status(), 401);
/// request.login(7);
/// assert_eq!(members.handle(&request)?.status(), 404);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it serves nothing until it is given to a route"]
pub struct Files {
    directory: PathBuf,
    /// What the answers begin with: the fields that the application sets.
    fields: Response,
    version: String,
    dotfiles: bool,
}

/// What a path leads to.
enum Found {
    /// A file and what is known of it once it is open.
    File(File, Metadata),
    /// A directory with an index, by a path that lacks the slash at the end.
    Directory,
}

impl Files {
    /// Returns a controller that serves the files of this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Files {
        let directory = directory.into();
        Files { directory, fields: Response::new(), version: String::new(), dotfiles: false }
    }

    /// Sets the Cache-Control of each file. Without one, a browser decides by itself for how long it
    /// does not ask again: mostly for a tenth of the time since the last change (RFC 9111, 4.2.2).
    pub fn cache_control(self, value: &str) -> Files {
        self.header("Cache-Control", value)
    }

    /// Adds a field to the answers that have a file or say that the client has it, since the head is
    /// out when [`handle`](Controller::handle) returns. For files that users have uploaded it is
    /// `Content-Disposition: attachment`, so that a page among them does not run as one of this site.
    pub fn header(self, name: &str, value: &str) -> Files {
        Files { fields: self.fields.header(name, value), ..self }
    }

    /// Sets a text that becomes part of each ETag, such as the version of the application. It tells
    /// files apart that have the same length and the same time, as all files of a firmware or
    /// container image may have: without it, a browser keeps the one of the last release.
    pub fn version(self, text: &str) -> Files {
        Files { version: text.to_string(), ..self }
    }

    /// Sets whether files and directories are served whose names begin with a dot, such as `.git` and
    /// `.env`. `.well-known` always is (RFC 8615). Default: false.
    pub fn dotfiles(self, served: bool) -> Files {
        Files { dotfiles: served, ..self }
    }

    /// Returns what the path of a request leads to, or an error that means 404.
    fn find(&self, path: &str) -> io::Result<Found> {
        let hidden = |name: &str| !self.dotfiles && name.starts_with('.') && name != ".well-known";
        if path.split('/').any(|name| hidden(name) || is_reserved_on_windows(name)) {
            return Err(ErrorKind::NotFound.into());
        }
        let root = fs::canonicalize(&self.directory)?;
        // Segment by segment: what is pushed is never absolute, and `/` is no separator in the
        // canonical paths of Windows.
        let mut target = root.clone();
        target.extend(path.split('/').filter(|name| !name.is_empty()));
        let (mut target, mut metadata) = resolve(&root, &target)?;
        let (directory, slash) = (metadata.is_dir(), path.is_empty() || path.ends_with('/'));
        if directory {
            (target, metadata) = resolve(&root, &target.join(INDEX))?;
        }
        // On Windows, `GIT~1` is another name of `.git`.
        let mut names = target.strip_prefix(&root).into_iter().flatten();
        let short = WINDOWS_NAMES && names.any(|name| hidden(&name.to_string_lossy()));
        if short || !metadata.is_file() || slash && !directory {
            return Err(ErrorKind::NotFound.into());
        }
        match directory && !slash {
            true => Ok(Found::Directory),
            false => open(&root, &target).map(|(file, metadata)| Found::File(file, metadata)),
        }
    }

    /// Sends a file, or the part of it that the request asks for.
    fn send(
        &self,
        request: &Request,
        file: &File,
        metadata: &Metadata,
        name: &str,
    ) -> Result<Response, Error> {
        let modified = metadata.modified().ok().map(unix_nanos);
        let now = unix_nanos(SystemTime::now());
        let known = Representation::new(metadata.len(), modified, &self.version, now);
        let (status, first, length) = match known.select(request.method(), request.headers()) {
            Selected::Whole => (200, 0, known.length),
            Selected::Part(first, last) => (206, first, last - first + 1),
            Selected::NotModified => (304, 0, 0),
            Selected::Failed => return Ok(Response::of_status(412)),
            Selected::Unsatisfiable => {
                let range = format!("bytes */{}", known.length);
                return Ok(Response::new().code(416).header("Content-Range", &range));
            }
        };
        let with = |response: Response, name, value: Option<String>| match value {
            Some(value) => response.header(name, &value),
            None => response,
        };
        let response = with(self.fields.clone().code(status), "ETag", known.etag());
        if status == 304 {
            // The other fields are those of what the client has (RFC 9110, 15.4.5).
            return Ok(response);
        }
        let range = || format!("bytes {}-{}/{}", first, first + length - 1, known.length);
        let response = with(response, "Content-Range", (status == 206).then(range));
        let response = with(response, "Last-Modified", known.last_modified())
            .header("Accept-Ranges", "bytes")
            .header("Content-Type", media_type(name))
            .header("X-Content-Type-Options", "nosniff");
        let mut file = file;
        request.stream(response.length(length), |body| {
            file.seek(SeekFrom::Start(first))?;
            io::copy(&mut file.take(length), body).map(drop)
        })
    }
}

impl Controller for Files {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        if !matches!(request.method(), Method::Get | Method::Head) {
            return Ok(Response::method_not_allowed(&["GET", "HEAD"]));
        }
        let path = request.parameter("*")?;
        match self.find(path) {
            Ok(Found::File(file, metadata)) => {
                let name = match path.rsplit('/').next() {
                    Some("") | None => INDEX,
                    Some(name) => name,
                };
                self.send(request, &file, &metadata, name)
            }
            // A path without a host, and one that begins with a single slash: it stays on this host.
            Ok(Found::Directory) => {
                let query = request.query_string();
                let mark = if query.is_empty() { "" } else { "?" };
                let location = [&*percent_encode(request.path()), "/", mark, query].concat();
                Ok(Response::new().code(308).header("Location", &location))
            }
            Err(error) => {
                log_line!(Debug, "found no file for {:?}: {}", request, error);
                Ok(Response::not_found())
            }
        }
    }
}

const INDEX: &str = "index.html";

/// Returns the path without links, and what is there, if it is inside the directory.
fn resolve(root: &Path, path: &Path) -> io::Result<(PathBuf, Metadata)> {
    let path = fs::canonicalize(path)?;
    match path.starts_with(root) {
        true => fs::symlink_metadata(&path).map(|metadata| (path, metadata)),
        false => Err(ErrorKind::NotFound.into()),
    }
}

/// Opens the file at a resolved path. Somebody may have exchanged a part of it for a link meanwhile,
/// so the file that is open must be inside, too.
fn open(root: &Path, path: &Path) -> io::Result<(File, Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let inside = match path_of(&file) {
        Some(path) => path.starts_with(root),
        None => leads_to(root, path, &metadata),
    };
    match inside && metadata.is_file() {
        true => Ok((file, metadata)),
        false => Err(ErrorKind::NotFound.into()),
    }
}

/// Returns whether a resolved path has no link still, and leads to this file.
pub(crate) fn leads_to(root: &Path, path: &Path, file: &Metadata) -> bool {
    resolve(root, path).map_or(false, |(again, there)| again == path && is_same_file(file, &there))
}
