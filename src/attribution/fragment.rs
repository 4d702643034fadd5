//! Where `elastic (deployment:<id>)` and `elastic (project:<id>)` stand in a User-Agent line, and the line without them.
//!
//! What the id is worth, and whether it can be one, is not looked at here.

use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem::Finder;

/// The text every fragment starts with, in this letter case.
const START: &[u8] = b"elastic (";

/// Looks for [`START`]; made once, because making it costs more than searching a User-Agent with it.
static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(START));

/// What a fragment names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Deployment,
    Project,
}

/// A fragment, perhaps without its end.
pub(super) struct Fragment<'a> {
    pub(super) kind: Kind,
    /// Position of its first octet in the line.
    start: usize,
    /// The id and whatever follows it.
    pub(super) rest: &'a [u8],
}

/// All fragments of a line. Other text after `elastic (` is an ordinary comment (RFC 9110 section 5.6.5).
pub(super) fn fragments(line: &[u8]) -> impl Iterator<Item = Fragment<'_>> {
    FINDER.find_iter(line).filter_map(|start| {
        let (before, fragment) = line.split_at_checked(start)?;
        if before.last().is_some_and(|byte| is_tchar(*byte)) {
            return None;
        }
        let content = fragment.get(START.len()..)?;
        let named = |kind, name: &[u8]| content.strip_prefix(name).map(|rest| Fragment { kind, start, rest });
        named(Kind::Deployment, b"deployment:").or_else(|| named(Kind::Project, b"project:"))
    })
}

/// The line without its fragments and the blanks before each, every other octet as it was; `None` when there is none.
///
/// One that is not closed reaches to the end of the line: what may be an id does not stay. Nothing stays of a line that was
/// made so that taking fragments out of it puts another together.
pub fn without_fragments(line: &[u8]) -> Option<Vec<u8>> {
    let mut kept: Vec<u8> = Vec::with_capacity(line.len());
    let mut done = 0;
    for Fragment { start, rest, .. } in fragments(line) {
        // One inside another is gone already.
        let Some(between) = line.get(done..start) else { continue };
        kept.extend_from_slice(between);
        kept.truncate(kept.trim_ascii_end().len());
        done = line.len() - memchr(b')', rest).map_or(0, |end| rest.len() - end - 1);
    }
    if done == 0 {
        return None;
    }
    let tail = line.get(done..).unwrap_or_default();
    kept.extend_from_slice(if kept.is_empty() { tail.trim_ascii_start() } else { tail });
    if fragments(&kept).next().is_some() {
        kept.clear();
    }
    Some(kept)
}

/// Token characters (RFC 9110 section 5.6.2).
const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Claim;
    use super::*;

    fn stripped(line: &str) -> Option<String> {
        without_fragments(line.as_bytes()).map(|kept| String::from_utf8(kept).unwrap())
    }

    #[test]
    fn fragments_go_and_every_other_octet_stays() {
        for (line, kept) in [
            ("axios/1.7.2 elastic (deployment:d1)", "axios/1.7.2"),
            ("OpenAI/JS 4.1 elastic (project:p1)  tail/1 ", "OpenAI/JS 4.1  tail/1 "),
            ("elastic (deployment:d1) axios/1", "axios/1"),
            ("elastic (deployment:d1)", ""),
            ("a/1 elastic (deployment:d1) elastic (project:p1) b/2", "a/1 b/2"),
            ("a/1 (x; elastic (deployment:d1)) b/2", "a/1 (x;) b/2"),
            // Broken ones may still hold an id.
            ("a/1 elastic (deployment:d1", "a/1"),
            ("a/1 elastic (deployment:d1 elastic (deployment:d2) b/2", "a/1 b/2"),
            ("a/1 elastic (deployment:) b/2", "a/1 b/2"),
            ("a/1 elastic (elastic (deployment:x)deployment:d1)", ""),
        ] {
            assert_eq!(stripped(line).as_deref(), Some(kept), "{line}");
        }
    }

    #[test]
    fn lines_without_fragments_are_left_alone() {
        for line in ["", "axios/1.7.2", "a/1 elastic (X11)", "xelastic (deployment:d1)", "Elastic (deployment:d1)"] {
            assert_eq!(stripped(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_claimed_by_what_is_left(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec!["elastic (", "deployment:", "project:", "d1", ")", "(", " ", "a/1", "é"]),
                0..20,
            )
        ) {
            let line = pieces.concat();
            let kept = without_fragments(line.as_bytes()).unwrap_or_else(|| line.clone().into_bytes());
            prop_assert_eq!(Claim::read([kept.as_slice()]), Claim::Absent, "{} -> {:?}", line, kept);
        }
    }
}
