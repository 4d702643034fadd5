//! Programs that refuse to run as root, in a bench that may have been started by root.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

/// User and group that own nothing, on every Linux.
const NOBODY: u32 = 65_534;

/// Lets `command` run as nobody, who then owns everything in `dir`; does nothing unless root started the bench.
pub(super) fn run_as_nobody<'a>(command: &'a mut Command, dir: &Path) -> Result<&'a mut Command> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(command);
    }
    give_away(dir)?;
    Ok(command.uid(NOBODY).gid(NOBODY))
}

fn give_away(path: &Path) -> Result<()> {
    chown(path, Some(NOBODY), Some(NOBODY)).with_context(|| format!("cannot give {} to nobody", path.display()))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give_away(&entry?.path())?;
        }
    }
    Ok(())
}
