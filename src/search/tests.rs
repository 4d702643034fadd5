//! Searching a real directory against a naive filter, and with damage in it.
//!
//! Journal segments are stand-ins: a list of rows, and a marker for damage.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::archive::samples::{self, MIDNIGHT_US};
use crate::archive::{self, seal};
use crate::journal;
use crate::record::{Decision, Intent, Outcome, OutcomeKind, Writer};

type Stored = (u64, Writer, Intent, Outcome);

fn write_segment(dir: &Path, name: &str, rows: &[Row]) {
    let stored: Vec<Stored> =
        (rows.iter().cloned()).map(|row| (row.seq, (*row.writer).clone(), row.intent, row.outcome)).collect();
    fs::create_dir_all(dir.join("journal")).expect("journal");
    fs::write(dir.join("journal").join(name), postcard::to_stdvec(&stored).expect("encodes")).expect("writes");
}

fn read_stand_in(path: &Path) -> Result<Contents, ReadError> {
    let failed = |source| ReadError::Io { path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(failed)?;
    let (stored, rest): (Vec<Stored>, _) =
        postcard::take_from_bytes(&bytes).map_err(|error| failed(io::Error::other(error)))?;
    let rows = stored
        .into_iter()
        .map(|(seq, writer, intent, outcome)| Row { seq, writer: Arc::new(writer), intent, outcome })
        .collect();
    let corrupt = 0..rest.len() as u64;
    let damage = (!rest.is_empty()).then(|| Damage { corrupt: vec![corrupt], torn: None });
    let (open, orphans) = (Vec::new(), Vec::new());
    Ok(Contents { writer: samples::writer(), number: 1, first_seq: 1, rows, open, orphans, closed: false, damage })
}

fn seal_into(dir: &Path, rows: &[Row]) -> Vec<PathBuf> {
    let settings = archive::Settings { row_group_rows: 4, ..archive::Settings::new(dir) };
    seal::prepare(&settings).expect("prepares");
    samples::seal(&settings, rows).expect("seals").into_iter().map(|sealed| sealed.path).collect()
}

fn search(dir: &Path, query: &Query) -> Found {
    run_reading(dir, query, read_stand_in).expect("searches")
}

fn seqs(found: &Found) -> Vec<u64> {
    found.rows.iter().map(|row| row.seq).collect()
}

fn rows_at(seqs: std::ops::RangeInclusive<u64>) -> Vec<Row> {
    seqs.map(|seq| samples::row(seq, MIDNIGHT_US + seq as i64)).collect()
}

/// Where a generated row is stored.
#[derive(Clone, Copy, Debug)]
enum Place {
    Journal,
    Sealed,
    Both,
}

fn generated_row() -> impl Strategy<Value = (Row, Place)> {
    let place = prop_oneof![Just(Place::Journal), Just(Place::Sealed), Just(Place::Sealed), Just(Place::Both)];
    let id = || proptest::option::of(prop_oneof![Just("a"), Just("b")]);
    let host = proptest::option::of(prop_oneof![Just("x.test"), Just("y.x.test"), Just("z.test")]);
    let decision = proptest::option::of(proptest::sample::select(Decision::ALL));
    // Few distinct times, so that many rows tie.
    let time = (-2..2_i64, 0..6_i64).prop_map(|(day, step)| MIDNIGHT_US + day * 86_400_000_000 + step * 1_000_000);
    let outcome = proptest::sample::select(&[OutcomeKind::Completed, OutcomeKind::Denied, OutcomeKind::TimedOut][..]);
    let row = (time, id(), id(), id(), host, decision, outcome, place);
    row.prop_map(|(time_us, deployment, project, fingerprint, host, decision, outcome, place)| {
        let mut row = samples::row(0, time_us);
        row.outcome.outcome = outcome;
        row.intent.url_fingerprint = fingerprint.map(str::to_owned);
        row.intent.deployment_id = deployment.map(str::to_owned);
        row.intent.project_id = project.map(str::to_owned);
        row.intent.host = host.map(str::to_owned);
        row.intent.decision = decision;
        (row, place)
    })
}

fn generated_query() -> impl Strategy<Value = Query> {
    let id = || proptest::option::weighted(0.3, prop_oneof![Just("a"), Just("b"), Just("never")]);
    let host = proptest::option::weighted(0.4, prop_oneof![Just("x.test"), Just("*.x.test"), Just("*.test")]);
    let decision = proptest::option::weighted(0.3, proptest::sample::select(Decision::ALL));
    let time = || proptest::option::weighted(0.4, -172_800_000_000..172_800_000_000_i64);
    let outcome =
        proptest::option::weighted(0.3, proptest::sample::select(&[OutcomeKind::Completed, OutcomeKind::Denied][..]));
    let wanted = proptest::sample::subsequence(vec!["a", "b", "never"], 0..3);
    let fingerprints = proptest::option::weighted(0.3, wanted);
    (id(), id(), host, decision, outcome, fingerprints, time(), time(), 0..12_usize).prop_map(
        |(deployment, project, host, decision, outcome, fingerprints, since, until, limit)| Query {
            fingerprints: fingerprints.map(|wanted| wanted.into_iter().map(str::to_owned).collect()),
            deployment: deployment.map(str::to_owned),
            project: project.map(str::to_owned),
            host: host.map(|host| host.parse().expect("valid")),
            decision,
            outcome,
            since_us: since.map(|offset_us| MIDNIGHT_US + offset_us),
            until_us: until.map(|offset_us| MIDNIGHT_US + offset_us),
            limit,
        },
    )
}

/// The conditions, spelled out once more.
fn naively_matches(query: &Query, row: &Row) -> bool {
    let host_matches = match (&query.host, &row.intent.host) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(HostFilter::Exact(wanted)), Some(host)) => wanted == host,
        (Some(HostFilter::Subdomains(suffix)), Some(host)) => host.ends_with(suffix),
    };
    let time_us = row.intent.event_time_us;
    host_matches
        && query.deployment.iter().all(|id| row.intent.deployment_id.as_ref() == Some(id))
        && query.project.iter().all(|id| row.intent.project_id.as_ref() == Some(id))
        && query
            .fingerprints
            .iter()
            .all(|wanted| wanted.iter().any(|fingerprint| row.intent.url_fingerprint.as_ref() == Some(fingerprint)))
        && query.decision.iter().all(|decision| row.intent.decision == Some(*decision))
        && query.outcome.iter().all(|outcome| row.outcome.outcome == *outcome)
        && query.since_us.iter().all(|since_us| time_us >= *since_us)
        && query.until_us.iter().all(|until_us| time_us < *until_us)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn finds_what_a_naive_filter_finds(
        generated in vec(generated_row(), 0..40),
        queries in vec(generated_query(), 6),
        file_rows in 1..15_usize,
    ) {
        let dir = tempfile::tempdir().expect("temp dir");
        let (mut rows, mut journal, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
        for (seq, (row, place)) in (1..).zip(generated) {
            let mut row = row;
            row.seq = seq;
            // Ids that do not follow the sequence: ties must not be broken by them.
            row.intent.event_id = uuid::Uuid::from_u128(u128::from(seq * 7919 % 1009));
            match place {
                Place::Journal => journal.push(row.clone()),
                Place::Sealed => sealed.push(row.clone()),
                Place::Both => {
                    journal.push(row.clone());
                    sealed.push(row.clone());
                }
            }
            rows.push(row);
        }
        write_segment(dir.path(), "00000001-00000001.journal", &journal);
        for chunk in sealed.chunks(file_rows) {
            seal_into(dir.path(), chunk);
        }
        rows.sort_by_key(|row| std::cmp::Reverse((row.intent.event_time_us, row.seq)));
        for query in queries {
            let expected: Vec<Row> =
                rows.iter().filter(|row| naively_matches(&query, row)).take(query.limit).cloned().collect();
            let found = search(dir.path(), &query);
            prop_assert!(found.problems.is_empty(), "{:?}", found.problems);
            prop_assert_eq!(found.rows, expected, "{:?}", query);
        }
    }

    #[test]
    fn no_change_of_a_file_makes_the_search_fail(position in any::<proptest::sample::Index>(), value in any::<u8>()) {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = seal_into(dir.path(), &rows_at(1..=6)).remove(0);
        let intact = seal_into(dir.path(), &rows_at(11..=12)).len();
        prop_assert_eq!(intact, 1);
        let mut bytes = fs::read(&path).expect("reads");
        let index = position.index(bytes.len());
        bytes[index] = value;
        fs::write(&path, bytes).expect("writes");
        let query = Query { host: None, since_us: Some(MIDNIGHT_US + 2), ..Query::default() };
        let found = search(dir.path(), &query);
        let kept: HashSet<u64> = seqs(&found).into_iter().collect();
        prop_assert!(kept.contains(&11) && kept.contains(&12));
    }
}

