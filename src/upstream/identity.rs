//! What of a caller's identity a destination need not learn: `identity.strip_elastic_fragment`.
//!
//! Only the User-Agent is changed, in its place, and only where nobody signed it. The evidence keeps what the client sent.

use http::header::{AUTHORIZATION, Entry, USER_AGENT};
use http::{HeaderMap, HeaderValue};

use crate::attribution::without_fragments;

/// What became of the Elastic fragment of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stripped {
    /// There was none.
    Absent,
    Removed,
    /// It is still there: without it the request's signature would be wrong.
    Signed,
}

/// Takes `elastic (deployment:...)` and `elastic (project:...)` out of the User-Agent. A User-Agent of which nothing is left is
/// removed. `query` is that of the request, where presigned URLs list what they sign.
pub fn strip_fragment(headers: &mut HeaderMap, query: Option<&str>) -> Stripped {
    let has_fragment = headers.get_all(USER_AGENT).iter().any(|line| without_fragments(line.as_bytes()).is_some());
    if !has_fragment {
        return Stripped::Absent;
    }
    if is_signed(headers, query) {
        return Stripped::Signed;
    }
    if let Entry::Occupied(mut lines) = headers.entry(USER_AGENT) {
        for line in lines.iter_mut() {
            if let Some(kept) = without_fragments(line.as_bytes()) {
                // What is left of a field value is one.
                *line = HeaderValue::from_bytes(&kept).unwrap_or_else(|_| HeaderValue::from_static(""));
            }
        }
        if lines.iter().all(HeaderValue::is_empty) {
            lines.remove();
        }
    }
    Stripped::Removed
}

/// Whether a signature of the request covers its User-Agent. Any mention counts: a header left alone is evidence of nothing
/// worse than a vendor that learns an id, a signature made wrong is a call that fails.
fn is_signed(headers: &HeaderMap, query: Option<&str>) -> bool {
    // SigV4 (`SignedHeaders=`), HTTP Message Signatures (RFC 9421) and the draft before it list there what they cover.
    let fields = [AUTHORIZATION.as_str(), "signature-input", "signature"];
    let mut values = fields.into_iter().flat_map(|name| headers.get_all(name));
    values.any(|value| names_user_agent(value.as_bytes()))
        || query.is_some_and(|query| {
            let mut parameters = query.split('&').filter_map(|parameter| parameter.split_once('='));
            parameters.any(|(key, value)| {
                key.eq_ignore_ascii_case("X-Amz-SignedHeaders") && names_user_agent(value.as_bytes())
            })
        })
}

fn names_user_agent(list: &[u8]) -> bool {
    let name = USER_AGENT.as_str().as_bytes();
    list.windows(name.len()).any(|window| window.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: &str = "axios/1.7.2 elastic (deployment:d1)";

    fn stripped(fields: &[(&'static str, &str)], query: Option<&str>) -> (Stripped, Vec<String>) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let stripped = strip_fragment(&mut headers, query);
        (stripped, headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect())
    }

    #[test]
    fn the_fragment_goes_and_the_field_stays_in_its_place() {
        let (what, fields) = stripped(&[("accept", "*/*"), ("user-agent", AGENT), ("x-last", "1")], None);
        assert_eq!(what, Stripped::Removed);
        assert_eq!(fields, ["accept: */*", "user-agent: axios/1.7.2", "x-last: 1"]);
    }

    #[test]
    fn every_line_loses_its_fragment_and_a_field_of_which_nothing_is_left_goes() {
        let (_, fields) = stripped(&[("user-agent", AGENT), ("user-agent", "x elastic (project:p) y")], None);
        assert_eq!(fields, ["user-agent: axios/1.7.2", "user-agent: x y"]);
        let (_, fields) = stripped(&[("user-agent", "elastic (project:p)"), ("a", "1")], None);
        assert_eq!(fields, ["a: 1"]);
    }

    #[test]
    fn what_is_signed_is_left_alone() {
        let sigv4 = "AWS4-HMAC-SHA256 Credential=A/B, SignedHeaders=host;user-agent;x-amz-date, Signature=00";
        for (field, value, query) in [
            ("authorization", sigv4, None),
            ("signature-input", "sig1=(\"@method\" \"user-agent\");created=1", None),
            ("signature", "keyId=\"k\",headers=\"host User-Agent\"", None),
            ("x-none", "1", Some("a=1&X-Amz-SignedHeaders=host%3Buser-agent")),
        ] {
            let (what, fields) = stripped(&[("user-agent", AGENT), (field, value)], query);
            assert_eq!(
                (what, fields[0].as_str()),
                (Stripped::Signed, "user-agent: axios/1.7.2 elastic (deployment:d1)")
            );
        }
    }

    #[test]
    fn a_signature_over_other_fields_is_no_reason_to_tell() {
        let sigv4 = "AWS4-HMAC-SHA256 Credential=A/B, SignedHeaders=host;x-amz-date, Signature=00";
        let (what, fields) = stripped(&[("user-agent", AGENT), ("authorization", sigv4)], Some("q=user-agent"));
        assert_eq!((what, fields[0].as_str()), (Stripped::Removed, "user-agent: axios/1.7.2"));
        assert_eq!(stripped(&[("user-agent", "axios/1"), ("authorization", sigv4)], None).0, Stripped::Absent);
    }
}
