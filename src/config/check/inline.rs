//! Cuts the value of one key out of a YAML text, so that another module can read it in its own way and still report
//! lines and columns of the whole text. Pure.

use crate::config::setting::Origin;

/// The text of the mapping that starts at `origin`, with line ends and spaces in front of it so that every character
/// keeps its line and column. Anchors and tags in front of a mapping can mislead it, so the caller compares what it means.
pub(super) fn own_text(text: &str, origin: Origin) -> String {
    let Origin::File { line, column } = origin else {
        return String::new();
    };
    let above = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let indent = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
    let mut lines = text.split_inclusive('\n').skip(above);
    let first: String = lines.next().unwrap_or_default().chars().skip(indent).collect();
    let mut own = "\n".repeat(above.min(text.len()));
    own.extend(std::iter::repeat_n(' ', indent.min(text.len())));
    let rest: String = if first.starts_with('{') {
        let from_brace = first + &lines.collect::<String>();
        flow_mapping(&from_brace).to_owned()
    } else {
        first + &lines.take_while(|line| belongs(line, indent)).collect::<String>()
    };
    own.push_str(&rest);
    own
}

/// Whether a line can be part of a block that is indented this far. Blank lines and comments can be anywhere.
fn belongs(line: &str, indent: usize) -> bool {
    let content = line.trim_start_matches(' ');
    content.trim().is_empty() || content.starts_with('#') || line.len() - content.len() >= indent
}

/// The text up to the brace that closes the one it starts with; all of it when there is none.
fn flow_mapping(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut quote = None;
    for (position, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) => quote = (c != open).then_some(open),
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        if depth == 0 {
            return text.get(..=position).unwrap_or(text);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, line: u64, column: u64) -> String {
        own_text(text, Origin::File { line, column })
    }

    #[test]
    fn a_block_ends_where_the_indentation_does() {
        let text = "a: 1\npolicy:\n  mode: enforce\n# note\n\n  rules:\n    - b\nafter: 2\n  x: 3\n";
        assert_eq!(cut(text, 3, 3), "\n\n  mode: enforce\n# note\n\n  rules:\n    - b\n");
    }

    #[test]
    fn a_flow_mapping_ends_at_its_brace() {
        let text = "policy: { mode: enforce, rules: [{ name: '}' }] } # note\nafter: {}\n";
        assert_eq!(cut(text, 1, 9), "        { mode: enforce, rules: [{ name: '}' }] }");
    }

    #[test]
    fn a_flow_mapping_that_never_ends_is_kept_whole_and_so_not_valid() {
        assert_eq!(cut("policy: { mode: enforce\nafter: 1\n", 1, 9), "        { mode: enforce\nafter: 1\n");
    }

    #[test]
    fn positions_outside_the_text_give_no_value() {
        assert_eq!(cut("a: 1\n", 9, 1).trim(), "");
        assert_eq!(cut("a: 1\n", 1, u64::MAX).trim(), "");
        assert_eq!(own_text("a: 1\n", Origin::Default), "");
    }
}
