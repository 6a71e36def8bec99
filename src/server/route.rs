//! Turns a path into the controller of its route and the parameters that the path has for it.

use crate::error::Error;
use crate::ground::system::WINDOWS_NAMES;
use crate::http::target::{is_reserved_on_windows, TargetError};
use crate::server::controller::Controller;

/// A route: a controller and the pattern of the paths that it answers.
///
/// A pattern is a path. A segment `:name` matches any one segment that is not empty, and a last
/// segment `*` matches the rest of the path, which may be empty: `/files/*` matches `/files/` but
/// not `/files`. The first route of a server whose pattern matches answers, whatever the method.
/// [`Request::parameter`](crate::http::Request::parameter) returns what was matched.
///
/// ```
/// use sockling::prelude::*;
///
/// let hello = |_: &Request| Ok(Response::new().text("hello"));
/// assert_eq!(format!("{:?}", Handler::new("/rooms/:name", hello)), "Handler(\"/rooms/:name\")");
/// ```
pub struct Handler {
    pattern: String,
    controller: Box<dyn Controller>,
}

impl Handler {
    /// Returns a route; [`route!`](crate::route) is the short form. An invalid pattern is reported
    /// by [`Server::bind`](crate::http::Server::bind).
    pub fn new(pattern: &str, controller: impl Controller + 'static) -> Handler {
        Handler { pattern: pattern.to_string(), controller: Box::new(controller) }
    }
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "Handler({:?})", self.pattern)
    }
}

/// Returns a route, a [`Handler`]: `route!("/path" => Name)`.
///
/// A name, or a path of names, is a type that implements `Default`; any other expression is a
/// controller. For a function, or a controller in a local variable, call [`Handler::new`].
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
///     route!("/rooms/:room" => |request: &Request| Ok(Response::new().text(request.parameter("room")?))),
///     route!("/files/*" => |request: &Request| Ok(Response::new().text(request.parameter("*")?))),
/// ];
/// assert_eq!(routes.len(), 3);
/// ```
#[macro_export]
macro_rules! route {
    ($pattern:expr => $($name:ident)::+ $(,)?) => {
        $crate::http::Handler::new($pattern, <$($name)::+ as ::core::default::Default>::default())
    };
    ($pattern:expr => $controller:expr $(,)?) => {
        $crate::http::Handler::new($pattern, $controller)
    };
}

/// The routes of a server, in order.
pub(crate) struct Router {
    routes: Vec<(Vec<Segment>, Box<dyn Controller>)>,
    /// Whether parameters that Windows reserves are refused. A field, so that tests on every system
    /// can set it; the rule is compiled for Windows and for tests.
    pub windows: bool,
}

enum Segment {
    Text(String),
    Parameter(String),
    Rest,
}

/// The names of a pattern, with what the path has in their place.
pub(crate) type Parameters = Vec<(String, String)>;

impl Router {
    /// Returns the router of these routes. Error: a pattern has no leading `/`, no name after a
    /// `:`, or a `*` that is not its last segment.
    pub fn new(routes: Vec<Handler>) -> Result<Router, Error> {
        let compiled = |route: Handler| match segments(&route.pattern) {
            Some(segments) => Ok((segments, route.controller)),
            None => Err(Error::Setting(format!("{:?} is not a route pattern", route.pattern))),
        };
        let routes = routes.into_iter().map(compiled).collect::<Result<_, _>>()?;
        Ok(Router { routes, windows: WINDOWS_NAMES })
    }

    /// Returns the controller of the first route whose pattern matches the decoded path, with the
    /// parameters. Error: on Windows, a parameter has a reserved name.
    pub fn find(&self, path: &str) -> Result<Option<(&dyn Controller, Parameters)>, TargetError> {
        let fitting = path.strip_prefix('/').and_then(|path| {
            self.routes
                .iter()
                .find_map(|(pattern, controller)| Some((&**controller, fit(pattern, path)?)))
        });
        let windows = self.windows && (WINDOWS_NAMES || cfg!(test));
        if let (true, Some((_, parameters))) = (windows, &fitting) {
            // The rest of the path is the pattern's own text, which the application chose.
            let mut segments = parameters.iter().flat_map(|(_, value)| value.split('/'));
            if segments.any(is_reserved_on_windows) {
                return Err(TargetError);
            }
        }
        Ok(fitting)
    }
}

fn segments(pattern: &str) -> Option<Vec<Segment>> {
    let count = pattern.matches('/').count();
    let segment = |(index, text): (usize, &str)| match (text, text.strip_prefix(':')) {
        ("*", _) => (index + 1 == count).then_some(Segment::Rest),
        (_, Some("")) => None,
        (_, Some(name)) => Some(Segment::Parameter(name.to_string())),
        (text, None) => Some(Segment::Text(text.to_string())),
    };
    pattern.strip_prefix('/')?.split('/').enumerate().map(segment).collect()
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
