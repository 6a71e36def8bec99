//! Turns a path into the controller of its route and the parameters that the path has for it.

use crate::error::Error;
use crate::ground::system::WINDOWS_NAMES;
use crate::http::head::Method;
use crate::http::response::Response;
use crate::http::target::is_reserved_on_windows;
use crate::server::controller::Controller;

/// A route: a controller, the methods that it takes, and the pattern of the paths that it answers.
///
/// A pattern is a path. A segment `:name` matches any one segment that is not empty, and a last
/// segment `*` matches the rest of the path, which may be empty: `/files/*` matches `/files/` but
/// not `/files`. Any other segment is text that matches itself, without escapes.
/// [`Request::parameter`](crate::http::Request::parameter) returns what was matched.
///
/// The first route of a server that takes the method and whose pattern matches answers. If patterns
/// match, but only of routes with other methods, the server answers with 405 and lists those methods
/// in Allow; without any, with 404. A route that could never answer because an earlier one takes all
/// its requests, and a pattern that no path matches, are errors of
/// [`Server::bind`](crate::http::Server::bind) that name the routes.
///
/// ```
/// use sockling::prelude::*;
///
/// let list = |_: &Request| Ok(Response::new().json("[]"));
/// let add = |request: &Request| {
///     request.check_origin()?;
///     Ok(Response::new().code(201).header("Location", "/rooms/7"))
/// };
/// let upload = |request: &Request| Ok(Response::new().text(request.body().len().to_string()));
/// let none = |_: &Request| Ok(Response::new().code(204));
/// // Before pages of other sites may send JSON, their browsers ask with OPTIONS (CORS).
/// let cors = |_: &Request| {
///     Ok(Response::new()
///         .code(204)
///         .header("Access-Control-Allow-Origin", "https://app.example")
///         .header("Access-Control-Allow-Methods", "GET, POST")
///         .header("Access-Control-Allow-Headers", "Content-Type"))
/// };
/// let routes = vec![
///     Handler::get("/rooms", list),
///     Handler::post("/rooms", add),
///     Handler::options("/rooms", cors),
///     Handler::put("/rooms/:room/picture", upload).limit(8 * 1024 * 1024),
///     Handler::patch("/rooms/:room", none),
///     Handler::delete("/rooms/:room", none),
///     Handler::new("/health", none), // takes all methods
/// ];
/// assert_eq!(format!("{:?}", routes[1]), "Handler(POST \"/rooms\")");
/// assert!(Server::new(routes).bind("127.0.0.1:0").is_ok());
///
/// let twice = vec![Handler::get("/rooms/:room", list), Handler::get("/rooms/new", list)];
/// assert_eq!(
///     Server::new(twice).bind("127.0.0.1:0").unwrap_err().to_string(),
///     "GET, HEAD \"/rooms/new\" can never be reached: GET, HEAD \"/rooms/:room\" comes before it and \
///      takes all its requests"
/// );
/// # Ok::<(), Error>(())
/// ```
#[must_use = "a route answers nothing until it is given to `Server::new`"]
pub struct Handler {
    pub(crate) controller: Box<dyn Controller>,
    /// The limit of a body in place of [`Limits::body`](crate::limits::Limits::body).
    pub(crate) limit: Option<u64>,
    /// Whether the controller runs before a body has been read.
    pub(crate) streams: bool,
    /// One bit for each method.
    methods: u8,
    pattern: String,
}

impl Handler {
    /// Returns a route that takes all methods, `OPTIONS` included; [`route!`](crate::route) is the
    /// short form of this and of the functions below.
    pub fn new(pattern: &str, controller: impl Controller + 'static) -> Handler {
        let (controller, pattern) = (Box::new(controller), pattern.to_string());
        Handler { controller, limit: None, streams: false, methods: ALL, pattern }
    }

    /// Returns a route that takes GET and HEAD. The server leaves out the body of an answer to HEAD.
    /// A request that opens a WebSocket is a GET.
    pub fn get(pattern: &str, controller: impl Controller + 'static) -> Handler {
        let methods = bit(Method::Get) | bit(Method::Head);
        Handler { methods, ..Handler::new(pattern, controller) }
    }

