//! Path templates: which segments of a path are part of an API, and what stands where.
//!
//! A template matches whole segments, byte for byte, as they arrived: nothing is decoded, no dot segment is removed. What
//! does not match exactly is not known, and is redacted as unknown paths are. Nothing a placeholder stands for is stored,
//! unless the catalogue says `keep` and it is short.

use std::fmt;

use crate::observe::redact::{FingerprintKey, is_harmless, mail_tag, redact_path};

/// Longest template, in segments.
const SEGMENTS_MAX: usize = 16;
/// Ends a template that matches any further segments.
const REST: &str = "**";

/// Why a text is not a path template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("the path does not begin with `/`")]
    NotAbsolute,
    #[error("the path has more than 16 segments")]
    TooLong,
    #[error(
        "the segment \"{0}\" has a brace without its other one, or two placeholders; write one `{{name}}` a segment"
    )]
    Braces(String),
    #[error("the placeholder name \"{0}\" is not lower-case letters, digits and `_`")]
    Name(String),
    #[error("the placeholder kind \"{0}\" does not exist; write secret, mail or keep, or leave it out")]
    Kind(String),
    #[error("`**` may only be the whole last segment")]
    Rest,
    #[error("a path has no query; name secret query keys in `secret_query`")]
    Query,
}

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An identifier, a name, a search term: not stored.
    Value,
    /// A credential: not stored.
    Secret,
    /// A mail address or another name of a person: a keyed tag is stored, `{mail:<12 hexadecimal digits>}`.
    Mail,
    /// Harmless: stored when it is short and plain.
    Keep,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    Placeholder { before: Box<str>, name: Box<str>, kind: Kind, after: Box<str> },
}

/// The shape of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    segments: Vec<Segment>,
    /// Whether any further segments may follow.
    open: bool,
}

impl PathTemplate {
    /// Parses `/services/{team}/{bot}/{secret:secret}`.
    pub fn parse(written: &str) -> Result<Self, TemplateError> {
        let path = written.strip_prefix('/').ok_or(TemplateError::NotAbsolute)?;
        if path.contains(['?', '#']) {
            return Err(TemplateError::Query);
        }
        let (path, open) = match path.strip_suffix(REST) {
            Some("") => return Err(TemplateError::Rest),
            Some(head) => (head.strip_suffix('/').ok_or(TemplateError::Rest)?, true),
            None => (path, false),
        };
        let segments = path.split('/').map(Segment::parse).collect::<Result<Vec<_>, _>>()?;
        if segments.len() > SEGMENTS_MAX {
            return Err(TemplateError::TooLong);
        }
        Ok(Self { segments, open })
    }

    /// Whether a path, without its query, has this shape.
    pub fn matches(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else { return false };
        let mut given = path.split('/');
        let head = self.segments.iter().all(|segment| given.next().is_some_and(|given| segment.value(given).is_some()));
        head && match given.next() {
            None => !self.open,
            Some(_) => self.open,
        }
    }

    /// The path as it is stored, when it has this shape: literals, and placeholders by name. Values of `keep` placeholders
    /// stay if `keep` says so, too; mail addresses become tags.
    pub fn redact(&self, path: &str, keep: bool, mail_key: Option<&FingerprintKey>) -> Option<String> {
        if !self.matches(path) {
            return None;
        }
        let mut stored = String::new();
        for (segment, given) in self.segments.iter().zip(path.split('/').skip(1)) {
            stored.push('/');
            segment.store(given, keep, mail_key, &mut stored);
        }
        if self.open {
            // Redacted from its beginning, so that a word such as `hook` in front still has its effect.
            for given in redact_path(path, mail_key).split('/').skip(self.segments.len() + 1) {
                stored.push('/');
                stored.push_str(given);
            }
        }
        Some(stored)
    }

    /// Number of literal segments that say something; more of them make a better match.
    pub fn literals(&self) -> usize {
        self.segments.iter().filter(|segment| matches!(segment, Segment::Literal(text) if !text.is_empty())).count()
    }

    /// Whether any further segments may follow.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The first segment, when it is literal.
    pub fn first_literal(&self) -> Option<&str> {
        match self.segments.first() {
            Some(Segment::Literal(text)) => Some(text),
            Some(Segment::Placeholder { .. }) | None => None,
        }
    }

    /// The second segment, when it is literal.
    pub fn second_literal(&self) -> Option<&str> {
        match self.segments.get(1) {
            Some(Segment::Literal(text)) => Some(text),
            Some(Segment::Placeholder { .. }) | None => None,
        }
    }

    /// Names of the placeholders of one kind.
    pub fn placeholders(&self, wanted: Kind) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(move |segment| match segment {
            Segment::Placeholder { name, kind, .. } if *kind == wanted => Some(&**name),
            Segment::Placeholder { .. } | Segment::Literal(_) => None,
        })
    }
}

