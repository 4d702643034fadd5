//! `tollgate prove`: one row with what is needed to check it without the rest, and checking such a bundle.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::CliError;
use super::args::ProveArgs;
use crate::archive::signer::PublicKey;
use crate::verify::VerifyError;
use crate::verify::bundle::{self, BUNDLE_BYTES_MAX, BundleError, Proven};
use crate::verify::prove;

/// Why a bundle was not checked, or proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum BundleCheckError {
    #[error("{0}: {1}")]
    Unreadable(PathBuf, io::Error),
    #[error("{0}: {1}")]
    Refused(PathBuf, BundleError),
}

pub(super) fn prove(args: &ProveArgs, out: &mut impl Write) -> Result<(), CliError> {
    let bundle = prove::make(&args.data_dir, args.event_id, args.anchor.as_deref())?;
    let text = serde_json::to_string_pretty(&bundle).map_err(io::Error::from)?;
    match &args.out {
        None => writeln!(out, "{text}")?,
        Some(path) => {
            let file = OpenOptions::new().write(true).create_new(true).open(path);
            let mut file = file.map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => CliError::OutputExists(path.clone()),
                _ => CliError::Output(error),
            })?;
            writeln!(file, "{text}")?;
        }
    }
    Ok(out.flush()?)
}

/// `tollgate verify --bundle`
pub(super) fn check(path: &Path, public_key: &Path, as_json: bool, out: &mut impl Write) -> Result<(), CliError> {
    let key = PublicKey::load(public_key).map_err(VerifyError::from)?;
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BUNDLE_BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(|error| BundleCheckError::Unreadable(path.to_owned(), error))?;
    let proven = bundle::check(&bytes, &key).map_err(|error| BundleCheckError::Refused(path.to_owned(), error))?;
    if as_json {
        writeln!(out, "{:#}", to_json(&proven))?;
    } else {
        write_text(&proven, out)?;
    }
    Ok(out.flush()?)
}

fn write_text(proven: &Proven, out: &mut impl Write) -> io::Result<()> {
    for (name, value) in proven.row.iter().filter(|(_, value)| !value.is_null()) {
        writeln!(out, "{name:<22} {value}")?;
    }
    let (entry, head) = (&proven.entry, proven.head);
    writeln!(out, "Verdict    the row is the one that was signed")?;
    writeln!(out, "Sealed     {} by {}, entry {} of its chain", entry.time, entry.instance_id, entry.index)?;
    writeln!(out, "Key        {}", entry.key_id)?;
    match &proven.anchor {
        Some(anchor) => writeln!(out, "Anchored   {} as entry {} sha256 {}", anchor.time, anchor.index, anchor.sha256),
        None => writeln!(out, "Head       entry {} sha256 {}, not anchored", head.index, head.sha256),
    }
}

fn to_json(proven: &Proven) -> Value {
    let entry = &proven.entry;
    json!({
        "verdict": "proven",
        "row": proven.row.iter().cloned().collect::<Map<String, Value>>(),
        "sealed": entry.time,
        "instance_id": entry.instance_id,
        "index": entry.index,
        "key_id": entry.key_id,
        "head": { "index": proven.head.index, "sha256": proven.head.sha256 },
        "anchor": proven.anchor.as_ref(),
    })
}
