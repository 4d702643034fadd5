//! JSON (RFC 8259) that may end anywhere, without its strings: structure, plain keys, short numbers, booleans and null stay.

use crate::observe::redact::{REDACTED, TRUNCATED, is_plain_name};

/// Longest number that is kept, in octets: a time in seconds still is, a card number is not.
const NUMBER_BYTES_MAX: usize = 10;
/// Deepest nesting that is read.
const DEPTH_MAX: usize = 64;
/// Ends what is not JSON any more.
const UNREADABLE: &str = "{unreadable}";

/// What stays of `text`, of which `is_whole` says that nothing follows. At most a little longer than `bytes_max`.
pub(super) fn redacted(text: &[u8], is_whole: bool, bytes_max: usize) -> String {
    let mut reader = Reader { rest: text, is_whole, kept: String::new(), open: Vec::new() };
    match reader.read(bytes_max) {
        Ok(()) => {}
        Err(Stop::Cut) => reader.kept.push_str(TRUNCATED),
        Err(Stop::NotJson) => reader.kept.push_str(UNREADABLE),
    }
    reader.kept
}

/// Why reading ended before the end.
enum Stop {
    /// The text goes on, but not here; or enough was kept.
    Cut,
    NotJson,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Value,
    /// A value, or the end of an array that has none.
    FirstValue,
    Key,
    /// A key, or the end of an object that has none.
    FirstKey,
    /// A comma or the end of the container; the end of the text outside all.
    Next,
}

struct Reader<'t> {
    rest: &'t [u8],
    is_whole: bool,
    kept: String,
    open: Vec<Container>,
}

impl<'t> Reader<'t> {
    fn read(&mut self, bytes_max: usize) -> Result<(), Stop> {
        let mut expected = Expected::Value;
        loop {
            self.skip_space();
            if self.kept.len() > bytes_max {
                return Err(Stop::Cut);
            }
            let Some((&first, after)) = self.rest.split_first() else {
                let is_end = self.is_whole && self.open.is_empty() && expected == Expected::Next;
                return if is_end { Ok(()) } else { Err(self.ended()) };
            };
            expected = match (expected, first) {
                (Expected::FirstValue, b']') | (Expected::FirstKey, b'}') | (Expected::Next, b']' | b'}') => {
                    self.rest = after;
                    self.close(first)?
                }
                (Expected::Next, b',') => {
                    self.rest = after;
                    self.kept.push(',');
                    match self.open.last().ok_or(Stop::NotJson)? {
                        Container::Object => Expected::Key,
                        Container::Array => Expected::Value,
                    }
                }
                (Expected::Key | Expected::FirstKey, b'"') => self.key()?,
                (Expected::Value | Expected::FirstValue, _) => self.value(first)?,
                (Expected::Key | Expected::FirstKey | Expected::Next, _) => return Err(Stop::NotJson),
            };
        }
    }

    fn skip_space(&mut self) {
        let space = self.rest.iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
        self.rest = self.rest.get(space..).unwrap_or_default();
    }

    /// The text ended in the middle of something.
    const fn ended(&self) -> Stop {
        if self.is_whole { Stop::NotJson } else { Stop::Cut }
    }

    fn close(&mut self, bracket: u8) -> Result<Expected, Stop> {
        match (self.open.pop(), bracket) {
            (Some(Container::Object), b'}') | (Some(Container::Array), b']') => {
                self.kept.push(bracket.into());
                Ok(Expected::Next)
            }
            (Some(_) | None, _) => Err(Stop::NotJson),
        }
    }

    fn key(&mut self) -> Result<Expected, Stop> {
        let key = self.string()?;
        self.skip_space();
        let (&colon, after) = self.rest.split_first().ok_or_else(|| self.ended())?;
        if colon != b':' {
            return Err(Stop::NotJson);
        }
        self.rest = after;
        let name = std::str::from_utf8(key).ok().filter(|key| is_plain_name(key)).unwrap_or(REDACTED);
        self.kept.push('"');
        self.kept.push_str(name);
        self.kept.push_str("\":");
        Ok(Expected::Value)
    }

    fn value(&mut self, first: u8) -> Result<Expected, Stop> {
        match first {
            b'{' => self.enter(Container::Object),
            b'[' => self.enter(Container::Array),
            b'"' => {
                self.string()?;
                self.kept.push('"');
                self.kept.push_str(REDACTED);
                self.kept.push('"');
                Ok(Expected::Next)
            }
            _ => self.scalar(),
        }
    }

