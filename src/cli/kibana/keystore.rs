//! Secrets that Kibana sends to the proxy, for its keystore.

use serde_json::{Map, Value, json};

use super::Section;
use super::facts::{Facts, Field};

const TITLE: &str = "Kibana's keystore";

/// The commands; comments only when there is nothing secret to store.
pub(super) fn commands(facts: &Facts) -> Section {
    let fields = facts.fields();
    let text = if fields.is_empty() {
        "# Nothing: this Kibana sends no secret to Tollgate. --client NAME names a configured client.\n".to_owned()
    } else {
        format!(
            "\
# The value is read as JSON. Type it at the prompt, so that it stays out of the shell's history:
#   {}
{}bin/kibana-keystore add xpack.actions.proxyHeaders
# Then restart Kibana, and remove proxyHeaders from kibana.yml.
",
            headers(fields),
            fields.iter().map(explanation).collect::<String>()
        )
    };
    Section { title: TITLE, text }
}

/// The settings, with placeholders for what is secret.
pub(super) fn values(facts: &Facts) -> Value {
    let mut values = Map::new();
    if !facts.fields().is_empty() {
        values.insert("xpack.actions.proxyHeaders".to_owned(), headers(facts.fields()));
    }
    Value::Object(values)
}

/// The value of `xpack.actions.proxyHeaders`.
pub(super) fn headers(fields: &[Field]) -> Value {
    fields.iter().map(|field| (field.name.clone(), json!(field.placeholder))).collect::<Map<_, _>>().into()
}

/// Where the secret comes from.
fn explanation(field: &Field) -> String {
    match &field.username {
        Some(username) => format!(
            "\
# BASE64_OF_USER_AND_PASSWORD is what this prints, with the file that holds the password:
#   printf '%s:%s' {} \"$(cat PASSWORD_FILE)\" | base64 -w 0
",
            shell_text(username)
        ),
        None => format!("# {} is `header.value` of this client in the Tollgate configuration.\n", field.placeholder),
    }
}

/// The text as one word of a POSIX shell.
fn shell_text(text: &str) -> String {
    super::super::banner::shell_word(std::path::Path::new(text))
}
