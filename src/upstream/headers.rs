//! Which header fields travel on and which belong to one connection only (RFC 9110 section 7.6.1).

use http::header::{
    AUTHORIZATION, CONNECTION, COOKIE, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Version};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What is of one connection whether Connection lists it or not.
static HOP_BY_HOP: [HeaderName; 6] = [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE];

/// Whether the message asks to leave HTTP for another protocol on this connection (RFC 9110 section 7.8).
pub fn asks_for_upgrade(headers: &HeaderMap, version: Version) -> bool {
    version == Version::HTTP_11 && headers.contains_key(UPGRADE) && connection_lists(headers, "upgrade")
}

/// Removes what belongs to the client's connection from a request. `Upgrade` and `TE: trailers` are kept where they were
/// asked for, because they are negotiated end to end through us.
pub fn strip_request(headers: &mut HeaderMap, upgrade: bool) {
    let trailers = connection_lists(headers, "te") && value_lists(headers, &TE, "trailers");
    strip(headers, upgrade);
    remove_all(headers, |name| name == PROXY_AUTHORIZATION);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        append_connection(headers, "te");
    }
}

/// Adds the Host field that HTTP/1.1 requires (RFC 9112 section 3.2) to a request whose URI or version made it optional.
pub fn name_host(headers: &mut HeaderMap, authority: &str) {
    if let (false, Ok(host)) = (headers.contains_key(HOST), HeaderValue::try_from(authority)) {
        headers.insert(HOST, host);
    }
}

/// Whether a message takes part in an authentication scheme that authenticates the connection and not the request (NTLM,
/// Negotiate; RFC 4559). What is sent later on such a connection would be taken for the same user's.
pub fn authenticates_connection(headers: &HeaderMap) -> bool {
    // One walk over a handful of fields costs less than two look-ups.
    headers
        .iter()
        .filter(|(name, _)| [AUTHORIZATION, WWW_AUTHENTICATE].contains(name))
        .filter_map(|(_, value)| value.as_bytes().split(|byte| *byte == b' ').next())
        .any(|scheme| scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate"))
}

/// Makes an HTTP/2 request's fields fit for HTTP/1.1: one Cookie line (RFC 9113 section 8.2.3).
pub fn from_http2(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let (2.., Ok(cookie)) = (crumbs.len(), HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))) {
        headers.insert(COOKIE, cookie);
    }
}

/// Removes what belongs to the upstream's connection from a response.
pub fn strip_response(headers: &mut HeaderMap, upgrade: bool) {
    strip(headers, upgrade);
    remove_all(headers, |name| name == PROXY_AUTHENTICATE);
}

fn strip(headers: &mut HeaderMap, upgrade: bool) {
    let listed = listed(headers);
    let gone = |name: &HeaderName| HOP_BY_HOP.contains(name) || listed.contains(name);
    remove_all(headers, |name| gone(name) && !(upgrade && name == UPGRADE));
    if upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
}

/// Removes fields and leaves the others in the order in which they were sent, which `HeaderMap::remove` does not: it
/// moves the last field into the gap.
pub fn remove_all(headers: &mut HeaderMap, gone: impl Fn(&HeaderName) -> bool) {
    if !headers.keys().any(&gone) {
        return;
    }
    let mut field = None;
    for (name, value) in std::mem::take(headers) {
        // The further values of a field come without its name.
        field = name.or(field);
        if let Some(name) = field.as_ref().filter(|name| !gone(name)) {
            headers.append(name, value);
        }
    }
}

/// The field names the Connection header lists. `close` and `keep-alive` are options, not fields, and harmless to list.
fn listed(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|token| token.trim().parse().ok())
        .filter(|name| !is_end_to_end(name))
        .collect()
}

/// Fields that a sender may not hide by listing them in Connection (RFC 9110 section 7.6.1: "MUST NOT").
fn is_end_to_end(name: &HeaderName) -> bool {
    use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
    [AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, USER_AGENT].contains(name)
}