    /// Returns a route that takes POST.
    pub fn post(pattern: &str, controller: impl Controller + 'static) -> Handler {
        Handler { methods: bit(Method::Post), ..Handler::new(pattern, controller) }
    }

    /// Returns a route that takes PUT.
    pub fn put(pattern: &str, controller: impl Controller + 'static) -> Handler {
        Handler { methods: bit(Method::Put), ..Handler::new(pattern, controller) }
    }

    /// Returns a route that takes DELETE.
    pub fn delete(pattern: &str, controller: impl Controller + 'static) -> Handler {
        Handler { methods: bit(Method::Delete), ..Handler::new(pattern, controller) }
    }

    /// Returns a route that takes PATCH.
    pub fn patch(pattern: &str, controller: impl Controller + 'static) -> Handler {
        Handler { methods: bit(Method::Patch), ..Handler::new(pattern, controller) }
    }

    /// Returns a route that takes OPTIONS. Without one, the server answers OPTIONS like any other
    /// method that a path does not take, except for `OPTIONS *`, which gets 204.
    pub fn options(pattern: &str, controller: impl Controller + 'static) -> Handler {
        Handler { methods: bit(Method::Options), ..Handler::new(pattern, controller) }
    }

    /// Sets the largest body that this route takes, in bytes, in place of [`Limits::body`]. It may
    /// be larger than that; then [`Limits::most_memory`] no longer counts everything. A larger body
    /// is answered with 413 before the excess is read, and if the client waits for `100 Continue`,
    /// before any of it is sent.
    ///
    /// [`Limits::body`]: crate::limits::Limits::body
    /// [`Limits::most_memory`]: crate::limits::Limits::most_memory
    pub fn limit(mut self, bytes: u64) -> Handler {
        self.limit = Some(bytes);
        self
    }

    /// Runs the controller as soon as the head of a request is there, before its body, which the
    /// controller reads with [`Request::reader`] or [`Request::read_body`]. So it can refuse a client
    /// without its body, and store a body that is larger than the memory. How large it may be is still
    /// up to [`limit`](Handler::limit), and without that to [`Limits::body`](crate::limits::Limits::body).
    ///
    /// A body that the controller leaves unread is dropped behind the answer, if it has an announced
    /// length, of which at most [`UNREAD`] bytes are left; otherwise the connection ends, and so it does
    /// after an error of the body, whatever the controller has made of it.
    ///
    /// [`Request::reader`]: crate::http::Request::reader
    /// [`Request::read_body`]: crate::http::Request::read_body
    /// [`UNREAD`]: crate::limits::UNREAD
    ///
    /// ```
    /// use sockling::{prelude::*, testing};
    /// use std::io;
    ///
    /// let upload = |request: &Request| {
    ///     let bytes = io::copy(&mut request.reader(200 * 1024 * 1024)?, &mut io::sink())?;
    ///     Ok(Response::new().text(format!("{} bytes", bytes)))
    /// };
    /// let routes = vec![Handler::put("/image", upload).streams().limit(200 * 1024 * 1024)];
    /// let server = testing::Server::new(routes);
    /// let image = server.browser().request(Method::Put, "/image").body(vec![0; 2 * 1024 * 1024]);
    /// assert_eq!(image.send().text(), "2097152 bytes");
    /// ```
    pub fn streams(mut self) -> Handler {
        self.streams = true;
        self
    }

    /// Returns the route in the form `[POST] "/rooms"`, or without methods if it takes all.
    fn name(&self) -> String {
        match self.methods {
            ALL => format!("{:?}", self.pattern),
            methods => format!("{} {:?}", tokens(methods), self.pattern),
        }
    }
}

/// The bits of all methods.
const ALL: u8 = (1 << Method::ALL.len()) - 1;

const fn bit(method: Method) -> u8 {
    1 << method as u8
}

