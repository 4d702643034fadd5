//! The beginning of a body, kept for its row without what could be secret in it.
//!
//! Off unless configured. Bytes are copied while they pass and nothing waits for them. What is kept in the end: of JSON its
//! structure, plain keys, short numbers, booleans and null; of forms the plain keys; of plain text its length; of all else, and
//! of anything with a Content-Encoding, nothing.

mod json;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::redact::{TRUNCATED, redact_query};

/// How a body can be read without knowing what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Json,
    Form,
    Length,
}

/// A body's beginning while it passes.
#[derive(Debug)]
pub struct Excerpt {
    reading: Reading,
    bytes_max: usize,
    head: Vec<u8>,
    /// Octets of the whole body so far.
    seen: u64,
}

impl Excerpt {
    /// Begins one of at most `bytes_max` octets for the body that these fields describe; `None` when nothing of it is to be kept.
    pub fn of(headers: &HeaderMap, bytes_max: usize) -> Option<Self> {
        if bytes_max == 0 || headers.contains_key(CONTENT_ENCODING) {
            return None;
        }
        let mut types = headers.get_all(CONTENT_TYPE).iter();
        let (Some(only), None) = (types.next(), types.next()) else { return None };
        let reading = reading_of(only.to_str().ok()?)?;
        Some(Self { reading, bytes_max, head: Vec::new(), seen: 0 })
    }

    /// More of the body has passed.
    pub fn saw(&mut self, data: &[u8]) {
        self.seen = self.seen.saturating_add(data.len() as u64);
        let room = match self.reading {
            Reading::Json | Reading::Form => self.bytes_max.saturating_sub(self.head.len()),
            Reading::Length => 0,
        };
        self.head.extend_from_slice(data.get(..room).unwrap_or(data));
    }

    /// What is stored of it; `None` for an empty body.
    pub fn redacted(&self) -> Option<String> {
        if self.seen == 0 {
            return None;
        }
        let is_whole = self.seen == self.head.len() as u64;
        Some(match self.reading {
            Reading::Json => json::redacted(&self.head, is_whole, self.bytes_max),
            Reading::Form => form(&self.head, is_whole),
            Reading::Length => format!("{{text of {} bytes}}", self.seen),
        })
    }
}

fn reading_of(content_type: &str) -> Option<Reading> {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_utf8 = parts.all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        !name.eq_ignore_ascii_case("charset")
            || ["utf-8", "us-ascii"].contains(&&*value.trim_matches('"').to_ascii_lowercase())
    });
    match essence.as_str() {
        _ if !is_utf8 => None,
        "application/json" | "text/json" => Some(Reading::Json),
        "application/x-www-form-urlencoded" => Some(Reading::Form),
        "text/plain" => Some(Reading::Length),
        other => (other.starts_with("application/") && other.ends_with("+json")).then_some(Reading::Json),
    }
}

/// A parameter that was cut off may be any part of a key, so it goes.
fn form(head: &[u8], is_whole: bool) -> String {
    let text = String::from_utf8_lossy(head);
    if is_whole {
        return redact_query(&text, &[]);
    }
    match text.rsplit_once('&') {
        Some((before, _)) => redact_query(before, &[]) + "&" + TRUNCATED,
        None => TRUNCATED.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn excerpt(content_type: &'static str, body: &[u8], bytes_max: usize) -> Option<String> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        let mut excerpt = Excerpt::of(&headers, bytes_max)?;
        for piece in body.chunks(3) {
            excerpt.saw(piece);
        }
        excerpt.redacted()
    }

    #[test]
    fn only_what_can_be_redacted_is_kept() {
        let cases: [(&str, &str, Option<&str>); 12] = [
            ("application/json", r#"{"text":"x"}"#, Some(r#"{"text":"{redacted}"}"#)),
            ("application/vnd.api+json; charset=UTF-8", "[1]", Some("[1]")),
            ("application/json; charset=utf-16", "[1]", None),
            (
                "application/x-www-form-urlencoded",
                "grant_type=x&client_secret=y",
                Some("grant_type={redacted}&client_secret={redacted}"),
            ),
            ("application/x-www-form-urlencoded", "k9Xf2aa=1", Some("{redacted}={redacted}")),
            ("text/plain", "winter is coming", Some("{text of 16 bytes}")),
            ("text/plain", "", None),
            ("text/html", "<p>", None),
            ("text/event-stream", "data: {}", None),
            ("application/x-ndjson", "{}", None),
            ("multipart/form-data; boundary=x", "--x", None),
            ("winter", "{}", None),
        ];
        for (content_type, body, expected) in cases {
            assert_eq!(excerpt(content_type, body.as_bytes(), 1000).as_deref(), expected, "{content_type} {body}");
        }
    }

    #[test]
    fn nothing_is_kept_when_off_encoded_or_unclear() {
        let of = |pairs: &[(http::HeaderName, &'static str)], bytes_max| {
            let headers = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            let mut map = HeaderMap::new();
            map.extend(headers);
            Excerpt::of(&map, bytes_max).is_some()
        };
        assert!(of(&[(CONTENT_TYPE, "application/json")], 1));
        assert!(!of(&[(CONTENT_TYPE, "application/json")], 0));
        assert!(!of(&[(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, "gzip")], 1));
        assert!(!of(&[(CONTENT_TYPE, "application/json"), (CONTENT_TYPE, "text/plain")], 1));
        assert!(!of(&[], 1));
    }

    #[test]
    fn a_long_body_is_cut_where_nothing_is_torn() {
        assert_eq!(
            excerpt("application/x-www-form-urlencoded", b"alpha=1&winter=2", 12).as_deref(),
            Some("alpha={redacted}&{truncated}")
        );
        assert_eq!(excerpt("application/x-www-form-urlencoded", b"alphabet", 4).as_deref(), Some("{truncated}"));
        assert_eq!(excerpt("application/json", br#"{"a":1,"winter":"#, 12).as_deref(), Some(r#"{"a":1,{truncated}"#));
        assert_eq!(excerpt("text/plain", &[b'a'; 5000], 10).as_deref(), Some("{text of 5000 bytes}"));
    }

    proptest! {
        #[test]
        fn tokens_survive_nowhere(token in "[A-Za-z0-9]{20,64}|[0-9a-f]{20,64}|[0-9]{16,40}", cut in 1_usize..200) {
            for body in [format!(r#"{{"{token}":1}}"#), format!(r#"{{"a":["{token}"]}}"#), format!(r#"["\"{token}"]"#),
                format!("[{token}]"), format!(r#"{{"a":{token}"#), token.clone(), format!(r#"{{"a" "{token}"}}"#)] {
                let kept = excerpt("application/json", body.as_bytes(), cut).unwrap_or_default();
                prop_assert!(!kept.contains(token.get(..11).unwrap_or_default()), "{body} {kept}");
            }
            for body in [format!("{token}=1"), format!("a={token}&{token}"), token.clone()] {
                let kept = excerpt("application/x-www-form-urlencoded", body.as_bytes(), cut).unwrap_or_default();
                prop_assert!(!kept.contains(token.get(..11).unwrap_or_default()), "{body} {kept}");
            }
        }

        #[test]
        fn any_bytes_are_read_and_little_is_kept(body in proptest::collection::vec(any::<u8>(), 0..300), bytes_max in 1_usize..64) {
            for content_type in ["application/json", "application/x-www-form-urlencoded"] {
                let kept = excerpt(content_type, &body, bytes_max).unwrap_or_default();
                prop_assert!(kept.len() <= 12 * bytes_max + 64, "{kept}");
            }
        }
    }
}
