//! What Tollgate signs for each sealed file, and its exact bytes.
//!
//! A manifest file has two lines: the statement as one JSON object, and `ed25519:` with the base64 of the signature
//! over the bytes of the first line, its newline not included. Each statement holds the SHA-256 of the whole manifest
//! file before it, so that the manifests of an installation form a chain. Documented in `docs/manifest.md`. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::Sha256;

/// Version of the form described here.
pub const FORMAT: u32 = 1;
/// Largest manifest file that is read, in bytes; a typical one has under 2 KiB.
pub const MANIFEST_BYTES_MAX: u64 = 1 << 20;
const SIGNATURE_PREFIX: &str = "ed25519:";
const FILE_SUFFIX: &str = ".json";

/// What a manifest is about. Readers refuse kinds they do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One sealed file.
    File,
}

/// The statement. Keys are written in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    pub kind: Kind,
    /// Position in the chain, from 1, without holes.
    pub index: u64,
    /// SHA-256 of the manifest file before this one, signature included; `None` for the first.
    pub previous: Option<Sha256>,
    /// SHA-256 of the public key (DER, SubjectPublicKeyInfo) that verifies the signature.
    pub key_id: Sha256,
    pub instance_id: String,
    /// The start of the instance that wrote the rows.
    pub epoch: u64,
    #[serde(flatten)]
    pub file: FileStatement,
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
    /// Smallest and largest `event_time`; see [`time_text`].
    pub first_event_time: String,
    pub last_event_time: String,
    /// RFC 6962 root over the canonical rows in file order.
    pub merkle_root: Sha256,
    /// See [`super::canonical::schema_fingerprint`].
    pub schema_sha256: Sha256,
    /// The distinct values of `policy_hash`, sorted.
    pub policy_hashes: Vec<String>,
}

/// Why bytes are not a manifest file.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("is not two lines, each ended by a newline")]
    Lines,
    #[error("has no `ed25519:` line with 64 bytes of base64")]
    Signature,
    #[error("is not a statement this version can read: {0}")]
    Statement(#[from] serde_json::Error),
    #[error("has format {0}, this version reads format {FORMAT}: use a newer Tollgate")]
    Format(u32),
}

/// A manifest file taken apart. The signature is not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedManifest {
    pub manifest: Manifest,
    /// The signed bytes.
    pub statement: Vec<u8>,
    /// 64 bytes.
    pub signature: Vec<u8>,
}

impl Manifest {
    /// The bytes to sign: one JSON object, compact, without a newline.
    pub fn statement(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

impl SignedManifest {
    /// Takes the bytes of a manifest file apart.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ManifestError::Lines)?;
        let (statement, rest) = text.split_once('\n').ok_or(ManifestError::Lines)?;
        let line = rest.strip_suffix('\n').filter(|line| !line.contains('\n')).ok_or(ManifestError::Lines)?;
        let encoded = line.strip_prefix(SIGNATURE_PREFIX).ok_or(ManifestError::Signature)?;
        let signature = STANDARD.decode(encoded).map_err(|_| ManifestError::Signature)?;
        if signature.len() != 64 {
            return Err(ManifestError::Signature);
        }
        let manifest: Manifest = serde_json::from_str(statement)?;
        if manifest.format != FORMAT {
            return Err(ManifestError::Format(manifest.format));
        }
        Ok(Self { manifest, statement: statement.as_bytes().to_vec(), signature })
    }
}

/// The bytes of the manifest file for a statement and its signature.
#[must_use]
pub fn file_bytes(statement: &[u8], signature: &[u8]) -> Vec<u8> {
    let line = format!("\n{SIGNATURE_PREFIX}{}\n", STANDARD.encode(signature));
    [statement, line.as_bytes()].concat()
}

/// `00000042.json`: at least eight digits.
#[must_use]
pub fn file_name(index: u64) -> String {
    format!("{index:08}{FILE_SUFFIX}")
}

/// The index a file name stands for, or `None` if it is not the name of a manifest.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<u64> {
    let index: u64 = name.strip_suffix(FILE_SUFFIX)?.parse().ok()?;
    (index > 0 && file_name(index) == name).then_some(index)
}

