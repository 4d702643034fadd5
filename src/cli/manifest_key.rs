//! `tollgate manifest-key rotate`: another key signs the chain from now on. The proxy must not be running.

use std::io::Write;

use super::CliError;
use super::args::{ManifestKeyCommand, RotateArgs};
use crate::archive::rotation::{self, RotationError};
use crate::archive::signer::{PRIVATE_KEY_FILE, PUBLIC_KEY_FILE};
use crate::archive::{Settings, Start};
use crate::clock::now_us;
use crate::config::{Config, Overrides};
use crate::installation::Claim;

pub(super) fn manifest_key(command: &ManifestKeyCommand, out: &mut impl Write) -> Result<(), CliError> {
    match command {
        ManifestKeyCommand::Rotate(args) => rotate(args, out),
    }
}

fn rotate(args: &RotateArgs, out: &mut impl Write) -> Result<(), CliError> {
    let overrides = Overrides { data_dir: args.data_dir.clone(), ..Overrides::default() };
    let data_dir = Config::load(args.config.as_deref(), &overrides)?.data_dir;
    let claim = Claim::take(&data_dir)?;
    let no_key = || RotationError::NoKey(data_dir.keys().join(PRIVATE_KEY_FILE));
    let (instance_id, epoch) = claim.last.clone().ok_or_else(no_key)?;
    let start = Start { instance_id, epoch };
    let rotated = rotation::rotate(&Settings::new(data_dir.root()), &data_dir.keys(), &start, now_us())?;
    writeln!(out, "Old key    {}", rotated.old)?;
    writeln!(out, "New key    {}", rotated.new)?;
    writeln!(out, "Copy       {} to where this machine cannot write", data_dir.keys().join(PUBLIC_KEY_FILE).display())?;
    Ok(out.flush()?)
}
