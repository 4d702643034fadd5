//! What of a URL, an error text or a User-Agent may reach disk, and the keyed fingerprint that stands in for the rest.
//!
//! Conservative on purpose: a path segment stays only when it is plainly an API word, a version or a small number.
//! Which parts of which connector's URL are secret is not known here, see `connectors` for that; on an unknown path secrets
//! that look like ordinary words (`/hook/winter`) are only caught behind a word such as `hook` or `token`. Headers are never recorded; of bodies only what `excerpt` leaves, when that is configured.

mod fields;
mod fingerprint;
mod mail;
mod words;

pub use fields::{stored_authority, stored_media_type, stored_method};
pub use fingerprint::{FINGERPRINT_KEY_BYTES, FingerprintKey, FingerprintKeys, KeyId};
pub use mail::mail_tag;

use mail::is_mail_address;
pub(super) use words::is_plain_name;
use words::{announces_secret, is_api_word, is_plain_segment, looks_secret};

/// Stands for every removed text.
pub const REDACTED: &str = "{redacted}";
/// Ends a text that was cut off.
pub(super) const TRUNCATED: &str = "{truncated}";
/// Longest redacted path, query or text that is kept, in octets; the last part may run over it.
const KEPT_BYTES_MAX: usize = 2048;
/// Longest User-Agent that is kept, in octets.
pub const USER_AGENT_BYTES_MAX: usize = 512;

/// Redacts a request path segment by segment. Slashes stay, so the shape of the path stays.
///
/// `/services/T024BE7LD/B024BE7LD/secret` becomes `/services/{redacted}/{redacted}/{redacted}`, and a mail address its tag.
pub fn redact_path(path: &str, mail_key: Option<&FingerprintKey>) -> String {
    let mut kept = String::with_capacity(path.len().min(KEPT_BYTES_MAX));
    let mut behind_marker = false;
    for (position, segment) in path.split('/').enumerate() {
        if position > 0 {
            kept.push('/');
        }
        if kept.len() > KEPT_BYTES_MAX {
            kept.push_str(TRUNCATED);
            break;
        }
        let stays = segment.is_empty() || is_api_word(segment) || (!behind_marker && is_plain_segment(segment));
        match stays {
            true => kept.push_str(segment),
            false if is_mail_address(segment) => kept.push_str(&mail_tag(segment, mail_key)),
            false => kept.push_str(REDACTED),
        }
        // Everything behind `/webhook/` or `/token/` may be the secret, however plain it looks.
        behind_marker |= announces_secret(segment);
    }
    kept
}

/// Longest value that is kept because its key is known to be harmless, in octets. Shorter than any credential.
const HARMLESS_BYTES_MAX: usize = 16;

/// Redacts a query without its `?`: plain keys stay, values go. A parameter without `=` is a value.
///
/// `harmless_keys` are those whose values stay when [`is_harmless`] says so, too.
pub fn redact_query(query: &str, harmless_keys: &[String]) -> String {
    let mut kept = String::with_capacity(query.len().min(KEPT_BYTES_MAX));
    for (position, parameter) in query.split('&').enumerate() {
        if position > 0 {
            kept.push('&');
        }
        if kept.len() > KEPT_BYTES_MAX {
            kept.push_str(TRUNCATED);
            break;
        }
        let Some((key, value)) = parameter.split_once('=') else {
            kept.push_str(if parameter.is_empty() || is_api_word(parameter) { parameter } else { REDACTED });
            continue;
        };
        // Without a value it may be the padding of Base64, and the key the secret.
        let stays = if value.is_empty() { is_plain_segment(key) } else { is_plain_name(key) };
        kept.push_str(if stays { key } else { REDACTED });
        kept.push('=');
        let harmless = value.is_empty() || (harmless_keys.iter().any(|known| known == key) && is_harmless(value));
        kept.push_str(if harmless { value } else { REDACTED });
    }
    kept
}

