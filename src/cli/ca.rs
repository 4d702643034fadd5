//! `tollgate ca show|export`: the certificate of the interception CA. Never prints or copies the key.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use super::CliError;
use super::args::{CaArgs, CaCommand, CaExportArgs};
use super::banner::absolute;
use crate::config::{Config, Overrides};
use crate::intercept::authority::{CaCertificate, Settings, key_mode};

pub(super) fn ca(command: CaCommand, out: &mut impl Write) -> Result<(), CliError> {
    match command {
        CaCommand::Show(args) => show(&args, out),
        CaCommand::Export(args) => export(&args, out),
    }
}

fn settings(args: &CaArgs) -> Result<Settings, CliError> {
    let overrides = Overrides { ca_cert: args.ca_cert.clone(), ca_key: args.ca_key.clone(), ..Overrides::default() };
    Ok(Config::load(args.config.as_deref(), &overrides)?.interception.authority)
}

/// Shows an expired certificate too: that is when one looks.
fn show(args: &CaArgs, out: &mut impl Write) -> Result<(), CliError> {
    let settings = settings(args)?;
    let certificate = CaCertificate::read(&settings.cert_file)?;
    let key = match key_mode(&settings.key_file) {
        Ok(mode) => format!("{} (mode {mode:04o})", absolute(&settings.key_file).display()),
        Err(error) => error.to_string(),
    };
    writeln!(out, "subject      {}", certificate.subject())?;
    writeln!(out, "sha256       {}", certificate.fingerprint())?;
    writeln!(out, "not before   {}", certificate.not_before())?;
    writeln!(out, "not after    {}", certificate.not_after())?;
    writeln!(out, "certificate  {}", absolute(&settings.cert_file).display())?;
    writeln!(out, "key          {key}")?;
    out.flush()?;
    Ok(())
}

fn export(args: &CaExportArgs, out: &mut impl Write) -> Result<(), CliError> {
    let pem = CaCertificate::read(&settings(&args.ca)?.cert_file)?.pem();
    match &args.out {
        Some(path) => write_new(path, &pem),
        None => Ok(out.write_all(pem.as_bytes()).and_then(|()| out.flush())?),
    }
}

/// Never replaces a file: the path might be the key's.
fn write_new(path: &Path, pem: &str) -> Result<(), CliError> {
    let written = OpenOptions::new().write(true).create_new(true).open(path).and_then(|mut file| {
        file.write_all(pem.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CliError::OutputExists(path.to_owned()),
        _ => CliError::Output(error),
    })
}