#[test]
fn rows_of_the_journal_and_of_files_are_merged_newest_first() {
    let dir = tempfile::tempdir().expect("temp dir");
    seal_into(dir.path(), &rows_at(1..=4));
    write_segment(dir.path(), "00000001-00000002.journal", &rows_at(3..=6));
    assert_eq!(seqs(&search(dir.path(), &Query::default())), [6, 5, 4, 3, 2, 1]);
    assert_eq!(seqs(&search(dir.path(), &Query { limit: 3, ..Query::default() })), [6, 5, 4]);
}

#[test]
fn a_torn_file_is_named_and_the_others_are_read() {
    let dir = tempfile::tempdir().expect("temp dir");
    seal_into(dir.path(), &rows_at(1..=2));
    let torn = seal_into(dir.path(), &rows_at(3..=4)).remove(0);
    let bytes = fs::read(&torn).expect("reads");
    fs::write(&torn, &bytes[..bytes.len() - 20]).expect("tears");
    let found = search(dir.path(), &Query::default());
    assert_eq!(seqs(&found), [2, 1]);
    assert_eq!(found.problems.len(), 1);
    assert_eq!(found.problems[0].path, torn);
    assert!(matches!(found.problems[0].fault, Fault::Sealed(SealedError::Parquet(_))));
}

