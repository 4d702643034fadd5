//! Texts as the formats that are printed want them written.

/// Longest line of a comment, in characters.
const LINE_CHARS_MAX: usize = 118;

/// A YAML scalar: plain where that can only be read as this text, else in double quotes.
pub(super) fn yaml(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let starts_as_text = text.starts_with(|c: char| c == '/' || c.is_ascii_alphabetic());
    let url = text.split_once("://").is_some_and(|(scheme, rest)| {
        scheme.chars().all(|c| c.is_ascii_lowercase()) && rest.chars().all(|c| plain(c) || c == ':')
    });
    if starts_as_text && (text.chars().all(plain) || url) { text.to_owned() } else { json(text) }
}

/// A JSON string, which is a YAML double-quoted scalar as well.
pub(super) fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// One assignment of systemd's `Environment=`: quoted where it must be, `%` doubled (systemd.exec(5)).
pub(super) fn systemd(assignment: &str) -> String {
    let text = assignment.replace('\\', r"\\").replace('"', r#"\""#).replace('%', "%%");
    if text.contains([' ', '\'', '"', '\\', '\t']) { format!("\"{text}\"") } else { text }
}

/// A paragraph as comment lines of at most 118 characters, unless a word is longer.
pub(super) fn comment(paragraph: &str) -> String {
    let mut text = String::new();
    let mut line = String::from("#");
    for word in paragraph.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > LINE_CHARS_MAX && line != "#" {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text + &line + "\n"
}

/// Each line after `indent`.
pub(super) fn indented(text: &str, indent: &str) -> String {
    text.lines().flat_map(|line| [indent, line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_scalars_are_quoted_where_they_could_be_something_else() {
        assert_eq!(yaml("/etc/kibana/ca.pem"), "/etc/kibana/ca.pem");
        assert_eq!(yaml("http://gate.internal:3128"), "http://gate.internal:3128");
        for text in ["http://[::1]:3128", "/my ca.pem", "3128", "a: b", "- a", "", "x#y", "a://b: c"] {
            assert_eq!(yaml(text), format!("\"{text}\""), "{text}");
        }
    }

    #[test]
    fn comments_are_wrapped_between_words() {
        let long = "x".repeat(118);
        assert_eq!(comment(&format!("a  b\n{long} c")), format!("# a b\n# {long}\n# c\n"));
        assert_eq!(comment(&"word ".repeat(24)).lines().map(str::len).collect::<Vec<_>>(), [116, 6]);
    }

    #[test]
    fn systemd_assignments_keep_blanks_and_percent_signs() {
        assert_eq!(systemd("A=/etc/ca.pem"), "A=/etc/ca.pem");
        assert_eq!(systemd("A=/my ca%20.pem"), "\"A=/my ca%%20.pem\"");
        assert_eq!(systemd(r#"A=/a"b\c"#), r#""A=/a\"b\\c""#);
    }
}