    fn enter(&mut self, container: Container) -> Result<Expected, Stop> {
        if self.open.len() == DEPTH_MAX {
            return Err(Stop::Cut);
        }
        self.rest = self.rest.get(1..).unwrap_or_default();
        self.open.push(container);
        let (bracket, next) = match container {
            Container::Object => ('{', Expected::FirstKey),
            Container::Array => ('[', Expected::FirstValue),
        };
        self.kept.push(bracket);
        Ok(next)
    }

    /// The octets between the quotes, escapes as they are.
    fn string(&mut self) -> Result<&'t [u8], Stop> {
        let inner = self.rest.get(1..).unwrap_or_default();
        let mut is_escaped = false;
        let end = inner.iter().position(|byte| {
            let is_end = *byte == b'"' && !is_escaped;
            is_escaped = *byte == b'\\' && !is_escaped;
            is_end
        });
        let (string, after) = inner.split_at_checked(end.ok_or_else(|| self.ended())?).ok_or(Stop::NotJson)?;
        self.rest = after.get(1..).unwrap_or_default();
        Ok(string)
    }

    fn scalar(&mut self) -> Result<Expected, Stop> {
        let in_scalars = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let (scalar, after) = self.rest.split_at(self.rest.iter().take_while(in_scalars).count());
        if after.is_empty() && !self.is_whole {
            return Err(Stop::Cut);
        }
        let text = std::str::from_utf8(scalar).unwrap_or_default();
        match text {
            "true" | "false" | "null" => self.kept.push_str(text),
            _ if text.parse::<f64>().is_err() || !text.ends_with(|c: char| c.is_ascii_digit()) => {
                return Err(Stop::NotJson);
            }
            _ if text.len() <= NUMBER_BYTES_MAX => self.kept.push_str(text),
            _ => {
                self.kept.push('"');
                self.kept.push_str(REDACTED);
                self.kept.push('"');
            }
        }
        self.rest = after;
        Ok(Expected::Next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_stays_and_strings_go() {
        for (text, expected) in [
            (
                r#" {"text" : "winter", "n":-1.5e3,"ok":true,"x":null} "#,
                r#"{"text":"{redacted}","n":-1.5e3,"ok":true,"x":null}"#,
            ),
            (r#"{"a":{"b":[{"c":[]},{}]}}"#, r#"{"a":{"b":[{"c":[]},{}]}}"#),
            (r#"{"jane@acme.test":1,"k9Xf2aa":2,"winter\"":3}"#, r#"{"{redacted}":1,"{redacted}":2,"{redacted}":3}"#),
            (r#"{"card":4111111111111111,"at":1795305600}"#, r#"{"card":"{redacted}","at":1795305600}"#),
            (r#"["a\\","\"b"]"#, r#"["{redacted}","{redacted}"]"#),
            (r#""winter""#, r#""{redacted}""#),
            ("true", "true"),
        ] {
            assert_eq!(redacted(text.as_bytes(), true, 1000), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_json_ends_the_excerpt() {
        for (text, expected) in [
            ("winter", "{unreadable}"),
            (r#"{"a":winter}"#, r#"{"a":{unreadable}"#),
            (r#"{"a" "winter"}"#, "{{unreadable}"),
            ("[1}", "[1{unreadable}"),
            ("[1] winter", "[1]{unreadable}"),
            ("[1,]", "[1,{unreadable}"),
            (r#"{"a":1"#, r#"{"a":1{unreadable}"#),
            ("NaN", "{unreadable}"),
            ("infinity", "{unreadable}"),
            ("", "{unreadable}"),
        ] {
            assert_eq!(redacted(text.as_bytes(), true, 1000), expected, "{text}");
        }
    }

    #[test]
    fn an_end_anywhere_is_a_cut_and_tears_nothing() {
        let text = r#"{"text":"winter","count":12345,"ok":true}"#;
        for end in 0..text.len() {
            let kept = redacted(&text.as_bytes()[..end], false, 1000);
            assert!(kept.ends_with(TRUNCATED), "{end} {kept}");
            assert!(!kept.contains("wint") && !kept.contains("1234{"), "{end} {kept}");
        }
        let deep = "[".repeat(DEPTH_MAX + 1);
        assert_eq!(redacted(deep.as_bytes(), true, 1000), "[".repeat(DEPTH_MAX) + TRUNCATED);
    }
}
