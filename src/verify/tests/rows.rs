//! Rows of a sealed file changed in every way, the file written again as sound Parquet: exactly these rows are named.

use std::fs::File;

use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use proptest::sample::Index;
use uuid::Uuid;

use super::*;
use crate::archive::leaves;
use crate::archive::rows as columns;
use crate::archive::schema::arrow_schema;
use crate::verify::differences::Difference::{self, Added, Changed, Moved, Removed};
use crate::verify::rows::{self, ChangedFile, RowsError};

const ROWS: usize = 30;
const FILE: &str = "audit/event_date=2026-11-22/gate-1-7-1-30.parquet";

/// One file of [`ROWS`] rows.
static SEALED: LazyLock<Files> = LazyLock::new(|| sealed(&[original()]));

fn original() -> Vec<Row> {
    (1..=ROWS as u64).map(|seq| samples::row(seq, MIDNIGHT_US + seq as i64)).collect()
}

/// As most tools write Parquet: compressed with Snappy, and of what only sealed files say of themselves there is nothing.
fn write(path: &Path, rows: &[Row]) {
    let batch = columns::encode(&rows.iter().collect::<Vec<_>>()).expect("encodes");
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let file = File::create(path).expect("creates");
    let mut writer = ArrowWriter::try_new(file, arrow_schema(), Some(properties)).expect("opens");
    writer.write(&batch).expect("writes");
    writer.close().expect("closes");
}

fn compared(dir: &Path) -> Vec<ChangedFile> {
    rows::compare(&verified(dir).modified).collect()
}

/// What is said of the rows after the file was written again with these: each difference, with `seq` and `event_id` of now.
fn told(now: &[Row]) -> Vec<(Difference, Option<i64>, Option<String>)> {
    let dir = laid_out(&SEALED);
    write(&dir.path().join(FILE), now);
    let report = verified(dir.path());
    let [(FILE, "file_size" | "file_modified")] = said(&report)[..] else { panic!("{:?}", said(&report)) };
    let found = compared(dir.path());
    let [ChangedFile { place, rows: Ok(rows) }] = &found[..] else { panic!("{found:?}") };
    assert_eq!((place.as_str(), rows.total()), (FILE, rows.named.len() as u64));
    rows.named.iter().map(|row| (row.difference, row.seq, row.event_id.clone())).collect()
}

/// The differences with what the rows that are there say they are.
fn expected(differences: Vec<Difference>, now: &[Row]) -> Vec<(Difference, Option<i64>, Option<String>)> {
    let with_ids = |difference: Difference| {
        let row = difference.row().map(|row| &now[row]);
        (difference, row.map(|row| row.seq as i64), row.map(|row| row.intent.event_id.to_string()))
    };
    differences.into_iter().map(with_ids).collect()
}

fn edit(row: &mut Row, how: usize) {
    match how % 5 {
        0 => row.outcome.response_bytes += 1,
        1 => row.intent.host = Some("elsewhere.test".to_owned()),
        2 => row.seq += 1000,
        3 => row.intent.event_id = Uuid::from_u128(u128::from(row.seq) + 0x5000),
        _ => row.intent.event_time_us += 1,
    }
}

fn distinct(picked: &[Index]) -> BTreeSet<usize> {
    picked.iter().map(|index| index.index(ROWS)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn rows_that_were_changed_are_named(picked in prop::collection::vec((any::<Index>(), 0..5_usize), 1..8)) {
        let mut now = original();
        let mut edited = BTreeSet::new();
        for (index, how) in picked {
            let row = index.index(ROWS);
            if edited.insert(row) {
                edit(&mut now[row], how);
            }
        }
        let differences = edited.into_iter().map(|row| Changed { row, was: row }).collect();
        prop_assert_eq!(told(&now), expected(differences, &now));
    }

    #[test]
    fn rows_that_were_removed_are_named(picked in prop::collection::vec(any::<Index>(), 1..8)) {
        let gone = distinct(&picked);
        let now: Vec<Row> = original().into_iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, row)| row).collect();
        let differences = gone.into_iter().map(|was| Removed { was }).collect();
        prop_assert_eq!(told(&now), expected(differences, &now));
    }

    #[test]
    fn rows_that_were_added_are_named(picked in prop::collection::vec(any::<Index>(), 1..8)) {
        let mut now = original();
        let added = distinct(&picked);
        for row in &added {
            now.insert(*row, samples::row(100 + *row as u64, MIDNIGHT_US));
        }
        let differences = added.into_iter().map(|row| Added { row }).collect();
        prop_assert_eq!(told(&now), expected(differences, &now));
    }

    #[test]
    fn rows_that_exchanged_places_are_named_and_those_changed_beside_them(
        picked in prop::collection::vec([any::<Index>(), any::<Index>()], 1..6),
        edited in prop::collection::vec((any::<Index>(), 0..5_usize), 0..4),
    ) {
        let (mut now, mut differences) = (original(), BTreeSet::new());
        let mut touched = BTreeSet::new();
        for [one, other] in picked {
            let (row, was) = (one.index(ROWS), other.index(ROWS));
            if row != was && !touched.contains(&row) && !touched.contains(&was) {
                now.swap(row, was);
                touched.extend([row, was]);
                differences.extend([(row, Moved { row, was }), (was, Moved { row: was, was: row })]);
            }
        }
        for (index, how) in edited {
            let row = index.index(ROWS);
            if touched.insert(row) {
                edit(&mut now[row], how);
                differences.insert((row, Changed { row, was: row }));
            }
        }
        prop_assume!(!differences.is_empty());
        let differences = differences.into_iter().map(|(_, difference)| difference).collect();
        prop_assert_eq!(told(&now), expected(differences, &now));
    }
}

