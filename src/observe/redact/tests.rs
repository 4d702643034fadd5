//! URLs of the connectors as they are called, and random secrets in every place.

use proptest::prelude::*;

use super::*;
use crate::destination::{Destination, Scheme};

#[test]
fn connector_paths_keep_their_shape_and_lose_their_secrets() {
    let cases = [
        ("/", "/"),
        ("", ""),
        ("*", "{redacted}"),
        ("/services/T024BE7LD/B024BE7LD/xyzSECRET", "/services/{redacted}/{redacted}/{redacted}"),
        ("/services/plain/word", "/services/{redacted}/{redacted}"),
        ("/webhook/abc@tenant/IncomingWebhook/secret/x", "/webhook/{redacted}/IncomingWebhook/{redacted}/{redacted}"),
        ("/webhook/alerts/winter", "/webhook/alerts/{redacted}"),
        ("/api/chat.postMessage", "/api/chat.postMessage"),
        ("/v2/enqueue", "/v2/enqueue"),
        ("/rest/api/2/issue/PROJ-123/comment", "/rest/api/2/issue/{redacted}/comment"),
        ("/api/now/v2/table/incident", "/api/now/v2/table/incident"),
        ("/api1000/abcdef/host/example.com", "/{redacted}/{redacted}/host/{redacted}"),
        ("/tenant/oauth2/v2.0/token", "/tenant/oauth2/v2.0/token"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/invoke", "/model/{redacted}/invoke"),
        ("/a//b/../c", "/a//b/{redacted}/c"),
        ("/0763c7f3-a5cf-4fc7-8981-d801d2b8af6a/users", "/{redacted}/users"),
    ];
    for (path, expected) in cases {
        assert_eq!(redact_path(path, None), expected, "{path}");
    }
}

#[test]
fn queries_keep_plain_keys_only() {
    let cases = [
        ("", ""),
        ("key=abc&page=2", "key={redacted}&page={redacted}"),
        ("empty=&a=b=c", "empty=&a={redacted}"),
        ("xyzSECRET", "{redacted}"),
        ("winter", "{redacted}"),
        ("k9Xf2aa=1", "{redacted}={redacted}"),
        ("d2ludGVyIGlz=", "{redacted}="),
        ("Winter=&winterIsComing==", "{redacted}=&winterIsComing={redacted}"),
        ("X-Amz-Signature=0f&&wsdl", "X-Amz-Signature={redacted}&&wsdl"),
        ("api-version=2024-02-01", "api-version={redacted}"),
    ];
    for (query, expected) in cases {
        assert_eq!(redact_query(query, &[]), expected, "{query}");
    }
}

#[test]
fn error_texts_stay_readable() {
    let cases = [
        ("connection refused (os error 111)", "connection refused (os error 111)"),
        ("cannot resolve hooks.slack.com:443", "cannot resolve hooks.slack.com:443"),
        ("dial 10.0.0.1:8443 timed out after 5000 ms", "dial 10.0.0.1:8443 timed out after 5000 ms"),
        (
            "GET https://u:p@hooks.slack.com/services/T0/B0/x1Y2?key=v#f failed",
            "GET https://{redacted}@hooks.slack.com/services/{redacted}/{redacted}/{redacted}?key={redacted} failed",
        ),
        ("bad header Bearer abc, retry", "bad header Bearer {redacted}, retry"),
        ("Authorization: Basic  dTpw", "Authorization: Basic  {redacted}"),
        ("mail to a@b.example", "mail to {redacted}"),
        ("status=503 token=winter", "status=503 token={redacted}"),
        ("line\r\nbreak\0", "line  break "),
        ("type application/json, not HTML", "type application/json, not HTML"),
        ("password: winter; retry", "password: {redacted}; retry"),
        ("bad HTTP/1.1 response", "bad HTTP/1.1 response"),
        ("too slow (limits.response_head_timeout_s)", "too slow (limits.response_head_timeout_s)"),
        ("sent /services/T0/B0", "sent /services/{redacted}/{redacted}"),
        ("\"xoxb-1234567890123-abc\"", "\"{redacted}\""),
    ];
    for (text, expected) in cases {
        assert_eq!(redact_text(text), expected, "{text}");
    }
}

#[test]
fn long_input_is_cut() {
    let path = redact_path(&"/abc".repeat(10_000), None);
    assert!(path.len() <= KEPT_BYTES_MAX + 32 && path.ends_with(TRUNCATED), "{}", path.len());
    assert!(redact_query(&"a=b&".repeat(10_000), &[]).len() <= KEPT_BYTES_MAX + 32);
    assert!(redact_text(&"word ".repeat(10_000)).len() <= KEPT_BYTES_MAX + 32);
}

#[test]
fn user_agents_are_stored_printable_and_short() {
    assert_eq!(printable_user_agent(b"axios/1.7.2 elastic (deployment:a)"), "axios/1.7.2 elastic (deployment:a)");
    assert_eq!(printable_user_agent(b"a\x00b\xffc\x7f"), "a\u{fffd}b\u{fffd}c\u{fffd}");
    assert_eq!(printable_user_agent(&[b'a'; 600]).len(), 512);
    assert_eq!(printable_user_agent(&[0xff; 600]).len(), 510);
}

#[test]
fn the_fingerprint_is_the_hmac_of_the_url_as_people_write_it() {
    let key = FingerprintKey::new(&[7; FINGERPRINT_KEY_BYTES]);
    let of = |scheme, destination: &str, path: &[u8]| {
        key.fingerprint(scheme, &destination.parse::<Destination>().unwrap(), path)
    };
    let hmac = |url: &[u8]| {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[7; 32]);
        let tag = aws_lc_rs::hmac::sign(&key, url);
        tag.as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    };
    assert_eq!(of(Scheme::Https, "Example.com.:443", b"/a%2f?b"), hmac(b"https://example.com/a%2f?b"));
    assert_eq!(of(Scheme::Https, "example.com:8443", b"/"), hmac(b"https://example.com:8443/"));
    assert_eq!(of(Scheme::Http, "example.com:443", b"/"), hmac(b"http://example.com:443/"));
    assert_eq!(of(Scheme::Http, "[::1]:80", b"/"), hmac(b"http://[::1]/"));
    assert_ne!(of(Scheme::Https, "example.com:443", b"/a"), of(Scheme::Https, "example.com:443", b"/A"));
}

