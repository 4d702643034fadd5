//! Which texts are plainly words of an API, and which look like secrets. When in doubt, they are not words.

/// Longest path segment that can stay without being listed, in octets.
const SEGMENT_BYTES_MAX: usize = 48;
/// Shorter texts cannot hold much of a secret in single characters.
const SHREDDED_BYTES_MIN: usize = 12;
/// Longest single word that can stay without being listed, in octets.
const WORD_BYTES_MAX: usize = 14;
/// Longest name of a query parameter that can stay, in octets.
const NAME_BYTES_MAX: usize = 40;
/// Longest number that can stay, in digits.
const NUMBER_DIGITS_MAX: usize = 4;
/// Words up to this length carry too little to be a secret, so their letters are not looked at.
const SHORT_WORD_BYTES: usize = 4;
/// From this length on, a text that is not plainly words counts as a token.
const TOKEN_BYTES_MIN: usize = 20;
/// Consonants in a row that words of a language rarely exceed.
const CONSONANT_RUN_MAX: usize = 4;

/// Words of Kibana's connector APIs that stay wherever they stand. Sorted, for binary search.
const API_WORDS: [&str; 62] = [
    "CreateEvents",
    "IncomingWebhook",
    "access",
    "accounts",
    "agents",
    "alerts",
    "analyses",
    "api",
    "authorize",
    "case",
    "chat",
    "close",
    "comment",
    "completions",
    "conversations",
    "converse",
    "converse-stream",
    "createmeta",
    "data_sources",
    "deployments",
    "devices",
    "embeddings",
    "enqueue",
    "entities",
    "events",
    "files",
    "generateContent",
    "graphql",
    "health",
    "incident",
    "incidents",
    "info",
    "invoke",
    "invoke-with-response-stream",
    "ip_addresses",
    "issue",
    "issuetypes",
    "jql",
    "json",
    "list",
    "machines",
    "mcp",
    "messages",
    "model",
    "models",
    "oauth",
    "oauth2",
    "openai",
    "pages",
    "postMessage",
    "projects",
    "refresh",
    "responses",
    "rest",
    "search",
    "statements",
    "streamGenerateContent",
    "table",
    "update",
    "upload",
    "users",
    "wsdl",
];

/// Words behind which a path carries its secret: Slack, Teams, Tines and the like. Lower case.
const SECRET_MARKERS: [&str; 22] = [
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "auth",
    "credential",
    "credentials",
    "hook",
    "hooks",
    "incomingwebhook",
    "key",
    "keys",
    "pass",
    "password",
    "secret",
    "secrets",
    "services",
    "sig",
    "signature",
    "token",
    "tokens",
    "webhook",
];

/// Whether a segment is one of the listed API words or a version, alone or continued by more of them or small numbers
/// behind dots (`oauth.v2.access`, `v2.1`).
pub(super) fn is_api_word(segment: &str) -> bool {
    let is_listed = |word: &str| API_WORDS.binary_search(&word).is_ok() || is_version(word);
    let mut words = segment.split('.');
    words.next().is_some_and(is_listed) && words.all(|word| is_listed(word) || is_small_number(word))
}

/// Whether what follows this segment may be a secret.
pub(super) fn announces_secret(segment: &str) -> bool {
    let is_marker = |word: &str| SECRET_MARKERS.iter().any(|marker| marker.eq_ignore_ascii_case(word));
    is_marker(segment) || segment.strip_suffix(['s', 'S']).is_some_and(is_marker)
}

/// Whether a path segment can stay: listed, or lower-case words, versions and small numbers joined by `-` or `_`.
///
/// Unlisted words joined by dots are not kept: they may be a person's name or a host.
pub(super) fn is_plain_segment(segment: &str) -> bool {
    if is_api_word(segment) {
        return true;
    }
    segment.len() <= SEGMENT_BYTES_MAX
        && !is_shredded(segment)
        && segment.split(['-', '_']).all(|word| is_lower_word(word) || is_version(word) || is_small_number(word))
}

/// Whether the name of a query parameter can stay. Names are more varied than segments (`$top`, `X-Amz-Date`,
/// `filter[name]`, `identifierType`), so capitals are allowed at the start of words.
pub(in crate::observe) fn is_plain_name(name: &str) -> bool {
    let name = name.strip_prefix('$').unwrap_or(name);
    name.len() <= NAME_BYTES_MAX
        && !is_shredded(name)
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.split(['-', '_', '.', '[', ']']).all(|word| {
            word.is_empty() || is_version(word) || is_small_number(word) || is_hump_word(word) || is_short_upper(word)
        })
}

/// Whether a text of some length is mostly separators and single characters: each a word by itself, together a token.
fn is_shredded(text: &str) -> bool {
    let words = || text.split(['-', '_', '.', '[', ']']);
    text.len() >= SHREDDED_BYTES_MIN && words().filter(|word| word.len() < 2).count() * 2 > words().count()
}

