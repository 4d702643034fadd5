//! What an entry of the chain can say: one type for each kind, with its keys in the order they are written.
//!
//! Pure data. Who signs it and where it is kept is in `manifest` and `chain`; whether it is true is for `verify`.
//! Documented in `docs/manifest.md`.

use serde::{Deserialize, Serialize};

use super::digest::Sha256;

/// The statement of an entry. Readers refuse kinds they do not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Statement {
    /// A file was sealed.
    File(FileStatement),
    /// Tollgate started; written before the first connection is accepted.
    Start(StartStatement),
    /// Tollgate stopped in good order; written after the last file of that start was signed for.
    Stop(StopStatement),
    /// Nothing happened.
    Heartbeat(HeartbeatStatement),
    /// Another policy is in force.
    Policy(PolicyStatement),
    /// A reload was asked for, and the policy in force stays.
    RefusedReload(RefusedReloadStatement),
    /// Everything after this entry is signed with another key.
    KeyRotation(KeyRotationStatement),
    /// Files are replaced by another one, or removed; written before they are touched.
    Rewrite(RewriteStatement),
}

impl Statement {
    /// The value of `kind`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Start(_) => "start",
            Self::Stop(_) => "stop",
            Self::Heartbeat(_) => "heartbeat",
            Self::Policy(_) => "policy",
            Self::RefusedReload(_) => "refused_reload",
            Self::KeyRotation(_) => "key_rotation",
            Self::Rewrite(_) => "rewrite",
        }
    }

    /// The file this entry adds to the dataset.
    #[must_use]
    pub const fn file(&self) -> Option<&FileStatement> {
        match self {
            Self::File(file) => Some(file),
            Self::Rewrite(rewrite) => rewrite.output.as_ref(),
            Self::Start(_)
            | Self::Stop(_)
            | Self::Heartbeat(_)
            | Self::Policy(_)
            | Self::RefusedReload(_)
            | Self::KeyRotation(_) => None,
        }
    }
}

/// What is said about one sealed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStatement {
    /// Relative to the root of the dataset, `/` between the parts.
    pub path: String,
    pub bytes: u64,
    /// Of the bytes of the file.
    pub sha256: Sha256,
    pub rows: u64,
    /// Smallest and largest `seq`.
    pub first_seq: u64,
    pub last_seq: u64,
    /// Smallest and largest `event_time`; see [`super::manifest::time_text`].
    pub first_event_time: String,
    pub last_event_time: String,
    /// RFC 6962 root over the canonical rows in file order.
    pub merkle_root: Sha256,
    /// See [`super::canonical::schema_fingerprint`].
    pub schema_sha256: Sha256,
    /// The distinct values of `policy_hash`, sorted.
    pub policy_hashes: Vec<String>,
    /// Of the list of its rows, see [`super::leaves`]; entries from before there were lists have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves_sha256: Option<Sha256>,
}

/// Under what settings a start runs, and what it found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartStatement {
    /// Of Tollgate.
    pub version: String,
    /// As in the column of this name.
    pub policy_hash: String,
    /// Of the text of the configuration file; `None` without one.
    pub config_sha256: Option<Sha256>,
    /// Of the connector catalogue in force.
    pub catalogue_sha256: Sha256,
    /// The value of `audit.durability`.
    pub durability: String,
    /// What happens when evidence cannot be written: the value of `audit.on_failure`.
    pub on_failure: String,
    pub recovery: RecoverySummary,
}

/// What was left in the journal by earlier starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoverySummary {
    /// Rows in journal segments that were not sealed yet.
    pub rows: u64,
    /// Rows among them whose exchange had not ended.
    pub interrupted: u64,
    /// Damaged segments whose original is kept in quarantine.
    pub quarantined: u64,
    /// Segments that ended in an append that had not finished, which was cut off.
    pub torn: u64,
}

/// How a start ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopStatement {
    pub reason: StopReason,
    /// The last `seq` of this start; 0 if it wrote no row.
    pub last_seq: u64,
}

/// Why the process ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// SIGTERM.
    Terminated,
    /// SIGINT.
    Interrupted,
    /// It could not go on, or not even listen.
    Failed,
    /// Evidence could not be written, and `audit.on_failure` is `shutdown`.
    EvidenceFailed,
}

/// No row was written in between. See [`super::manifest::time_text`] for the times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatStatement {
    pub from: String,
    pub to: String,
    /// The last `seq` of this start so far; 0 if it wrote no row.
    pub last_seq: u64,
}

/// What a reload of policy and connectors came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatement {
    /// Policy hashes.
    pub before: String,
    pub after: String,
    /// Of the connector catalogue in force from now on.
    pub catalogue_sha256: Sha256,
}

/// A policy or configuration that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedReloadStatement {
    /// Of the policy that stays in force.
    pub policy_hash: String,
    /// How many problems were found.
    pub problems: u64,
    /// Of the text of the configuration file, as in [`StartStatement`]; `None` for a text that there is none of or that could not
    /// be read, and in entries from before these were written.
    #[serde(default)]
    pub config_sha256: Option<Sha256>,
    /// Of the text of the policy file.
    #[serde(default)]
    pub policy_sha256: Option<Sha256>,
    /// Of the text of the operator's catalogue.
    #[serde(default)]
    pub connectors_sha256: Option<Sha256>,
}

/// The key that signs every entry after this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRotationStatement {
    /// Base64 of the public key (DER, SubjectPublicKeyInfo).
    pub new_key: String,
    /// SHA-256 of the same.
    pub new_key_id: Sha256,
}

/// Files of one start that are replaced by another one or removed.
///
/// As long as all inputs are there and the output is not, the rewrite is pending; afterwards it is the other way round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewriteStatement {
    pub reason: RewriteReason,
    pub inputs: Vec<RewriteInput>,
    /// The rows of the inputs that are kept; `None` if there are none.
    pub output: Option<FileStatement>,
    /// The rows that are not.
    pub removed: Option<RemovedRows>,
    /// Legal holds that were in force, as the operator named them.
    pub holds: Vec<String>,
}

/// Why files are rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewriteReason {
    /// Many small files become a large one with the same rows.
    Compaction,
    /// Rows are older than they are to be kept.
    Retention,
}

/// A file that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewriteInput {
    pub path: String,
    pub sha256: Sha256,
    /// Of the entry that states the file.
    pub index: u64,
}

/// Rows that are deleted. They count as accounted for in the sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedRows {
    pub rows: u64,
    /// Their numbers as ascending ranges, both ends included.
    pub seqs: Vec<(u64, u64)>,
    /// Smallest and largest `event_time`; see [`super::manifest::time_text`].
    pub first_event_time: String,
    pub last_event_time: String,
}
