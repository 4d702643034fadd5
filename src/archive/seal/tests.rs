//! Sealing against a real directory: what the files hold, where they are, and what is never written twice.

use std::fs;

use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use proptest::prelude::*;

use super::*;
use crate::archive::rows::Decoder;
use crate::archive::samples::{self, MIDNIGHT_US};
use crate::archive::schema::COLUMNS;
use crate::archive::sealed::SealedFile;
use crate::journal::segment::{RowsError, SegmentBytes};
use crate::record::Row;

fn dataset() -> (tempfile::TempDir, Settings) {
    let dir = tempfile::tempdir().expect("temp dir");
    let settings = Settings::new(dir.path());
    prepare(&settings).expect("prepares");
    (dir, settings)
}

fn rows_at(seqs: std::ops::RangeInclusive<u64>) -> Vec<Row> {
    seqs.map(|seq| samples::row(seq, MIDNIGHT_US + seq as i64)).collect()
}

fn read(path: &Path) -> Vec<Row> {
    let file = SealedFile::open(path).expect("opens");
    let mut rows = Vec::new();
    for batch in file.reader(false).expect("reader").build().expect("builds") {
        let mut decoder = Decoder::new(&batch.expect("batch"), file.epoch()).expect("columns");
        rows.extend((0..decoder.len()).map(|index| decoder.row(index).expect("row")));
    }
    rows
}

/// Every file below a directory, relative and sorted.
fn tree(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).expect("lists").map(|entry| entry.expect("entry").path()) {
            if entry.is_dir() {
                open.push(entry);
            } else {
                found.push(entry.strip_prefix(dir).expect("below").display().to_string());
            }
        }
    }
    found.sort();
    found
}

fn seqs_in(dir: &Path) -> Vec<u64> {
    let mut seqs: Vec<u64> = tree(dir).iter().flat_map(|name| read(&dir.join(name))).map(|row| row.seq).collect();
    seqs.sort_unstable();
    seqs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn files_hold_exactly_the_rows_sorted(mut rows in proptest::collection::vec(samples::any_row(), 1..12)) {
        let (_dir, settings) = dataset();
        for (seq, row) in (1..).zip(&mut rows) {
            row.seq = seq;
        }
        let settings = Settings { row_group_rows: 3, ..settings };
        let sealed = samples::seal(&settings, &rows).expect("seals");
        // Files come back in day order and are sorted, so one after the other they are the sorted rows.
        let found: Vec<Row> = sealed.iter().flat_map(|file| read(&file.path)).collect();
        rows.sort_by_key(|row| (EventDate::of(row.intent.event_time_us), row.intent.event_time_us, row.seq));
        prop_assert_eq!(found, rows);
    }
}

#[test]
fn rows_are_split_by_utc_day_and_sorted_by_time() {
    let (dir, settings) = dataset();
    let rows = [
        samples::row(1, MIDNIGHT_US + 5),
        samples::row(2, MIDNIGHT_US - 1),
        samples::row(3, MIDNIGHT_US),
        samples::row(4, MIDNIGHT_US - 9),
    ];
    let sealed = samples::seal(&settings, &rows).expect("seals");
    assert_eq!(
        tree(dir.path()),
        ["audit/event_date=2026-11-21/gate-1-7-2-4.parquet", "audit/event_date=2026-11-22/gate-1-7-1-3.parquet"]
    );
    let seqs = |sealed: &Sealed| read(&sealed.path).iter().map(|row| row.seq).collect::<Vec<_>>();
    assert_eq!(sealed.iter().map(seqs).collect::<Vec<_>>(), [[4, 2], [3, 1]]);
    assert_eq!(sealed[0].bytes(), fs::metadata(&sealed[0].path).expect("stat").len());
}