#[test]
fn a_file_with_the_rows_that_were_signed_has_no_row_changed() {
    let now = original();
    assert_eq!(told(&now), []);
}

#[test]
fn a_row_of_another_file_and_a_copy_are_told_from_those_that_belong_there() {
    let mut now = original();
    now.insert(10, now[3].clone());
    now.remove(20);
    let differences = vec![Added { row: 10 }, Removed { was: 19 }];
    assert_eq!(told(&now), expected(differences, &now));
}

#[test]
fn what_is_no_parquet_any_more_or_has_no_sound_list_is_told_without_rows() {
    let dir = laid_out(&SEALED);
    fs::write(dir.path().join(FILE), "PAR1").expect("writes");
    let found = compared(dir.path());
    let [ChangedFile { rows: Err(RowsError::File(_)), .. }] = &found[..] else { panic!("{found:?}") };

    let lists = leaves::list(&dir.path().join("manifest/leaves")).expect("lists").named;
    let [(sha256, list)] = &lists.into_iter().collect::<Vec<_>>()[..] else { panic!("one list") };
    let place = format!("manifest/leaves/{sha256}");
    let mut bytes = fs::read(list).expect("reads");
    bytes.swap(0, 8);
    fs::write(list, bytes).expect("writes");
    let report = verified(dir.path());
    assert_eq!(said(&report), [(FILE, "file_size"), (place.as_str(), "list_modified")]);
    assert_eq!(report.modified, []);
    fs::remove_file(list).expect("removes");
    assert_eq!(said(&verified(dir.path())), [(FILE, "file_size"), (place.as_str(), "list_missing")]);
    fs::remove_dir(list.parent().expect("parent")).expect("removes");
    assert_eq!(said(&verified(dir.path())), [(FILE, "file_size"), ("manifest/leaves", "list_missing")]);
}

#[test]
fn a_list_that_nothing_needs_is_told_and_no_trouble_and_anything_else_there_is() {
    let dir = laid_out(&SEALED);
    let lists = dir.path().join("manifest/leaves");
    let bytes = [7; 24];
    let name = Sha256::of(&bytes).to_string();
    fs::write(lists.join(&name), bytes).expect("writes");
    let report = verified(dir.path());
    assert_eq!((said(&report), report.unneeded_lists.clone()), (vec![], vec![format!("manifest/leaves/{name}")]));
    fs::write(lists.join(&name), "something else").expect("writes");
    fs::write(lists.join("notes"), "").expect("writes");
    let report = verified(dir.path());
    let other = format!("manifest/leaves/{name}");
    assert_eq!(said(&report), [("manifest/leaves/notes", "stray_file"), (other.as_str(), "list_modified")]);
}

#[test]
fn an_entry_from_before_there_were_lists_verifies_and_its_rows_are_not_told_apart() {
    let dir = tempfile::tempdir().expect("temp dir");
    seal_into(dir.path(), &[original()]);
    sign_again(dir.path(), 1, |entry| file_of(entry).leaves_sha256 = None);
    let report = verified(dir.path());
    assert_eq!((said(&report), report.unneeded_lists.len()), (vec![], 1));
    write(&dir.path().join(FILE), &original()[1..]);
    let report = verified(dir.path());
    assert_eq!((said(&report), report.modified.clone()), (vec![(FILE, "file_size")], vec![]));
}

#[test]
fn lists_of_files_outside_the_asked_time_are_not_looked_at() {
    let dir = laid_out(&INTACT);
    fs::remove_dir_all(dir.path().join("manifest/leaves")).expect("removes");
    let later = Settings { since_us: Some(MIDNIGHT_US + 86_400_000_000), ..settings(dir.path()) };
    let report = run(&later, &|_, _| {}).expect("verifies");
    assert_eq!((said(&report), report.skipped), (vec![], 3));
}