fn connection_lists(headers: &HeaderMap, option: &str) -> bool {
    value_lists(headers, &CONNECTION, option)
}

fn value_lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|listed| listed.trim().eq_ignore_ascii_case(token))
}

fn append_connection(headers: &mut HeaderMap, option: &'static str) {
    let joined = match headers.get(CONNECTION).and_then(|value| value.to_str().ok()) {
        Some(present) => HeaderValue::try_from(format!("{present}, {option}")),
        None => Ok(HeaderValue::from_static(option)),
    };
    if let Ok(value) = joined {
        headers.insert(CONNECTION, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        map
    }

    fn names(map: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn connection_fields_and_proxy_credentials_stay_here() {
        let mut map = headers(&[
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic Zm9vOmJhcg=="),
            ("te", "gzip"),
            ("authorization", "Bearer kept"),
            ("x-kept", "1"),
        ]);
        strip_request(&mut map, false);
        assert_eq!(names(&map), ["authorization", "x-kept"]);
    }

    /// undici sends Connection second; the last field used to take its place.
    #[test]
    fn what_stays_keeps_its_order() {
        let mut map = headers(&[
            ("host", "a.test"),
            ("connection", "keep-alive, x-hop"),
            ("accept", "*/*"),
            ("proxy-authorization", "Basic Zm9vOmJhcg=="),
            ("x-twice", "1"),
            ("x-twice", "2"),
            ("x-hop", "1"),
            ("accept-language", "*"),
            ("accept-encoding", "gzip"),
        ]);
        strip_request(&mut map, false);
        let kept: Vec<_> = map.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(
            kept,
            [
                ("host", "a.test"),
                ("accept", "*/*"),
                ("x-twice", "1"),
                ("x-twice", "2"),
                ("accept-language", "*"),
                ("accept-encoding", "gzip"),
            ]
        );
    }

    #[test]
    fn a_sender_cannot_hide_end_to_end_fields_behind_connection() {
        let mut map = headers(&[("connection", "authorization, host, content-length"), ("authorization", "Bearer x")]);
        strip_request(&mut map, false);
        assert_eq!(names(&map), ["authorization"]);
    }

    #[test]
    fn an_upgrade_keeps_its_two_fields() {
        let mut map = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket"), ("keep-alive", "1")]);
        assert!(asks_for_upgrade(&map, Version::HTTP_11));
        strip_request(&mut map, true);
        assert_eq!(names(&map), ["connection", "upgrade"]);
        assert_eq!(map["connection"], "Upgrade");
    }

    #[test]
    fn trailers_stay_negotiated() {
        let mut map = headers(&[("connection", "TE"), ("te", "trailers, deflate")]);
        strip_request(&mut map, false);
        assert_eq!((&map["te"], &map["connection"]), (&"trailers".parse().unwrap(), &"te".parse().unwrap()));
    }

    #[test]
    fn http_2_fields_become_http_1_fields() {
        let mut map = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
        from_http2(&mut map);
        name_host(&mut map, "api.example.com");
        name_host(&mut map, "other.example.com");
        assert_eq!((map["host"].as_bytes(), map["cookie"].as_bytes()), (&b"api.example.com"[..], &b"a=1; b=2"[..]));
    }

    #[test]
    fn authentication_of_a_connection_is_told_from_authentication_of_a_request() {
        assert!(authenticates_connection(&headers(&[("authorization", "NTLM TlRMTVNTUAAB")])));
        assert!(authenticates_connection(&headers(&[
            ("www-authenticate", "Basic realm=x"),
            ("www-authenticate", "Negotiate")
        ])));
        assert!(!authenticates_connection(&headers(&[
            ("authorization", "Bearer negotiate"),
            ("www-authenticate", "Basic")
        ])));
    }

    #[test]
    fn http_2_has_no_upgrade() {
        let map = headers(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        assert!(!asks_for_upgrade(&map, Version::HTTP_2));
    }
}
