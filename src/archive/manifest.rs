//! One entry of the signed chain, and its exact bytes.
//!
//! An entry has two lines: the statement as one JSON object, and `ed25519:` with the base64 of the signature over the
//! bytes of the first line, its newline not included. Each holds the SHA-256 of both lines of the entry before it, so
//! that the entries of an installation form a chain. What the kinds say is in `statement`, where entries are kept in
//! `entries`. Documented in `docs/manifest.md`. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::digest::Sha256;
use super::statement::Statement;

/// Version of the form described here.
pub const FORMAT: u32 = 1;
/// Largest entry that is read, in bytes. A typical one has under 2 KiB; one that removes rows between rows that are kept
/// names each range of them.
pub const ENTRY_BYTES_MAX: u64 = 8 << 20;
const SIGNATURE_PREFIX: &str = "ed25519:";
const ENTRY_SUFFIX: &str = ".json";
const PACK_SUFFIX: &str = ".jsonl";

/// One start of one installation: whose rows a file holds, or who writes an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Start {
    pub instance_id: String,
    pub epoch: u64,
}

/// One entry without its signature. Keys are written in this order, those of the statement last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// [`FORMAT`].
    pub format: u32,
    /// Position in the chain, from 1, without holes.
    pub index: u64,
    /// SHA-256 of the entry before this one, both lines; `None` for the first.
    pub previous: Option<Sha256>,
    /// SHA-256 of the public key (DER, SubjectPublicKeyInfo) that verifies the signature.
    pub key_id: Sha256,
    pub instance_id: String,
    /// The start of the instance: for files and rewrites the one that wrote the rows, else the one that writes this.
    pub epoch: u64,
    /// When this was written; see [`time_text`].
    pub time: String,
    #[serde(flatten)]
    pub statement: Statement,
}

/// Why bytes are not an entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    #[error("is not two lines, each ended by a newline")]
    Lines,
    #[error("has no `ed25519:` line with 64 bytes of base64")]
    Signature,
    #[error("is not a statement this version can read: {0}")]
    Statement(#[from] serde_json::Error),
    #[error("has format {0}, this version reads format {FORMAT}: use a newer Tollgate")]
    Format(u32),
}

/// An entry taken apart. The signature is not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedEntry {
    pub entry: Entry,
    /// The signed bytes: the first line.
    pub signed: Vec<u8>,
    /// 64 bytes.
    pub signature: Vec<u8>,
}

impl Entry {
    /// The bytes to sign: one JSON object, compact, without a newline.
    pub fn to_line(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    #[must_use]
    pub fn start(&self) -> Start {
        Start { instance_id: self.instance_id.clone(), epoch: self.epoch }
    }
}

impl SignedEntry {
    /// Takes the bytes of one entry apart.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        let (signed, signature) = split_lines(bytes)?;
        let entry: Entry = serde_json::from_str(signed)?;
        if entry.format != FORMAT {
            return Err(EntryError::Format(entry.format));
        }
        Ok(Self { entry, signed: signed.as_bytes().to_vec(), signature })
    }
}

/// The signed first line, without its newline, and the 64 bytes of the signature in the second.
pub(super) fn split_lines(bytes: &[u8]) -> Result<(&str, Vec<u8>), EntryError> {
    let text = std::str::from_utf8(bytes).map_err(|_| EntryError::Lines)?;
    let (signed, rest) = text.split_once('\n').ok_or(EntryError::Lines)?;
    let line = rest.strip_suffix('\n').filter(|line| !line.contains('\n')).ok_or(EntryError::Lines)?;
    let encoded = line.strip_prefix(SIGNATURE_PREFIX).ok_or(EntryError::Signature)?;
    let signature = STANDARD.decode(encoded).map_err(|_| EntryError::Signature)?;
    if signature.len() == 64 { Ok((signed, signature)) } else { Err(EntryError::Signature) }
}

/// The bytes of an entry from its first line and the signature over it.
#[must_use]
pub fn entry_bytes(signed: &[u8], signature: &[u8]) -> Vec<u8> {
    let line = format!("\n{SIGNATURE_PREFIX}{}\n", STANDARD.encode(signature));
    [signed, line.as_bytes()].concat()
}