#[test]
fn a_parquet_file_of_someone_else_is_named() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = seal_into(dir.path(), &rows_at(1..=2)).remove(0);
    let batch = archive::rows::encode(&rows_at(1..=2).iter().collect::<Vec<_>>()).expect("encodes");
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(fs::File::create(&path).expect("creates"), batch.schema(), None)
            .expect("writer");
    writer.write(&batch).expect("writes");
    writer.close().expect("closes");
    let found = search(dir.path(), &Query::default());
    assert_eq!(seqs(&found), <[u64; 0]>::default());
    assert!(matches!(found.problems[0].fault, Fault::Sealed(SealedError::NoEpoch)));
}

#[test]
fn damaged_segments_are_named_and_their_sound_rows_found() {
    let dir = tempfile::tempdir().expect("temp dir");
    write_segment(dir.path(), "00000001-00000001.journal", &rows_at(1..=2));
    let path = dir.path().join("journal/00000001-00000001.journal");
    let bytes = [fs::read(&path).expect("reads"), b"junk".to_vec()].concat();
    fs::write(&path, bytes).expect("writes");
    fs::write(dir.path().join("journal/00000001-00000002.journal"), b"").expect("writes");
    fs::write(dir.path().join("journal/00000001-00000002.journal.new"), b"not a segment yet").expect("writes");
    let found = search(dir.path(), &Query::default());
    assert_eq!(seqs(&found), [2, 1]);
    let paths: Vec<_> = found.problems.iter().filter_map(|problem| problem.path.file_name()).collect();
    assert_eq!(paths, ["00000001-00000001.journal", "00000001-00000002.journal"]);
    assert!(matches!(found.problems[0].fault, Fault::DamagedSegment(4)));
}