/// RFC 3339 in UTC with microseconds, or microseconds since the Unix epoch as a plain number for a time beyond the
/// years RFC 3339 can express.
#[must_use]
pub fn time_text(time_us: i64) -> String {
    Timestamp::from_microsecond(time_us).map_or_else(|_| time_us.to_string(), |time| format!("{time:.6}"))
}

/// The time written by [`time_text`].
#[must_use]
pub fn parse_time_text(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| Some(text.parse::<Timestamp>().ok()?.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            kind: Kind::File,
            index: 2,
            previous: Some(Sha256::of(b"before")),
            key_id: Sha256::of(b"key"),
            instance_id: "a1b2c3d4".to_owned(),
            epoch: 3,
            file: FileStatement {
                path: "event_date=2026-11-22/a1b2c3d4-3-1-2.parquet".to_owned(),
                bytes: 9_000,
                sha256: Sha256::of(b"file"),
                rows: 2,
                first_seq: 1,
                last_seq: 2,
                first_event_time: time_text(1_795_305_600_000_000),
                last_event_time: time_text(i64::MAX),
                merkle_root: Sha256::of(b"root"),
                schema_sha256: Sha256::of(b"schema"),
                policy_hashes: vec!["p".to_owned()],
            },
        }
    }

    #[test]
    fn a_statement_is_one_line_with_its_keys_in_order() {
        let hex = |text: &[u8]| Sha256::of(text).to_string();
        let expected = format!(
            "{{\"format\":1,\"kind\":\"file\",\"index\":2,\"previous\":\"{}\",\"key_id\":\"{}\",\
             \"instance_id\":\"a1b2c3d4\",\"epoch\":3,\"path\":\"event_date=2026-11-22/a1b2c3d4-3-1-2.parquet\",\
             \"bytes\":9000,\"sha256\":\"{}\",\"rows\":2,\"first_seq\":1,\"last_seq\":2,\
             \"first_event_time\":\"2026-11-22T00:00:00.000000Z\",\"last_event_time\":\"9223372036854775807\",\
             \"merkle_root\":\"{}\",\"schema_sha256\":\"{}\",\"policy_hashes\":[\"p\"]}}",
            hex(b"before"),
            hex(b"key"),
            hex(b"file"),
            hex(b"root"),
            hex(b"schema")
        );
        assert_eq!(String::from_utf8(manifest().statement().expect("encodes")).expect("text"), expected);
    }

    #[test]
    fn a_file_is_taken_apart_as_it_was_put_together() {
        let statement = manifest().statement().expect("encodes");
        let parsed = SignedManifest::parse(&file_bytes(&statement, &[7; 64])).expect("parses");
        assert_eq!(parsed, SignedManifest { manifest: manifest(), statement, signature: vec![7; 64] });
    }

    #[test]
    fn other_forms_are_refused() {
        let statement = manifest().statement().expect("encodes");
        let bytes = file_bytes(&statement, &[7; 64]);
        let refused = |bytes: &[u8]| SignedManifest::parse(bytes).expect_err("refused");
        assert!(matches!(refused(b""), ManifestError::Lines));
        assert!(matches!(refused(&bytes[..bytes.len() - 1]), ManifestError::Lines));
        assert!(matches!(refused(&[&bytes[..], b"\n"].concat()), ManifestError::Lines));
        assert!(matches!(refused(&file_bytes(&statement, &[7; 63])), ManifestError::Signature));
        assert!(matches!(refused(&file_bytes(b"{}", &[7; 64])), ManifestError::Statement(_)));
        let newer = Manifest { format: 2, ..manifest() }.statement().expect("encodes");
        assert!(matches!(refused(&file_bytes(&newer, &[7; 64])), ManifestError::Format(2)));
    }

    #[test]
    fn names_and_times_round_trip() {
        assert_eq!(file_name(42), "00000042.json");
        for index in [1, 99_999_999, 100_000_000, u64::MAX] {
            assert_eq!(parse_file_name(&file_name(index)), Some(index));
        }
        for name in ["00000000.json", "1.json", "00000001.json.new", "+0000001.json", "x.json"] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
        for time_us in [i64::MIN, -1, 0, 1_795_305_600_123_456, i64::MAX] {
            assert_eq!(parse_time_text(&time_text(time_us)), Some(time_us));
        }
    }
}