#[test]
fn files_carry_what_engines_prune_with() {
    let (_dir, settings) = dataset();
    let sealed = samples::seal(&settings, &rows_at(1..=10)).expect("seals");
    let file = fs::File::open(&sealed[0].path).expect("opens");
    let metadata = ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .parse_and_finish(&file)
        .expect("footer and page index");
    let group = metadata.row_group(0);
    assert_eq!(group.sorting_columns().map(|columns| columns[0].column_idx), Some(5));

    let with_bloom: Vec<_> = (group.columns().iter().filter(|column| column.bloom_filter_offset().is_some()))
        .map(|column| column.column_path().string())
        .collect();
    assert_eq!(
        with_bloom,
        ["event_id", "deployment_id", "project_id", "client_ip", "host", "url_fingerprint", "upstream_ip"]
    );
    for column in group.columns() {
        assert!(column.column_index_range().is_some(), "{}", column.column_path());
        assert!(column.offset_index_range().is_some(), "{}", column.column_path());
        assert!(matches!(column.compression(), Compression::ZSTD(_)), "{}", column.column_path());
    }
    let encodings = |index: usize| group.column(index).encodings().collect::<Vec<_>>();
    assert!(encodings(0).contains(&Encoding::DELTA_BYTE_ARRAY));
    assert!(encodings(5).contains(&Encoding::DELTA_BINARY_PACKED));
    assert!(encodings(8).contains(&Encoding::RLE_DICTIONARY) || encodings(8).contains(&Encoding::PLAIN_DICTIONARY));
}

#[test]
fn columns_have_field_ids_and_the_footer_describes_the_file() {
    let (_dir, settings) = dataset();
    let sealed = samples::seal(&settings, &rows_at(3..=9)).expect("seals");
    let file = SealedFile::open(&sealed[0].path).expect("opens");
    let schema = file.metadata().file_metadata().schema_descr();
    let ids: Vec<i32> = schema.root_schema().get_fields().iter().map(|field| field.get_basic_info().id()).collect();
    assert_eq!(ids, (1..=COLUMNS.len() as i32).collect::<Vec<_>>());

    let pairs = file.metadata().file_metadata().key_value_metadata().expect("metadata");
    let pairs: Vec<_> = pairs.iter().map(|pair| (pair.key.as_str(), pair.value.as_deref().unwrap_or(""))).collect();
    assert_eq!(
        pairs,
        [
            ("tollgate.schema_version", "2"),
            ("tollgate.writer_version", env!("CARGO_PKG_VERSION")),
            ("tollgate.rows", "7"),
            ("tollgate.instance_id", "gate-1"),
            ("tollgate.boot_id", "00000000-0000-0000-0000-00000000b007"),
            ("tollgate.epoch", "7"),
            ("tollgate.first_seq", "3"),
            ("tollgate.last_seq", "9"),
        ]
    );
    assert_eq!(file.event_times(), Some((MIDNIGHT_US + 3, MIDNIGHT_US + 9)));
}

#[test]
fn a_small_file_stays_small() {
    let (_dir, settings) = dataset();
    let sealed = samples::seal(&settings, &rows_at(1..=1)).expect("seals");
    assert!(sealed[0].bytes() < 24 * 1024, "{} bytes for one row", sealed[0].bytes());
}

#[test]
fn sealing_again_writes_nothing() {
    let (dir, settings) = dataset();
    let rows = rows_at(1..=5);
    assert_eq!(samples::seal(&settings, &rows).expect("seals").len(), 1);
    assert_eq!(samples::seal(&settings, &rows).expect("seals again"), []);
    assert_eq!(tree(dir.path()), ["audit/event_date=2026-11-22/gate-1-7-1-5.parquet"]);
}

#[test]
fn rows_repeated_by_a_later_segment_are_sealed_once_in_either_order() {
    for order in [[1..=5, 4..=8], [4..=8, 1..=5]] {
        let (dir, settings) = dataset();
        for range in order {
            samples::seal(&settings, &rows_at(range)).expect("seals");
        }
        assert_eq!(seqs_in(&dir.path().join("audit")), (1..=8).collect::<Vec<_>>());
    }
}

