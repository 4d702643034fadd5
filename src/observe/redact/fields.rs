//! What of a method, an authority and a media type may be stored. Each is usually harmless and may yet hold anything a client likes.

use super::{REDACTED, words};

/// The methods of the IANA registry (RFC 9110 section 18.2), and PROPFIND's like. Sorted, for binary search.
const METHODS: [&str; 41] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PRI",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
    "VIEW",
];
/// Longest authority that is kept: a DNS name and a port.
const AUTHORITY_BYTES_MAX: usize = 261;
/// Top-level media types (RFC 6838 and successors).
const TOP_LEVEL_TYPES: [&str; 10] =
    ["application", "audio", "font", "haptics", "image", "message", "model", "multipart", "text", "video"];
/// What most messages have, spelled as it is stored.
const COMMON_MEDIA_TYPES: [&str; 6] = [
    "application/json",
    "application/json; charset=utf-8",
    "application/x-www-form-urlencoded",
    "text/html",
    "text/plain",
    "text/plain; charset=utf-8",
];
/// Longest media type that is kept, without its parameters.
const MEDIA_TYPE_BYTES_MAX: usize = 96;
/// Parameters of media types whose values say how to read a body, and nothing of it.
const PLAIN_PARAMETERS: [&str; 4] = ["charset", "odata.metadata", "profile", "version"];
/// Longest value of such a parameter that is kept.
const PARAMETER_BYTES_MAX: usize = 16;

/// A request method: a registered one, or `{redacted}`.
pub fn stored_method(method: &str) -> &str {
    if METHODS.binary_search(&method).is_ok() { method } else { REDACTED }
}

/// A host with optional port as it was spelled, in whatever way; user information and what no host can hold are removed.
pub fn stored_authority(spelled: &str) -> String {
    let (user, host) = spelled.rsplit_once('@').map_or(("", spelled), |(_, host)| (REDACTED, host));
    let separates = |byte: u8| matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'%');
    let plain = || host.bytes().all(|byte| byte.is_ascii_alphanumeric() || separates(byte));
    let in_hosts = |c: char| c.is_alphanumeric() || u8::try_from(c).is_ok_and(separates);
    let stays = host.len() <= AUTHORITY_BYTES_MAX && (plain() || host.chars().all(in_hosts));
    let host = if stays { host } else { REDACTED };
    if user.is_empty() { host.to_owned() } else { format!("{user}@{host}") }
}

/// A Content-Type value: type, subtype and plain parameters; the values of all others, such as `boundary`, are removed.
pub fn stored_media_type(value: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(value) else { return REDACTED.to_owned() };
    if COMMON_MEDIA_TYPES.contains(&text) {
        return text.to_owned();
    }
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    if !is_media_type(essence) {
        return REDACTED.to_owned();
    }
    let mut stored = essence.to_owned();
    for parameter in parts.filter(|parameter| !parameter.is_empty()).take(PLAIN_PARAMETERS.len()) {
        let (name, value) = parameter.split_once('=').unwrap_or((REDACTED, ""));
        let is_known = PLAIN_PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known));
        let stays = is_known && value.len() <= PARAMETER_BYTES_MAX && !words::looks_secret(value);
        stored.push_str("; ");
        stored.push_str(if is_known || name == "boundary" { name } else { REDACTED });
        stored.push('=');
        stored.push_str(if stays { value } else { REDACTED });
    }
    stored
}

/// `application/vnd.elastic+json`: a known top-level type, and words.
fn is_media_type(essence: &str) -> bool {
    let Some((top, sub)) = essence.split_once('/') else { return false };
    let top = top.to_ascii_lowercase();
    let in_tokens = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
    essence.len() <= MEDIA_TYPE_BYTES_MAX
        && TOP_LEVEL_TYPES.contains(&top.as_str())
        && sub.chars().all(in_tokens)
        && sub.split('+').all(|word| !words::looks_secret(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_registered_ones() {
        assert!(METHODS.is_sorted());
        assert_eq!(stored_method("PROPFIND"), "PROPFIND");
        for method in ["get", "WINTER", "XOXB-123"] {
            assert_eq!(stored_method(method), REDACTED, "{method}");
        }
    }

    #[test]
    fn authorities_lose_what_no_host_holds() {
        for (spelled, stored) in [
            ("Hooks.Slack.com.:443", "Hooks.Slack.com.:443"),
            ("[::1%25eth0]:80", "[::1%25eth0]:80"),
            ("user:winter@a.test", "{redacted}@a.test"),
            ("a@b@c.test:1", "{redacted}@c.test:1"),
            ("a.test/services/winter", "{redacted}"),
            ("a.test?key=winter", "{redacted}"),
            ("bücher.test", "bücher.test"),
            ("", ""),
        ] {
            assert_eq!(stored_authority(spelled), stored, "{spelled}");
        }
        assert_eq!(stored_authority(&"a".repeat(300)), REDACTED);
    }

    #[test]
    fn media_types_keep_what_says_how_to_read_a_body() {
        for (given, stored) in [
            ("application/json", "application/json"),
            ("application/json; charset=utf-8", "application/json; charset=utf-8"),
            ("Text/HTML;Charset=\"UTF-8\"", "Text/HTML; Charset=\"UTF-8\""),
            ("application/vnd.amazon.eventstream", "application/vnd.amazon.eventstream"),
            (
                "application/vnd.elasticsearch+json; compatible-with=8",
                "application/vnd.elasticsearch+json; {redacted}={redacted}",
            ),
            ("multipart/form-data; boundary=axios-1.7.2-boundary-x1Y2", "multipart/form-data; boundary={redacted}"),
            ("application/json; charset=xoxb1Y2k9", "application/json; charset={redacted}"),
            ("application/json; winter", "application/json; {redacted}={redacted}"),
            ("application/0763c7f3a5cf4fc78981d801d2b8af6a", "{redacted}"),
            ("winter/json", "{redacted}"),
            ("winter", "{redacted}"),
            ("text/plain; =;;", "text/plain; {redacted}={redacted}"),
        ] {
            assert_eq!(stored_media_type(given.as_bytes()), stored, "{given}");
        }
        assert_eq!(stored_media_type(b"text/\xff"), REDACTED);
    }

    /// The short cut gives what the rule gives: a trailing separator, which is not stored, leads around it.
    #[test]
    fn common_media_types_are_stored_as_the_rule_has_them() {
        for common in COMMON_MEDIA_TYPES {
            assert_eq!(stored_media_type(common.as_bytes()), common);
            assert_eq!(stored_media_type(format!("{common};").as_bytes()), common);
        }
    }
}
