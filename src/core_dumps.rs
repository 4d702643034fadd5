//! Keeps this process's memory out of core dumps: it holds keys, credentials and bodies on their way.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// From now on the process leaves no core dump, neither in a file nor to a program that collects them, and no other process
/// of its user can read its memory.
///
/// # Errors
/// The operating system does not allow it.
pub(crate) fn forbid() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // The limit does not hold for programs that core_pattern pipes into (core(5)); this does.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