/// Returns the tokens of the methods, as in Allow.
fn tokens(methods: u8) -> String {
    let mut tokens = String::new();
    for method in Method::ALL.iter().filter(|method| methods & bit(**method) != 0) {
        tokens.push_str(if tokens.is_empty() { "" } else { ", " });
        tokens.push_str(method.as_str());
    }
    tokens
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "Handler({})", self.name())
    }
}

/// Returns a route, a [`Handler`]: `route!(POST "/path" => Name)` for one method, or
/// `route!("/path" => Name)` for all.
///
/// The methods are GET (which takes HEAD too), POST, PUT, DELETE, PATCH, and OPTIONS. A name, or a
/// path of names, is a type that implements `Default`; any other expression is a controller. For a
/// function, or a controller in a local variable, call [`Handler::new`] or [`Handler::post`], say.
///
/// ```
/// use sockling::prelude::*;
///
/// #[derive(Default)]
/// struct Hello;
///
/// impl Controller for Hello {
///     fn handle(&self, _: &Request) -> Result<Response, Error> {
///         Ok(Response::new().text("hello"))
///     }
/// }
///
/// let routes = vec![
///     route!("/hello" => Hello),
///     route!(GET "/rooms/:room" => |request: &Request| Ok(Response::new().text(request.parameter("room")?))),
///     route!(POST "/rooms/:room" => |_: &Request| Ok(Response::new().redirect("/"))).limit(4096),
///     route!("/files/*" => |request: &Request| Ok(Response::new().text(request.parameter("*")?))),
/// ];
/// assert_eq!(routes.len(), 4);
/// ```
#[macro_export]
macro_rules! route {
    (@ $new:ident $pattern:expr => $($name:ident)::+ $(,)?) => {
        $crate::http::Handler::$new($pattern, <$($name)::+ as ::core::default::Default>::default())
    };
    (@ $new:ident $pattern:expr => $controller:expr $(,)?) => {
        $crate::http::Handler::$new($pattern, $controller)
    };
    (GET $pattern:expr => $($to:tt)+) => { $crate::route!(@ get $pattern => $($to)+) };
    (POST $pattern:expr => $($to:tt)+) => { $crate::route!(@ post $pattern => $($to)+) };
    (PUT $pattern:expr => $($to:tt)+) => { $crate::route!(@ put $pattern => $($to)+) };
    (DELETE $pattern:expr => $($to:tt)+) => { $crate::route!(@ delete $pattern => $($to)+) };
    (PATCH $pattern:expr => $($to:tt)+) => { $crate::route!(@ patch $pattern => $($to)+) };
    (OPTIONS $pattern:expr => $($to:tt)+) => { $crate::route!(@ options $pattern => $($to)+) };
    ($pattern:expr => $($to:tt)+) => { $crate::route!(@ new $pattern => $($to)+) };
}

/// The routes of a server, in order, each with the segments of its pattern.
pub(crate) struct Router {
    routes: Vec<(Vec<Segment>, Handler)>,
    /// Whether parameters that Windows reserves are refused. A field, so that tests on every system
    /// can set it; the rule is compiled for Windows and for tests.
    pub windows: bool,
}

#[derive(PartialEq)]
enum Segment {
    Text(String),
    Parameter(String),
    Rest,
}

/// The names of a pattern, with what the path has in their place.
pub(crate) type Parameters = Vec<(String, String)>;

impl Router {
    /// Returns the router of these routes. Error: a pattern is invalid, or a route can never be
    /// reached.
    pub fn new(handlers: Vec<Handler>) -> Result<Router, Error> {
        let mut routes: Vec<(Vec<Segment>, Handler)> = Vec::new();
        for handler in handlers {
            let segments = segments(&handler.pattern).ok_or_else(|| {
                Error::Setting(format!("{:?} is not a route pattern: {}", handler.pattern, PATTERN))
            })?;
            let covering = |(earlier, known): &&(Vec<Segment>, Handler)| {
                handler.methods & !known.methods == 0 && covers(earlier, &segments)
            };
            if let Some((_, earlier)) = routes.iter().find(covering) {
                return Err(Error::Setting(format!(
                    "{} can never be reached: {} comes before it and takes all its requests",
                    handler.name(),
                    earlier.name()
                )));
            }
            routes.push((segments, handler));
        }
        Ok(Router { routes, windows: WINDOWS_NAMES })
    }

