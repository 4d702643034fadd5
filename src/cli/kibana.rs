//! `tollgate kibana-config`: what to write into kibana.yml, the keystore and Kibana's environment, for this configuration
//! and one version of Kibana.
//!
//! Prints no secret: where one has to be typed stand placeholders, and the command that takes it. Connects to nothing.

mod environment;
mod facts;
mod keystore;
mod quote;
mod settings;
mod trust;

use std::io::Write;

use serde_json::{Value, json};

use super::CliError;
use super::args::{KibanaArgs, KibanaFormat};
use facts::Facts;
pub(super) use facts::ProxyUrlError;

/// One thing to write somewhere.
struct Section {
    /// Where it goes.
    title: &'static str,
    text: String,
}

/// Prints what is asked for.
pub(super) fn kibana_config(args: &KibanaArgs, out: &mut impl Write) -> Result<(), CliError> {
    let facts = Facts::collect(args)?;
    if args.json {
        writeln!(out, "{:#}", as_json(&facts))?;
    } else {
        write_sections(&sections(args.format, &facts), out)?;
    }
    out.flush()?;
    Ok(())
}

fn sections(format: KibanaFormat, facts: &Facts) -> Vec<Section> {
    match format {
        KibanaFormat::KibanaYml => vec![settings::kibana_yml(facts)],
        KibanaFormat::Keystore => vec![keystore::commands(facts)],
        KibanaFormat::Docker => vec![environment::docker(facts)],
        KibanaFormat::Systemd => vec![environment::systemd(facts)],
        KibanaFormat::Kubernetes => vec![environment::kubernetes(facts)],
        KibanaFormat::Cloud => vec![environment::cloud(facts)],
        KibanaFormat::All => vec![
            settings::kibana_yml(facts),
            keystore::commands(facts),
            environment::systemd(facts),
            environment::docker(facts),
            environment::kubernetes(facts),
            environment::cloud(facts),
        ],
    }
}

/// A single section has no heading, so that it can be redirected into its file.
fn write_sections(sections: &[Section], out: &mut impl Write) -> std::io::Result<()> {
    let headed = sections.len() > 1;
    for (position, Section { title, text }) in sections.iter().enumerate() {
        if position > 0 {
            writeln!(out)?;
        }
        if headed {
            writeln!(out, "# ======== {title}\n")?;
        }
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}

fn as_json(facts: &Facts) -> Value {
    json!({
        "kibana_version": facts.version.map(|version| version.to_string()),
        "kibana_yml": settings::values(facts),
        "keystore": keystore::values(facts),
        "environment": { "NODE_EXTRA_CA_CERTS": facts.ca },
        "trust": trust::sentences(facts),
    })
}