#[test]
fn rows_of_another_epoch_with_the_same_numbers_are_not_duplicates() {
    let (dir, settings) = dataset();
    let first = rows_at(1..=2);
    let mut second = rows_at(1..=2);
    for row in &mut second {
        row.writer = std::sync::Arc::new(crate::record::Writer { epoch: 8, ..(*row.writer).clone() });
        row.intent.event_id = Uuid::from_u128(0x8000 + u128::from(row.seq));
    }
    samples::seal(&settings, &first).expect("seals");
    samples::seal(&settings, &second).expect("seals");
    assert_eq!(
        tree(dir.path()),
        ["audit/event_date=2026-11-22/gate-1-7-1-2.parquet", "audit/event_date=2026-11-22/gate-1-8-1-2.parquet"]
    );
}

#[test]
fn a_torn_file_is_replaced_and_an_intact_one_with_other_rows_is_not() {
    let (_dir, settings) = dataset();
    let rows = rows_at(1..=3);
    let path = samples::seal(&settings, &rows).expect("seals")[0].path.clone();
    let whole = fs::read(&path).expect("reads");
    fs::write(&path, &whole[..whole.len() / 2]).expect("tears");
    samples::seal(&settings, &rows).expect("seals again");
    assert_eq!(read(&path), rows);

    let mut others = rows_at(1..=3);
    for row in &mut others {
        row.intent.event_id = Uuid::from_u128(0x9000 + u128::from(row.seq));
    }
    let error = samples::seal(&settings, &others).expect_err("refuses");
    assert!(matches!(error, SealError::File(FileError::NameTaken(taken)) if taken == path));
    assert_eq!(read(&path), rows);
}

#[test]
fn an_instance_id_that_is_no_file_name_is_refused() {
    let (dir, settings) = dataset();
    let mut rows = rows_at(1..=1);
    rows[0].writer =
        std::sync::Arc::new(crate::record::Writer { instance_id: "../x".to_owned(), ..(*rows[0].writer).clone() });
    let error = samples::seal(&settings, &rows).expect_err("refuses");
    assert!(matches!(error, SealError::InstanceId(id) if id == "../x"));
    assert_eq!(tree(dir.path()), <[String; 0]>::default());
}

#[test]
fn preparing_removes_stale_staging_files_only() {
    let (dir, settings) = dataset();
    fs::write(settings.staging_dir.join("gate-1-7-1-5.parquet"), b"PAR1 torn").expect("writes");
    fs::write(settings.staging_dir.join("notes.txt"), b"kept").expect("writes");
    prepare(&settings).expect("prepares");
    assert_eq!(tree(dir.path()), ["staging/notes.txt"]);
}

#[test]
fn a_row_that_cannot_be_decoded_is_damage_and_leaves_nothing_in_staging() {
    let (dir, settings) = dataset();
    let bytes = SegmentBytes::of_half_a_row(Path::new("1.journal"), &samples::row(1, MIDNIGHT_US));
    let rows = bytes.rows().expect("its frames are whole");
    let error = seal(&settings, &rows).expect_err("refuses");
    assert!(matches!(error, SealError::File(FileError::Rows(RowsError::Damaged))), "{error}");
    assert_eq!(tree(dir.path()), <[String; 0]>::default());
    let damage = bytes.contents::<String>().expect("header").damage.expect("recovery sees it, too");
    assert!(damage.torn.is_some());
}

#[test]
fn a_day_of_many_batches_is_in_order_and_whole() {
    let (_dir, settings) = dataset();
    // Against the order of the journal, over the ends of batches and pages, with one row in each batch unlike the others.
    let mut rows: Vec<Row> = (1..=2500).map(|seq| samples::row(seq, MIDNIGHT_US + 10_000 - seq as i64 / 2)).collect();
    for row in rows.iter_mut().step_by(1000) {
        row.intent.path = Some(format!("/only/{}", row.seq));
    }
    let sealed = samples::seal(&settings, &rows).expect("seals");
    rows.sort_by_key(|row| (row.intent.event_time_us, row.seq));
    assert_eq!(read(&sealed[0].path), rows);
    assert_eq!(sealed[0].content, Content::read(&sealed[0].path).expect("reads"));
}