    /// Returns the first route that takes the method and whose pattern matches the decoded path,
    /// with the parameters; or else the answer: 404, 405, 204 for `OPTIONS *`, or, on Windows, 400
    /// for a parameter that is a reserved name.
    pub fn find(
        &self,
        method: Method,
        path: &str,
    ) -> Result<(&Handler, Parameters), Box<Response>> {
        // The path of `OPTIONS *` has no slash.
        let path = path.strip_prefix('/').ok_or_else(|| Box::new(Response::new().code(204)))?;
        let mut taken = 0;
        for (segments, handler) in &self.routes {
            match fit(segments, path) {
                Some(parameters) if handler.methods & bit(method) != 0 => {
                    // The rest of the path is the pattern's own text, which the application chose.
                    let mut segments = parameters.iter().flat_map(|(_, value)| value.split('/'));
                    let windows = self.windows && (WINDOWS_NAMES || cfg!(test));
                    return match windows && segments.any(is_reserved_on_windows) {
                        true => Err(Box::new(Response::bad_request())),
                        false => Ok((handler, parameters)),
                    };
                }
                Some(_) => taken |= handler.methods,
                None => {}
            }
        }
        Err(Box::new(match tokens(taken) {
            allowed if allowed.is_empty() => Response::not_found(),
            allowed => Response::of_status(405).header("Allow", &allowed),
        }))
    }
}

/// What a pattern must be. Any other one matches no path, or not the paths that it seems to match.
const PATTERN: &str =
    "a slash precedes each segment, which is text without escapes, `:name` (each \
                       name once), or a last `*`";

fn segments(pattern: &str) -> Option<Vec<Segment>> {
    // It is compared with decoded paths, which have no escapes and no query.
    let is_text = |byte: u8| byte > b' ' && !b"%*?#\\\x7f".contains(&byte);
    let (mut segments, mut ended) = (Vec::new(), false);
    for text in pattern.strip_prefix('/')?.split('/') {
        let name = text.strip_prefix(':');
        let segment = match name {
            _ if ended => return None,
            None if text == "*" => Segment::Rest,
            Some("") => return None,
            _ if !text.bytes().all(is_text) || text == "." || text == ".." => return None,
            None => Segment::Text(text.to_string()),
            Some(name) => Segment::Parameter(name.to_string()),
        };
        if name.is_some() && segments.contains(&segment) {
            return None;
        }
        ended = text.is_empty() || text == "*";
        segments.push(segment);
    }
    Some(segments)
}

/// Returns whether the earlier pattern matches every path that the later one matches.
fn covers(earlier: &[Segment], later: &[Segment]) -> bool {
    use Segment::{Parameter, Rest, Text};
    let first = match (earlier.first(), later.first()) {
        (None, None) | (Some(Rest), Some(_)) => return true,
        (Some(Text(own)), Some(Text(text))) => own == text,
        (Some(Parameter(_)), Some(Text(text))) => !text.is_empty(),
        (Some(Parameter(_)), Some(Parameter(_))) => true,
        _ => false,
    };
    first && covers(&earlier[1..], &later[1..])
}

fn fit(pattern: &[Segment], path: &str) -> Option<Parameters> {
    let mut parameters = Vec::new();
    let mut rest = Some(path);
    for segment in pattern {
        let path = rest?;
        let (first, others) = match path.split_once('/') {
            Some((first, others)) => (first, Some(others)),
            None => (path, None),
        };
        rest = others;
        match segment {
            Segment::Text(text) if text == first => {}
            Segment::Parameter(name) if !first.is_empty() => {
                parameters.push((name.clone(), first.to_string()))
            }
            Segment::Rest => {
                parameters.push(("*".to_string(), path.to_string()));
                return Some(parameters);
            }
            _ => return None,
        }
    }
    rest.is_none().then_some(parameters)
}
