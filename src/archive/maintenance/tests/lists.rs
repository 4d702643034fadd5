//! Which lists of rows go, and which stay.

use super::*;
use crate::archive::digest::Sha256;
use crate::archive::maintenance::lists::{find, remove, tidy};

fn leaf(text: &str) -> [Sha256; 1] {
    [Sha256::of(text.as_bytes())]
}

fn tidied(round: &Round<'_>) -> Result<bool, RewriteError> {
    tidy(round, &mut Pace::foreground())
}

impl Bench {
    /// A list without an entry, as a crash before the entry leaves it.
    fn orphan(&self) -> PathBuf {
        let listed = leaves::write(&self.settings, &leaf("orphan")).expect("writes");
        leaves::directory(&self.settings.manifest_dir).join(listed.sha256().to_string())
    }
}

#[test]
fn a_list_that_no_entry_names_goes_unless_the_chain_is_broken_or_work_on_a_day_is_begun() {
    let bench = Bench::three_segments();
    let orphan = bench.orphan();
    assert_eq!(bench.intact().unneeded_lists.len(), 1);
    let begun = bench.settings.staging_dir.join(format!("{SECOND_DAY}.out"));
    fs::create_dir(&begun).expect("dir");
    assert!(!bench.with_round(tidied).expect("looks"));
    assert!(orphan.exists());
    fs::remove_dir(begun).expect("removes");

    let entry = bench.settings.manifest_dir.join("00000002.json");
    let whole = fs::read(&entry).expect("reads");
    for broken in [None, Some(&b"{}"[..]), Some(&whole[1..])] {
        match broken {
            Some(bytes) => fs::write(&entry, bytes).expect("writes"),
            None => fs::remove_file(&entry).expect("removes"),
        }
        assert!(bench.with_round(tidied).expect("looks"));
        assert_eq!((orphan.exists(), bench.lists()), (true, 5), "{broken:?}");
    }
    fs::write(&entry, whole).expect("restores");
    assert!(bench.with_round(tidied).expect("looks"));
    assert_eq!((orphan.exists(), bench.lists()), (false, 4));
    bench.intact();
}

#[test]
fn the_watch_is_told_of_a_list_before_it_goes() {
    let bench = Bench::three_segments();
    let orphan = bench.orphan();
    let told = std::cell::RefCell::new(Vec::new());
    let expect = |path: &Path| told.borrow_mut().push((path.to_owned(), path.exists()));
    bench.with_round(|round| tidied(&Round { expect: &expect, ..*round })).expect("looks");
    assert!(!orphan.exists());
    assert_eq!(told.take(), [(orphan, true)]);
}

#[test]
fn an_unreadable_last_entry_keeps_the_list_it_may_name() {
    let bench = Bench::three_segments();
    fs::write(bench.settings.manifest_dir.join("00000004.json"), "torn").expect("tears");
    bench.with_round(tidied).expect("looks");
    assert_eq!(bench.lists(), 4);
}

#[test]
fn a_list_that_gets_its_entry_while_it_is_looked_for_stays() {
    let bench = Bench::three_segments();
    let rows = [samples::row(10, MIDNIGHT_US + 100)];
    let written = samples::seal(&bench.settings, &rows).expect("seals");
    leaves::write(&bench.settings, &written[0].content.leaves).expect("writes");
    bench.orphan();
    let unneeded = find(&bench.settings, &mut Pace::foreground()).expect("finds");
    samples::cover(&mut bench.chain(), &rows, &written, MIDNIGHT_US).expect("covers");
    bench.with_round(|round| remove(round, unneeded)).expect("removes");
    assert_eq!(bench.intact().unneeded_lists, Vec::<String>::new());
    assert_eq!(bench.lists(), 5);
}

#[test]
fn the_list_of_a_file_that_is_missing_stays_until_the_file_is_back() {
    let bench = Bench::three_segments();
    let path = bench.settings.audit_dir.join(SECOND_DAY).join("gate-1-7-5-7.parquet");
    let bytes = fs::read(&path).expect("reads");
    fs::remove_file(&path).expect("removes");
    bench.clean_round(MIDNIGHT_US);
    fs::write(&path, bytes).expect("restores");
    bench.intact();
}

#[test]
fn lists_go_with_their_files_and_the_list_of_what_is_held_takes_their_place() {
    let mut bench = Bench::three_segments();
    assert_eq!(bench.lists(), 4);
    bench.clean_round(AFTER_US);
    assert_eq!((bench.files()[SECOND_DAY].len(), bench.lists()), (1, 2));
    bench.rules.keep_days = Some(1);
    bench.clean_round(MIDNIGHT_US + 10 * DAY_US);
    assert_eq!((bench.files().len(), bench.lists()), (0, 0));
    bench.intact();
}
