//! `tollgate fingerprint-key rotate`: a new key for URL fingerprints and mail tags. Prints ids and paths, never a key.

use std::io::Write;

use super::CliError;
use super::args::{FingerprintKeyCommand, RotateArgs};
use crate::config::{Config, Overrides};
use crate::installation::rotate_fingerprint_key;

pub(super) fn fingerprint_key(command: &FingerprintKeyCommand, out: &mut impl Write) -> Result<(), CliError> {
    match command {
        FingerprintKeyCommand::Rotate(args) => rotate(args, out),
    }
}

fn rotate(args: &RotateArgs, out: &mut impl Write) -> Result<(), CliError> {
    let overrides = Overrides { data_dir: args.data_dir.clone(), ..Overrides::default() };
    let config = Config::load(args.config.as_deref(), &overrides)?;
    let rotated = rotate_fingerprint_key(&config.data_dir, &config.audit.url_fingerprint_key_file)?;
    writeln!(out, "current  {}", rotated.current)?;
    writeln!(out, "older    {} (kept in {})", rotated.older, rotated.older_file.display())?;
    out.flush()?;
    Ok(())
}