#[test]
fn a_segment_sealed_while_it_is_searched_loses_no_rows() {
    fn vanishing(path: &Path) -> Result<Contents, ReadError> {
        let segment = read_stand_in(path)?;
        seal_into(path.parent().and_then(Path::parent).expect("data dir"), &segment.rows);
        fs::remove_file(path).expect("removes");
        read_stand_in(path)
    }
    let dir = tempfile::tempdir().expect("temp dir");
    write_segment(dir.path(), "00000001-00000001.journal", &rows_at(1..=3));
    let found = run_reading(dir.path(), &Query::default(), vanishing).expect("searches");
    assert_eq!(seqs(&found), [3, 2, 1]);
    assert!(found.problems.is_empty());
}

#[test]
fn older_days_are_not_opened_when_newer_ones_fill_the_limit() {
    let dir = tempfile::tempdir().expect("temp dir");
    let old = seal_into(dir.path(), &[samples::row(1, MIDNIGHT_US - 1)]).remove(0);
    seal_into(dir.path(), &rows_at(2..=4));
    fs::write(&old, b"torn").expect("tears");
    let found = search(dir.path(), &Query { limit: 3, ..Query::default() });
    assert_eq!(seqs(&found), [4, 3, 2]);
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    assert_eq!(search(dir.path(), &Query { limit: 4, ..Query::default() }).problems.len(), 1);
}

#[test]
fn days_outside_the_asked_range_are_not_opened() {
    let dir = tempfile::tempdir().expect("temp dir");
    let old = seal_into(dir.path(), &[samples::row(1, MIDNIGHT_US - 1)]).remove(0);
    fs::write(&old, b"torn").expect("tears");
    seal_into(dir.path(), &rows_at(2..=4));
    let found = search(dir.path(), &Query { since_us: Some(MIDNIGHT_US), ..Query::default() });
    assert_eq!(seqs(&found), [4, 3, 2]);
    assert!(found.problems.is_empty(), "{:?}", found.problems);
}

#[test]
fn a_directory_without_audit_data_is_refused() {
    let dir = tempfile::tempdir().expect("temp dir");
    let error = run(dir.path(), &Query::default()).expect_err("refuses");
    assert!(matches!(&error, SearchError::NoDataDir { path } if path == dir.path()));
    assert!(error.to_string().contains("--data-dir"));
}

/// What the stand-ins leave out: a journal that is being written, sealed at shutdown.
#[tokio::test]
async fn rows_are_found_in_the_live_journal_and_after_it_was_sealed() {
    let dir = tempfile::tempdir().expect("temp dir");
    let journal_dir = dir.path().join("journal");
    fs::create_dir(&journal_dir).expect("journal");
    let (closed, arriving) = std::sync::mpsc::channel();
    let signer = archive::Signer::load_or_create(dir.path()).expect("key");
    let sealer = archive::Sealer::start(archive::Settings::new(dir.path()), signer, samples::opening(), arriving)
        .expect("starts");
    let settings = journal::Settings::new(journal_dir.clone());
    let (journal, thread) = journal::open(settings, (*samples::writer()).clone(), closed).expect("opens");

    let rows = rows_at(1..=3);
    for row in &rows {
        journal.intend(&row.intent).await.expect("durable");
    }
    assert_eq!(seqs(&run(dir.path(), &Query::default()).expect("searches")), <[u64; 0]>::default());
    for row in &rows {
        journal.settle(row.intent.event_id, &row.outcome).durable().await.expect("durable");
    }
    let expected: Vec<Row> = rows.into_iter().rev().collect();
    let live = run(dir.path(), &Query::default()).expect("searches");
    assert_eq!((live.rows, live.problems.len()), (expected.clone(), 0));

    thread.close().expect("closes");
    let left = sealer.finish(std::time::Instant::now() + std::time::Duration::from_secs(60), samples::STOP);
    assert_eq!(left, archive::Unsealed::default());
    assert_eq!(segments(&journal_dir).expect("lists"), <[PathBuf; 0]>::default());
    let after = run(dir.path(), &Query::default()).expect("searches");
    assert_eq!((after.rows, after.problems.len()), (expected, 0));
}