/// Whether a word of a free text looks like a token: long, or letters mixed with digits. Dots, colons and dashes
/// separate, so that host names, addresses and versions stay readable; but dashes do not take a long token apart. Lower-case
/// words behind them may be long together: our own messages name configuration keys.
pub(super) fn looks_secret(word: &str) -> bool {
    word.split(['.', ':', '[', ']', '!', '?']).any(|part| {
        let long = part.len() >= TOKEN_BYTES_MIN && !part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        (long && !is_plain_segment(part)) || part.split(['-', '_']).any(looks_random)
    })
}

fn looks_random(part: &str) -> bool {
    let has = |class: fn(&u8) -> bool| part.bytes().any(|byte| class(&byte));
    let (digit, lower, upper) = (has(u8::is_ascii_digit), has(u8::is_ascii_lowercase), has(u8::is_ascii_uppercase));
    let mixed = digit && ((lower && upper) || ((lower || upper) && part.len() >= 8));
    part.len() >= TOKEN_BYTES_MIN || mixed || (digit && part.len() >= 12)
}

/// Lower-case letters that read as a word.
fn is_lower_word(word: &str) -> bool {
    (1..=WORD_BYTES_MAX).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_lowercase())
        && is_readable(word)
}

/// Words written together, each readable: `identifierType`, `Date`, `APIToken`. Random letters have single capitals,
/// which do not pass.
fn is_hump_word(word: &str) -> bool {
    if word.len() > WORD_BYTES_MAX + SHORT_WORD_BYTES || !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return false;
    }
    let mut rest = without_acronym(word);
    while !rest.is_empty() {
        let end = rest.match_indices(|c: char| c.is_ascii_uppercase()).map(|(at, _)| at).find(|at| *at > 0);
        let (hump, after) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, ""));
        if !is_readable(&hump.to_ascii_lowercase()) || (hump.len() < 2 && word.len() > 1) {
            return false;
        }
        rest = after;
    }
    true
}

/// Drops capitals in front of a capitalised word: `APIToken` becomes `Token`.
fn without_acronym(word: &str) -> &str {
    let capitals = word.bytes().take_while(u8::is_ascii_uppercase).count();
    if !(3..=SHORT_WORD_BYTES + 1).contains(&capitals) {
        return word;
    }
    word.get(capitals - 1..).unwrap_or(word)
}

fn is_short_upper(word: &str) -> bool {
    word.len() <= SHORT_WORD_BYTES && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn is_small_number(word: &str) -> bool {
    (1..=NUMBER_DIGITS_MAX).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// `v1`, `v10`, `v1beta`, `v1alpha2`.
fn is_version(word: &str) -> bool {
    let Some(rest) = word.strip_prefix('v') else {
        return false;
    };
    let after_major = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let minor = after_major.strip_prefix("alpha").or_else(|| after_major.strip_prefix("beta")).unwrap_or(after_major);
    (1..=3).contains(&(rest.len() - after_major.len())) && minor.len() <= 2 && minor.bytes().all(|b| b.is_ascii_digit())
}

/// Whether lower-case letters read as a word: some vowel, no long run of consonants, more than hexadecimal letters.
fn is_readable(word: &str) -> bool {
    if word.len() <= SHORT_WORD_BYTES {
        return true;
    }
    let is_vowel = |byte: u8| matches!(byte, b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
    let only_hexadecimal = word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let longest_run = word.split(|c: char| c.is_ascii() && is_vowel(c as u8)).map(str::len).max().unwrap_or(0);
    !only_hexadecimal && longest_run <= CONSONANT_RUN_MAX && word.bytes().any(is_vowel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_for_binary_search() {
        assert!(API_WORDS.is_sorted());
    }

    #[test]
    fn plain_segments_and_their_opposites() {
        for plain in [
            "rest",
            "api",
            "2",
            "v1",
            "v1beta1",
            "sys_choice",
            "chat.postMessage",
            "oauth.v2.access",
            "v2.1",
            "elastic_api",
            "real-time-response",
            "jsonv2".trim_end_matches("v2"),
            "chat",
            "2024",
        ] {
            assert!(is_plain_segment(plain), "{plain}");
        }
        for other in [
            "T024BE7LD",
            "k9Xf2",
            "PROJ-123",
            "deadbeef",
            "12345",
            "john.doe",
            "10.0.0.1",
            "a@b",
            "a%2Fb",
            "xkqjzwvbtr",
            "0763c7f3a5cf4fc78981d801d2b8af6a",
            "Secret",
            "a b",
            "é",
            "a;b",
            "-",
            "vv1",
            "v1234",
        ] {
            assert!(!is_plain_segment(other), "{other}");
        }
    }

    #[test]
    fn parameter_names_in_use_are_kept() {
        for name in [
            "api-version",
            "identifierType",
            "X-Amz-Signature",
            "sig",
            "alt",
            "$filter",
            "filter[name]",
            "action_name",
            "apiKey",
            "APIToken",
            "page",
            "v",
        ] {
            assert!(is_plain_name(name), "{name}");
        }
        for name in ["kXfQzT", "k9Xf2", "T024BE7LD", "", "12", "deadbeefcafe", "a%20b"] {
            assert!(!is_plain_name(name), "{name}");
        }
    }
}