/// Found by the property below.
#[test]
fn a_token_of_single_characters_is_no_row_of_words() {
    let token = "a-_a_--a__A-A_A-_a-A-A--";
    assert_eq!(redact_query(&format!("{token}=a"), &[]), "{redacted}={redacted}");
    assert_eq!(redact_path("/api/a-b-c-d-e-f-g-h-i-j-k-l", None), "/api/{redacted}");
    assert_eq!(redact_query("filter[a]=1&x-y=2", &[]), "filter[a]={redacted}&x-y={redacted}");
}

proptest! {
    #[test]
    fn tokens_survive_nowhere(token in "[A-Za-z0-9]{20,64}|[0-9a-f]{20,64}|[a-z]{20,64}|[A-Za-z0-9_-]{24,64}|[A-Za-z0-9+]{24,64}={0,2}") {
        for path in [format!("/{token}"), format!("/api/{token}/close"), format!("/hook/a/{token}")] {
            prop_assert!(!redact_path(&path, None).contains(&token));
        }
        for query in [format!("a={token}"), format!("{token}=a"), token.clone(), format!("a&{token}&b")] {
            prop_assert!(!redact_query(&query, &[]).contains(&token));
        }
        for text in [token.clone(), format!("error {token}."), format!("https://a.example/x?{token}"), format!("k={token}")] {
            prop_assert!(!redact_text(&text).contains(&token), "{}", redact_text(&text));
        }
    }

    #[test]
    fn short_tokens_of_letters_and_digits_do_not_survive(token in "[a-z]{1,3}[0-9]{1,3}[A-Z]{1,3}[a-z0-9]{0,4}") {
        prop_assert_eq!(redact_path(&format!("/{token}"), None), "/{redacted}");
        prop_assert_eq!(redact_text(&token), "{redacted}");
    }

    #[test]
    fn redaction_is_stable(path in "(/[a-zA-Z0-9._%-]{0,12}){0,6}") {
        let once = redact_path(&path, None);
        prop_assert_eq!(redact_path(&once, None), once);
    }

    #[test]
    fn any_text_is_redacted_without_panic(text in "\\PC{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        redact_text(&text);
        redact_path(&text, None);
        redact_query(&text, &[]);
        prop_assert!(printable_user_agent(&bytes).len() <= USER_AGENT_BYTES_MAX);
    }
}
