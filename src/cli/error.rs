//! Why a command failed, and the exit code that says so. The codes are those of BSD's `sysexits.h`.

use std::io;

use super::kibana::ProxyUrlError;
use super::prove::BundleCheckError;
use crate::archive::KeyError;
use crate::archive::maintenance::{Problem as RetentionProblem, RewriteError};
use crate::archive::rotation::RotationError;
use crate::config::ConfigError;
use crate::destination::DestinationError;
use crate::installation::InstallationError;
use crate::intercept::authority::AuthorityError;
use crate::kibana::ReleasesError;
use crate::policy::PresetError;
use crate::search::sought::SoughtError;
use crate::search::{Problem, SearchError};
use crate::server::RunError;
use crate::verify::VerifyError;
use crate::verify::prove::ProveError;

/// The command line is wrong (`EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;
/// Output could not be written, or files could not be read (`EX_IOERR`).
const EXIT_IO: u8 = 74;
/// The configuration, the policy or the CA is wrong (`EX_CONFIG`).
const EXIT_CONFIG: u8 = 78;
/// Evidence could not be written, and the process stopped for it (`EX_TEMPFAIL`): start it again when storage works.
const EXIT_EVIDENCE_FAILED: u8 = 75;
/// Running failed, or evidence was tampered with.
const EXIT_FAILURE: u8 = 1;
/// Evidence is as it was written, but some was lost.
const EXIT_INCOMPLETE: u8 = 2;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration has problems, one a line.
    #[error("the configuration cannot be used:\n{0}")]
    Config(#[from] ConfigError),
    /// There is no usable interception CA.
    #[error("the interception CA cannot be used: {0}")]
    Authority(#[from] AuthorityError),
    /// `check` found problems and has printed them already.
    #[error("the configuration has problems")]
    Checked,
    /// stdout or `--out` could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// The output file exists.
    #[error("{0} exists; name a file that does not")]
    OutputExists(std::path::PathBuf),
    /// The data directory is in use, or a key in it could not be read or changed.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// The catalogue has no such connector, or a policy can name none of its hosts.
    #[error(transparent)]
    Preset(#[from] PresetError),
    /// A URL to match is only a path.
    #[error("the URL has no host; write https://hooks.slack.com/services/...")]
    UrlWithoutHost,
    /// The host of a URL to match is none.
    #[error("the URL's host is not valid: {0}")]
    UrlHost(DestinationError),
    /// `--proxy-url` cannot be printed as it is.
    #[error("--proxy-url: {0}; write http://tollgate.internal:3128")]
    ProxyUrl(#[from] ProxyUrlError),
    /// `--client` names none.
    #[error("there is no client \"{name}\" in the configuration; the clients are: {}", .known.join(", "))]
    UnknownClient { name: String, known: Vec<String> },
    /// The embedded list of Kibana's releases is defective.
    #[error(transparent)]
    Releases(#[from] ReleasesError),
    /// There is nothing to search.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// There is no URL to look up.
    #[error(transparent)]
    Sought(#[from] SoughtError),
    /// A search could not read everything.
    #[error("records may be missing above, not everything could be read:{}", lines(.0))]
    Incomplete(Vec<Problem>),
    /// `verify` had nothing to verify.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// There is no bundle for a row.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// A bundle was not checked, or proves nothing.
    #[error(transparent)]
    Bundle(#[from] BundleCheckError),
    /// The signing key was not changed.
    #[error("the key that signs was not changed: {0}")]
    Rotation(#[from] RotationError),
    /// `verify` found evidence that is not as it was signed, and has said so already.
    #[error("the evidence was tampered with")]
    Tampered,
    /// `verify` found that records were lost, and has said so already.
    #[error("the evidence is incomplete")]
    EvidenceIncomplete,
    /// `doctor` found something that fails, and has said so already.
    #[error("a check failed")]
    Unwell,
    /// Memory could not be kept out of core dumps.
    #[error("core dumps cannot be turned off: {0}; allow setrlimit and prctl, or set `danger_core_dumps: true`")]
    CoreDumps(io::Error),
    /// `retention` could not look at the evidence.
    #[error(transparent)]
    Retention(#[from] RewriteError),
    /// `retention apply` could not work on some days.
    #[error("some days stay as they are:{}", lines(.0))]
    RetentionIncomplete(Vec<RetentionProblem>),
    /// `retention` has no key to tell signed files by.
    #[error(transparent)]
    SigningKey(#[from] KeyError),
    /// The proxy could not start, or failed while running.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl CliError {
    /// The exit code of a process that fails with this; 0 when whoever read the output has simply had enough.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Authority(_) | Self::Checked => EXIT_CONFIG,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Preset(_)
            | Self::UrlWithoutHost
            | Self::UrlHost(_)
            | Self::ProxyUrl(_)
            | Self::UnknownClient { .. }
            | Self::Sought(
                SoughtError::Terminal
                | SoughtError::Nothing
                | SoughtError::TooLarge
                | SoughtError::TooMany
                | SoughtError::Url { .. },
            )
            | Self::Verify(VerifyError::NoDataDir(_)) => EXIT_USAGE,
            Self::Output(_)
            | Self::OutputExists(_)
            | Self::Installation(_)
            | Self::Search(_)
            | Self::Sought(SoughtError::Read(_))
            | Self::Incomplete(_)
            | Self::Prove(_)
            | Self::Bundle(BundleCheckError::Unreadable(..))
            | Self::Rotation(_)
            | Self::Retention(_)
            | Self::SigningKey(_)
            | Self::Verify(VerifyError::Key(_) | VerifyError::Io { .. }) => EXIT_IO,
            Self::Run(RunError::EvidenceFailed(_)) => EXIT_EVIDENCE_FAILED,
            Self::Run(_)
            | Self::RetentionIncomplete(_)
            | Self::CoreDumps(_)
            | Self::Tampered
            | Self::Bundle(BundleCheckError::Refused(..))
            | Self::Releases(_)
            | Self::Unwell => EXIT_FAILURE,
            Self::EvidenceIncomplete => EXIT_INCOMPLETE,
        }
    }

    /// Whether there is something to say on stderr that has not been said yet.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Checked | Self::Tampered | Self::EvidenceIncomplete | Self::Unwell)
            || self.exit_code() == 0
    }
}

fn lines(problems: &[impl std::fmt::Display]) -> String {
    problems.iter().map(|problem| format!("\n{problem}")).collect::<Vec<_>>().concat()
}
