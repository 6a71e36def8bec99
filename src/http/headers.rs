//! Turns field lines into a list of header fields, in the order they came.
//!
//! A line is `name ":" OWS value OWS` (RFC 9112, 5). Refused: white space around the name, folded
//! lines, and control characters in a value. Bytes from 0x80 up are kept as they are.

/// Header fields: names compared without regard to case, values as bytes.
///
/// All names and values lie in one buffer, so a request's fields take two allocations.
///
/// ```
/// let mut headers = sockling::http::Headers::new();
/// headers.push("Host", b"localhost:8000");
/// assert_eq!(headers.get("host"), Some(&b"localhost:8000"[..]));
/// assert_eq!(headers.get_str("host"), Some("localhost:8000"));
///
/// headers.push("Accept", b"text/html, text/plain");
/// headers.push("accept", b"*/*");
/// assert!(headers.has_token("accept", "TEXT/PLAIN"));
/// assert_eq!(headers.get_all("accept").count(), 2);
/// assert_eq!(headers.iter().last(), Some(("accept", &b"*/*"[..])));
/// headers.remove("accept");
/// assert!(headers.len() == 1 && !headers.is_empty());
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    text: Vec<u8>,
    /// For each field: where its name starts, where its value starts, where it ends.
    fields: Vec<(usize, usize, usize)>,
}

impl Headers {
    /// Returns an empty list.
    pub fn new() -> Headers {
        Headers::default()
    }

    /// Appends a field as it is, also one that may not be sent: whoever writes fields to a peer
    /// checks them.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        self.append(name.as_bytes(), value);
    }

    fn append(&mut self, name: &[u8], value: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(value);
        self.fields.push((start, start + name.len(), self.text.len()));
    }

    /// Takes out all fields of this name.
    pub fn remove(&mut self, name: &str) {
        let kept = self.iter().filter(|(known, _)| !known.eq_ignore_ascii_case(name));
        let mut headers = Headers::new();
        kept.for_each(|(name, value)| headers.push(name, value));
        *self = headers;
    }

    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Returns whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Returns name and value of each field, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &[u8])> {
        self.fields.iter().map(move |&(name, value, end)| {
            let name = std::str::from_utf8(&self.text[name..value]).unwrap_or("");
            (name, &self.text[value..end])
        })
    }

    /// Returns the value of each field of this name, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Returns the value of the first field of this name, or `None`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns the same as text, or `None` also when it is not UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Returns whether a member of the comma-separated lists of this name equals `token` without
    /// regard to case, in any of its lines (RFC 9110, 5.6.1).
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.get_all(name)
            .flat_map(members)
            .any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Returns the first and the second value of this name: a field that must occur once is
    /// `(Some(_), None)`.
    pub(crate) fn first_two<'a>(&'a self, name: &'a str) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        let mut values = self.get_all(name);
        (values.next(), values.next())
    }

    /// Appends one field line, given without its CRLF.
    pub(crate) fn push_line(&mut self, line: &[u8]) -> Result<(), FieldError> {
        let colon = line.iter().position(|&byte| byte == b':').ok_or(FieldError)?;
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        // An empty name, a space before the colon and a folded line all fail here (5.1, 5.2).
        if !is_token(name) || !is_field_value(value) {
            return Err(FieldError);
        }
        self.append(name, value);
        Ok(())
    }
}

/// Shows the names: values may be secret.
impl std::fmt::Debug for Headers {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// A field line that is not `name: value`.
#[derive(Debug)]
pub(crate) struct FieldError;

/// Returns the bytes without spaces and tabs at both ends (OWS; RFC 9110, 5.6.3).
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Returns the members of a comma-separated list without the whitespace around them, empty members
/// included (RFC 9110, 5.6.1).
pub(crate) fn members(list: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(trim)
}

/// Returns whether the bytes are `token = 1*tchar` (RFC 9110, 5.6.2).
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Returns whether the bytes may stand in a field value (RFC 9110, 5.5): no control character
/// but the tab. A CR, LF or NUL here is how one field is made to look like two.
pub(crate) fn is_field_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}