impl Segment {
    fn parse(written: &str) -> Result<Self, TemplateError> {
        let braces = || TemplateError::Braces(written.to_owned());
        let Some((before, rest)) = written.split_once('{') else {
            return match written {
                _ if written.contains('}') => Err(braces()),
                _ if written.contains('*') => Err(TemplateError::Rest),
                _ => Ok(Self::Literal(written.into())),
            };
        };
        let (inner, after) = rest.split_once('}').ok_or_else(braces)?;
        if before.contains('}') || inner.contains('{') || after.contains(['{', '}']) {
            return Err(braces());
        }
        let (name, kind) = inner.split_once(':').map_or((inner, None), |(name, kind)| (name, Some(kind)));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(TemplateError::Name(name.to_owned()));
        }
        let kind = match kind {
            None => Kind::Value,
            Some("secret") => Kind::Secret,
            Some("mail") => Kind::Mail,
            Some("keep") => Kind::Keep,
            Some(other) => return Err(TemplateError::Kind(other.to_owned())),
        };
        Ok(Self::Placeholder { before: before.into(), name: name.into(), kind, after: after.into() })
    }

    /// What stands for the placeholder, or the literal itself; `None` when this is another segment.
    fn value<'g>(&self, given: &'g str) -> Option<&'g str> {
        match self {
            Self::Literal(text) => (**text == *given).then_some(given),
            Self::Placeholder { before, after, .. } => {
                given.strip_prefix(&**before)?.strip_suffix(&**after).filter(|value| !value.is_empty())
            }
        }
    }

    fn store(&self, given: &str, keep: bool, mail_key: Option<&FingerprintKey>, stored: &mut String) {
        match self {
            Self::Literal(text) => stored.push_str(text),
            Self::Placeholder { before, name, kind, after } => {
                stored.push_str(before);
                match kind {
                    Kind::Keep if keep && self.value(given).is_some_and(is_harmless) => {
                        stored.push_str(self.value(given).unwrap_or_default());
                    }
                    Kind::Mail => stored.push_str(&mail_tag(self.value(given).unwrap_or_default(), mail_key)),
                    Kind::Keep | Kind::Value | Kind::Secret => {
                        stored.push('{');
                        stored.push_str(name);
                        stored.push('}');
                    }
                }
                stored.push_str(after);
            }
        }
    }
}

/// As it is written in the catalogue.
impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Placeholder { before, name, kind, after } => {
                    let kind = match kind {
                        Kind::Value => "",
                        Kind::Secret => ":secret",
                        Kind::Mail => ":mail",
                        Kind::Keep => ":keep",
                    };
                    write!(f, "/{before}{{{name}{kind}}}{after}")?;
                }
            }
        }
        f.write_str(if self.open { "/**" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(template: &str, path: &str) -> Option<String> {
        PathTemplate::parse(template).unwrap().redact(path, true, None)
    }

    #[test]
    fn a_path_of_the_shape_is_stored_as_the_shape() {
        let cases = [
            ("/services/{team}/{bot}/{secret:secret}", "/services/T0/B0/winter", "/services/{team}/{bot}/{secret}"),
            ("/users/{sender:mail}/sendMail", "/users/a@b.test/sendMail", "/users/{mail}/sendMail"),
            ("/issue/{issue:keep}", "/issue/PROJ-123", "/issue/PROJ-123"),
            ("/issue/{issue:keep}", "/issue/0763c7f3a5cf4fc78", "/issue/{issue}"),
            ("/issue/{issue:keep}", "/issue/a@b.test", "/issue/{issue}"),
            ("/issue/{issue:keep}", "/issue/..", "/issue/{issue}"),
            ("/models/{model:keep}:generate", "/models/gemini-pro:generate", "/models/gemini-pro:generate"),
            ("/users/{user}:suspend", "/users/u1:suspend", "/users/{user}:suspend"),
            ("/v1/**", "/v1/webhooks/winter", "/v1/webhooks/{redacted}"),
            ("/hook/**", "/hook/winter", "/hook/{redacted}"),
            ("/", "/", "/"),
            ("/mcp/", "/mcp/", "/mcp/"),
        ];
        for (template, path, expected) in cases {
            assert_eq!(stored(template, path).as_deref(), Some(expected), "{template} {path}");
        }
    }

    #[test]
    fn another_shape_is_not_known() {
        let cases = [
            ("/services/{team}/{bot}/{secret}", "/services/T0/B0"),
            ("/services/{team}/{bot}/{secret}", "/services/T0/B0/s/more"),
            ("/services/{team}", "/services/"),
            ("/services/{team}", "/Services/T0"),
            ("/services/{team}", "//services/T0"),
            ("/users/{user}:suspend", "/users/:suspend"),
            ("/v1/**", "/v1"),
            ("/v1/**", "/v2/x"),
            ("/mcp", "/mcp/"),
            ("/a", "a"),
            ("/a", "*"),
        ];
        for (template, path) in cases {
            assert_eq!(stored(template, path), None, "{template} {path}");
        }
    }

    #[test]
    fn what_is_not_a_template_is_refused() {
        let cases = [
            ("a", TemplateError::NotAbsolute),
            ("/{a", TemplateError::Braces("{a".to_owned())),
            ("/a}", TemplateError::Braces("a}".to_owned())),
            ("/{a}{b}", TemplateError::Braces("{a}{b}".to_owned())),
            ("/{A}", TemplateError::Name("A".to_owned())),
            ("/{a:b}", TemplateError::Kind("b".to_owned())),
            ("/**/a", TemplateError::Rest),
            ("/a**", TemplateError::Rest),
            ("/**", TemplateError::Rest),
            ("/a?b", TemplateError::Query),
            ("/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", TemplateError::TooLong),
        ];
        for (written, expected) in cases {
            assert_eq!(PathTemplate::parse(written), Err(expected), "{written}");
        }
    }
}