/// Whether a value that is expected to be harmless can be: short, and of letters, digits and separators only. No mail address,
/// nothing encoded, no dot segment.
pub fn is_harmless(value: &str) -> bool {
    value.len() <= HARMLESS_BYTES_MAX
        && value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Redacts a free text such as an error message: URLs and paths in it as above, userinfo, credentials behind an
/// authentication scheme or a name such as `token:`, mail addresses and anything that looks like a token. Control characters become spaces.
pub fn redact_text(text: &str) -> String {
    let mut kept = String::with_capacity(text.len().min(KEPT_BYTES_MAX));
    let mut behind_name = false;
    for piece in text.split_inclusive(is_text_delimiter) {
        if kept.len() > KEPT_BYTES_MAX {
            kept.push_str(TRUNCATED);
            break;
        }
        let word = piece.trim_end_matches(is_text_delimiter);
        if behind_name && !word.is_empty() {
            kept.push_str(REDACTED);
        } else {
            push_word(&mut kept, word);
        }
        kept.extend(piece.chars().skip(word.chars().count()).map(|c| if c.is_control() { ' ' } else { c }));
        behind_name = announces_credential(word) || (behind_name && word.is_empty());
    }
    kept
}

fn is_text_delimiter(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '`' | '<' | '>' | '(' | ')' | '{' | '}' | ',' | ';')
}

/// Whether the next word is a credential: `Bearer`, `Basic`, `token:`, `password=`.
fn announces_credential(word: &str) -> bool {
    const SCHEMES: [&str; 6] = ["apikey", "basic", "bearer", "digest", "geniekey", "negotiate"];
    let name = word.trim_end_matches([':', '=']);
    SCHEMES.iter().any(|scheme| name.eq_ignore_ascii_case(scheme))
        || (name.len() < word.len() && announces_secret(name))
}

fn push_word(kept: &mut String, word: &str) {
    if let Some((scheme, rest)) = word.split_once("://") {
        push_url(kept, scheme, rest);
    } else if matches!(word, "HTTP/1.0" | "HTTP/1.1" | "HTTP/2") {
        kept.push_str(word);
    } else if word.contains('/') {
        push_path_and_query(kept, word);
    } else if word.contains(['@', '%']) {
        kept.push_str(REDACTED);
    } else if let Some((key, value)) = word.split_once('=') {
        kept.push_str(if is_plain_name(key) { key } else { REDACTED });
        kept.push('=');
        kept.push_str(if value.is_empty() || is_plain_segment(value) && !announces_secret(key) {
            value
        } else {
            REDACTED
        });
    } else {
        kept.push_str(if looks_secret(word) { REDACTED } else { word });
    }
}

fn push_url(kept: &mut String, scheme: &str, rest: &str) {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    kept.push_str(if is_scheme(scheme) { scheme } else { REDACTED });
    kept.push_str("://");
    if host.len() != authority.len() {
        kept.push_str(REDACTED);
        kept.push('@');
    }
    kept.push_str(if host.len() > 255 { REDACTED } else { host });
    push_path_and_query(kept, path);
}

fn is_scheme(scheme: &str) -> bool {
    ["http", "https", "smtp", "smtps", "tcp", "tls", "ws", "wss"].contains(&scheme)
}

/// A fragment never travels on the wire, so where one appears in a text it is dropped.
fn push_path_and_query(kept: &mut String, path_and_query: &str) {
    let without_fragment = path_and_query.split('#').next().unwrap_or_default();
    match without_fragment.split_once('?') {
        None => kept.push_str(&redact_path(without_fragment, None)),
        Some((path, query)) => {
            kept.push_str(&redact_path(path, None));
            kept.push('?');
            kept.push_str(&redact_query(query, &[]));
        }
    }
}

/// A User-Agent as it is stored: at most [`USER_AGENT_BYTES_MAX`] octets; what is not UTF-8 and control characters
/// become U+FFFD.
pub fn printable_user_agent(user_agent: &[u8]) -> String {
    let head = user_agent.get(..USER_AGENT_BYTES_MAX).unwrap_or(user_agent);
    if let (true, Ok(text)) = (head.iter().all(|byte| matches!(byte, b' '..=b'~')), std::str::from_utf8(head)) {
        return text.to_owned();
    }
    let mut printable = String::with_capacity(head.len());
    for c in String::from_utf8_lossy(head).chars() {
        let c = if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        if printable.len() + c.len_utf8() > USER_AGENT_BYTES_MAX {
            break;
        }
        printable.push(c);
    }
    printable
}

#[cfg(test)]
mod tests;
