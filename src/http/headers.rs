//! Turns field lines into a list of header fields in the order of arrival.
//!
//! A field line is `field-name ":" OWS field-value OWS` (RFC 9112, 5). This module refuses
//! whitespace around the name, folded lines, and control characters in the value. It keeps bytes
//! from 0x80 up as they are.

/// A list of header fields. Names compare case-insensitively; values are bytes.
///
/// One buffer holds all names and values, so that the fields of a request take two allocations.
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
    /// The offsets in `text` at which the name starts, the value starts, and the value ends.
    fields: Vec<(usize, usize, usize)>,
}

impl Headers {
    /// Returns an empty list.
    pub fn new() -> Headers {
        Headers::default()
    }

    /// Appends a field without checking it. The server checks the fields of a response before it
    /// sends them.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        self.append(name.as_bytes(), value);
    }

    fn append(&mut self, name: &[u8], value: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(value);
        self.fields.push((start, start + name.len(), self.text.len()));
    }

    /// Removes all fields with this name.
    pub fn remove(&mut self, name: &str) {
        if self.get(name).is_none() {
            return;
        }
        let kept = self.iter().filter(|(known, _)| !known.eq_ignore_ascii_case(name));
        let mut headers = Headers::new();
        kept.for_each(|(name, value)| headers.push(name, value));
        *self = headers;
    }

    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Returns whether the list has no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Returns an iterator over the name and value of each field, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &[u8])> {
        self.fields.iter().map(move |&(name, value, end)| {
            let name = std::str::from_utf8(&self.text[name..value]).unwrap_or("");
            (name, &self.text[value..end])
        })
    }

    /// Returns an iterator over the values of the fields with this name, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Returns the value of the first field with this name, or `None` if there is none.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns the value of the first field with this name as text, or `None` if there is none or
    /// it is not UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Returns whether the comma-separated lists in the fields with this name have a member that
    /// equals `token` case-insensitively (RFC 9110, 5.6.1).
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.count_members(name, token).0 > 0
    }

    /// Returns how many members of these lists equal `token`, and how many are others. Empty members
    /// do not count.
    pub(crate) fn count_members(&self, name: &str, token: &str) -> (usize, usize) {
        let (mut equal, mut others) = (0, 0);
        for value in self.get_all(name) {
            for member in members(value) {
                match member.eq_ignore_ascii_case(token.as_bytes()) {
                    true => equal += 1,
                    false => others += usize::from(!member.is_empty()),
                }
            }
        }
        (equal, others)
    }

    /// Returns the values of the first and the second field with this name. A field that must
    /// occur once is then `(Some(_), None)`.
    pub(crate) fn first_two<'a>(&'a self, name: &'a str) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        let mut values = self.get_all(name);
        (values.next(), values.next())
    }

    /// Appends the field of one field line, given without its CRLF.
    pub(crate) fn push_line(&mut self, line: &[u8]) -> Result<(), FieldError> {
        let colon = line.iter().position(|&byte| byte == b':').ok_or(FieldError)?;
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        // An empty name, whitespace before the colon, and a folded line all fail here (5.1, 5.2).
        if !is_token(name) || !is_field_value(value) {
            return Err(FieldError);
        }
        self.append(name, value);
        Ok(())
    }
}

/// Shows names only, because values may be secret.
impl std::fmt::Debug for Headers {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// An error for a field line that is not `name: value`.
#[derive(Debug)]
pub(crate) struct FieldError;

/// Returns the text without the spaces and tabs at its ends (OWS; RFC 9110, 5.6.3).
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Returns an iterator over the members of a comma-separated list, without the whitespace around
/// each. Empty members are included (RFC 9110, 5.6.1).
pub(crate) fn members(list: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(trim)
}

/// Returns whether the text is a token: `1*tchar` (RFC 9110, 5.6.2).
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Returns whether the value has no control character other than a tab (RFC 9110, 5.5). A CR, LF,
/// or NUL in a value can make one field look like two.
pub(crate) fn is_field_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}
