//! Files: a page that uploads them with a progress bar, lists, gives out, and deletes them. An upload of
//! any size takes some KiB of memory, and it appears under its name once it is whole, or not at all.
//!
//! Try it: `cargo run --example files`, open the address that it prints, and log in with `sesame`.
//! With curl: `curl -T FILE -H 'Authorization: Bearer sesame' localhost:8000/files/`. The files are in
//! `target/files`, or in the folder that is named behind `--`.

use sockling::http::{hmac_sha1, Files};
use sockling::prelude::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, fs, io};

/// The largest upload, in bytes.
const LARGEST: u64 = 1024 * 1024 * 1024;
/// The folder of uploads that are not whole. It is on the same file system, and `Files` serves nothing
/// whose name begins with a dot.
const PARTS: &str = ".parts";
/// The number of the one user.
const OWNER: i64 = 1;

struct Store {
    directory: PathBuf,
    token: String,
    files: Files,
}

/// A file that is not whole. However the upload ends, by an error or a panic too, it is removed,
/// unless it has got another name.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Compares signatures, so that the time it takes tells nothing of the token.
fn is_token(token: &str, given: &str) -> bool {
    let sign = |text: &str| hmac_sha1(token.as_bytes(), text.as_bytes());
    sign(given) == sign(token)
}

/// Returns whether this may be the name of a file: of one segment, and not hidden.
fn is_name(name: &str) -> bool {
    let refused = |c: char| c == '/' || c.is_control();
    !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && !name.contains(refused)
}

impl Controller for Store {
    /// Runs before the body is read, so a client that may not upload does not have to send it.
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        let field = request.header("Authorization").and_then(|field| field.strip_prefix("Bearer "));
        let may = match field {
            Some(given) => is_token(&self.token, given),
            None => request.session_id() == OWNER.into(),
        };
        if !may {
            return Ok(Response::unauthorized().header("WWW-Authenticate", "Bearer"));
        }
        let name = request.parameter("*")?;
        match request.method() {
            Method::Get if name.is_empty() => self.list(),
            Method::Get | Method::Head => self.files.handle(request),
            _ if !is_name(name) => Ok(Response::bad_request().text("not a name for a file\n")),
            Method::Put => self.upload(request, name),
            Method::Delete => self.delete(request, name),
            _ => Ok(Response::method_not_allowed(&["GET", "HEAD", "PUT", "DELETE"])),
        }
    }
}

impl Store {
    /// Returns a line for each file: its name and its length in bytes.
    fn list(&self) -> Result<Response, Error> {
        let line = |entry: io::Result<fs::DirEntry>| {
            let (entry, metadata) =
                entry.and_then(|one| Ok((one.file_name(), one.metadata()?))).ok()?;
            let name = entry.into_string().ok().filter(|name| is_name(name))?;
            metadata.is_file().then(|| format!("{}\t{}\n", name, metadata.len()))
        };
        let mut lines: Vec<String> = fs::read_dir(&self.directory)?.filter_map(line).collect();
        lines.sort();
        Ok(Response::new().text(lines.concat()).header("Cache-Control", "no-store"))
    }

    fn upload(&self, request: &Request, name: &str) -> Result<Response, Error> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        request.check_origin()?;
        let mut body = request.reader(LARGEST)?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
        let part = Part(self.directory.join(PARTS).join(number));
        let mut file = fs::File::create(&part.0)?;
        io::copy(&mut body, &mut file)?;
        // Otherwise a power cut could leave the name with a part of the content.
        file.sync_all()?;
        let path = self.directory.join(name);
        let status = if path.exists() { 204 } else { 201 };
        // A download of the file that had the name goes on with that.
        fs::rename(&part.0, path)?;
        Ok(Response::new().code(status))
    }

    fn delete(&self, request: &Request, name: &str) -> Result<Response, Error> {
        request.check_origin()?;
        match fs::remove_file(self.directory.join(name)) {
            Ok(()) => Ok(Response::new().code(204)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Response::not_found()),
            Err(error) => Err(error.into()),
        }
    }
}

fn main() -> Result<(), Error> {
    let directory = PathBuf::from(env::args().nth(1).unwrap_or_else(|| "target/files".to_string()));
    // What is left of a process that was killed.
    let _ = fs::remove_dir_all(directory.join(PARTS));
    fs::create_dir_all(directory.join(PARTS))?;
    let token = env::var("FILES_TOKEN").unwrap_or_else(|_| "sesame".to_string());
    let right = token.clone();
    let login = move |request: &Request| {
        request.check_origin()?;
        match request.form()?.get("token") {
            Some(given) if is_token(&right, &given) => Ok(request.login(OWNER).code(204)),
            _ => Ok(Response::unauthorized()),
        }
    };
    // A page among the files must not run as one of this site, with its cookie.
    let files = Files::new(&directory)
        .header("Content-Disposition", "attachment")
        .cache_control("private, no-cache");
    let page = |_: &Request| Ok(Response::new().html(include_str!("pages/files.html")));
    Server::new(vec![
        Handler::new("/files/*", Store { directory, token, files }).streams().limit(LARGEST),
        Handler::post("/login", login),
        Handler::get("/", page),
    ])
    .launch()
}