/// `00000042.json`: the file of one entry, at least eight digits.
#[must_use]
pub fn file_name(index: u64) -> String {
    format!("{index:08}{ENTRY_SUFFIX}")
}

/// The index a file name stands for, or `None` if it is not the name of an entry's file.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<u64> {
    let index: u64 = name.strip_suffix(ENTRY_SUFFIX)?.parse().ok()?;
    (index > 0 && file_name(index) == name).then_some(index)
}

/// `00000001-00000500.jsonl`: a file with the exact bytes of these entries, one after the other.
#[must_use]
pub fn pack_name(first: u64, last: u64) -> String {
    format!("{first:08}-{last:08}{PACK_SUFFIX}")
}

/// The first and last index a file name stands for, or `None` if it is not the name of packed entries.
#[must_use]
pub fn parse_pack_name(name: &str) -> Option<(u64, u64)> {
    let (first, last) = name.strip_suffix(PACK_SUFFIX)?.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first > 0 && first <= last && pack_name(first, last) == name).then_some((first, last))
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
    use super::super::statement::*;
    use super::*;
    use crate::archive::samples;

    fn entry() -> Entry {
        Entry {
            format: FORMAT,
            index: 2,
            previous: Some(Sha256::of(b"before")),
            key_id: Sha256::of(b"key"),
            instance_id: "a1b2c3d4".to_owned(),
            epoch: 3,
            time: time_text(1_795_305_600_000_001),
            statement: Statement::File(FileStatement {
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
                leaves_sha256: Some(Sha256::of(b"list")),
            }),
        }
    }

    #[test]
    fn a_statement_is_one_line_with_its_keys_in_order() {
        let hex = |text: &[u8]| Sha256::of(text).to_string();
        let expected = format!(
            "{{\"format\":1,\"index\":2,\"previous\":\"{}\",\"key_id\":\"{}\",\"instance_id\":\"a1b2c3d4\",\
             \"epoch\":3,\"time\":\"2026-11-22T00:00:00.000001Z\",\"kind\":\"file\",\
             \"path\":\"event_date=2026-11-22/a1b2c3d4-3-1-2.parquet\",\
             \"bytes\":9000,\"sha256\":\"{}\",\"rows\":2,\"first_seq\":1,\"last_seq\":2,\
             \"first_event_time\":\"2026-11-22T00:00:00.000000Z\",\"last_event_time\":\"9223372036854775807\",\
             \"merkle_root\":\"{}\",\"schema_sha256\":\"{}\",\"policy_hashes\":[\"p\"],\"leaves_sha256\":\"{}\"}}",
            hex(b"before"),
            hex(b"key"),
            hex(b"file"),
            hex(b"root"),
            hex(b"schema"),
            hex(b"list")
        );
        assert_eq!(String::from_utf8(entry().to_line().expect("encodes")).expect("text"), expected);
    }

    #[test]
    fn every_kind_is_read_as_it_was_written() {
        let file = || entry().statement.file().expect("a file").clone();
        let recovery = RecoverySummary { rows: 3, interrupted: 2, quarantined: 1, torn: 4 };
        let start = StartStatement {
            version: "1.0.0".to_owned(),
            policy_hash: "p".to_owned(),
            config_sha256: None,
            catalogue_sha256: Sha256::of(b"catalogue"),
            durability: "fsync".to_owned(),
            on_failure: "refuse".to_owned(),
            recovery,
        };
        let input = RewriteInput { path: "p".to_owned(), sha256: Sha256::of(b"in"), index: 1 };
        let (first_event_time, last_event_time) = (time_text(1), time_text(2));
        let removed = RemovedRows { rows: 3, seqs: vec![(1, 2), (7, 7)], first_event_time, last_event_time };
        let statements = [
            Statement::Start(start),
            Statement::Stop(StopStatement { reason: StopReason::Terminated, last_seq: u64::MAX }),
            Statement::Heartbeat(HeartbeatStatement { from: time_text(1), to: time_text(2), last_seq: 0 }),
            Statement::Policy(PolicyStatement {
                before: "p".to_owned(),
                after: "q".to_owned(),
                catalogue_sha256: Sha256::of(b"c"),
            }),
            Statement::RefusedReload(samples::refused("p", 2)),
            Statement::KeyRotation(KeyRotationStatement { new_key: "AA==".to_owned(), new_key_id: Sha256::of(b"k") }),
            Statement::Rewrite(RewriteStatement {
                reason: RewriteReason::Retention,
                inputs: vec![input],
                output: Some(file()),
                removed: Some(removed),
                holds: vec!["case 7".to_owned()],
            }),
        ];
        for statement in statements {
            let entry = Entry { statement, ..entry() };
            let line = entry.to_line().expect("encodes");
            let kind = format!("\"kind\":\"{}\"", entry.statement.kind());
            assert!(String::from_utf8(line.clone()).expect("text").contains(&kind), "{kind}");
            assert_eq!(SignedEntry::parse(&entry_bytes(&line, &[7; 64])).expect("parses").entry, entry);
        }
    }

    #[test]
    fn entries_from_before_there_were_lists_and_digests_of_refused_texts_are_read() {
        let list = format!(",\"leaves_sha256\":\"{}\"", Sha256::of(b"list"));
        let line = String::from_utf8(entry().to_line().expect("encodes")).expect("text").replace(&list, "");
        let parsed = SignedEntry::parse(&entry_bytes(line.as_bytes(), &[7; 64])).expect("parses").entry;
        assert_eq!(parsed.statement.file().expect("a file").leaves_sha256, None);
        assert_eq!(parsed.to_line().expect("encodes"), line.as_bytes());
        let refused: RefusedReloadStatement =
            serde_json::from_str("{\"policy_hash\":\"p\",\"problems\":2}").expect("parses");
        assert_eq!(refused, RefusedReloadStatement { policy_sha256: None, ..samples::refused("p", 2) });
    }

    #[test]
    fn an_entry_is_taken_apart_as_it_was_put_together() {
        let signed = entry().to_line().expect("encodes");
        let parsed = SignedEntry::parse(&entry_bytes(&signed, &[7; 64])).expect("parses");
        assert_eq!(parsed, SignedEntry { entry: entry(), signed, signature: vec![7; 64] });
    }

    #[test]
    fn other_forms_are_refused() {
        let signed = entry().to_line().expect("encodes");
        let bytes = entry_bytes(&signed, &[7; 64]);
        let refused = |bytes: &[u8]| SignedEntry::parse(bytes).expect_err("refused");
        assert!(matches!(refused(b""), EntryError::Lines));
        assert!(matches!(refused(&bytes[..bytes.len() - 1]), EntryError::Lines));
        assert!(matches!(refused(&[&bytes[..], b"\n"].concat()), EntryError::Lines));
        assert!(matches!(refused(&entry_bytes(&signed, &[7; 63])), EntryError::Signature));
        assert!(matches!(refused(&entry_bytes(b"{}", &[7; 64])), EntryError::Statement(_)));
        let newer = Entry { format: 2, ..entry() }.to_line().expect("encodes");
        assert!(matches!(refused(&entry_bytes(&newer, &[7; 64])), EntryError::Format(2)));
        let unknown = String::from_utf8(signed).expect("text").replace("\"file\"", "\"rumour\"");
        assert!(matches!(refused(&entry_bytes(unknown.as_bytes(), &[7; 64])), EntryError::Statement(_)));
    }

    #[test]
    fn names_and_times_round_trip() {
        assert_eq!(file_name(42), "00000042.json");
        for index in [1, 99_999_999, 100_000_000, u64::MAX] {
            assert_eq!(parse_file_name(&file_name(index)), Some(index));
            assert_eq!(parse_pack_name(&pack_name(1, index)), Some((1, index)));
        }
        for name in ["00000000.json", "1.json", "00000001.json.new", "+0000001.json", "x.json"] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
        assert_eq!(pack_name(1, 500), "00000001-00000500.jsonl");
        for name in ["00000002-00000001.jsonl", "00000000-00000001.jsonl", "1-2.jsonl", "00000001.jsonl"] {
            assert_eq!(parse_pack_name(name), None, "{name}");
        }
        for time_us in [i64::MIN, -1, 0, 1_795_305_600_123_456, i64::MAX] {
            assert_eq!(parse_time_text(&time_text(time_us)), Some(time_us));
        }
    }
}
