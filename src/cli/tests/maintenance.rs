//! What `retention plan` and `retention apply` say of a day that is over.

use std::fs;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::{Value, json};

use super::output::{config_in, printed};
use super::*;
use crate::archive::chain::Chain;
use crate::archive::dataset::EventDate;
use crate::archive::{Settings, Signer, samples, seal};
use crate::cli::progress::Progress;
use crate::clock::now_us;

const DAY_US: i64 = 86_400_000_000;

/// Three files with nine rows of one day last week; the day.
fn sealed(directory: &Path) -> String {
    let settings = Settings::new(&directory.join("data"));
    fs::create_dir_all(directory.join("data/keys")).unwrap();
    seal::prepare(&settings).unwrap();
    let signer = Signer::load_or_create(&directory.join("data/keys")).unwrap();
    let mut chain = Chain::open(settings.clone(), signer).unwrap();
    let midnight_us = (now_us() - 7 * DAY_US) / DAY_US * DAY_US;
    for seqs in [1..=4, 5..=7, 8..=9] {
        let rows: Vec<_> = seqs.map(|seq| samples::row(seq, midnight_us + seq as i64)).collect();
        let written = samples::seal(&settings, &rows).unwrap();
        samples::cover(&mut chain, &rows, &written, midnight_us).unwrap();
    }
    EventDate::of(midnight_us).to_string()
}

fn said(directory: &Path, line: &str) -> Value {
    let (result, text) = printed(directory, line);
    result.unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_day_is_planned_compacted_and_removed_and_json_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let date = sealed(directory.path());
    let plan = said(directory.path(), "tollgate retention plan --data-dir DIR/data --json");
    let bytes = plan["days"][0]["bytes"].as_u64().unwrap();
    assert!(bytes > 9, "{plan}");
    let day = json!({
        "date": date, "action": "compact", "files": 3, "rows": 9, "bytes": bytes, "held_rows": 0, "unaccounted_files": []
    });
    assert_eq!(plan, json!({ "days": [day], "believed_time": null }));

    config_in(directory.path(), "data_dir: data\naudit: { compact_grace_s: 0 }\n");
    let compacted = said(directory.path(), "tollgate retention apply --config DIR/tollgate.yml --json");
    let expected = json!({
        "rewrites": 1, "rows_removed": 0, "files_gone": 2, "unaccounted_files": [], "believed_time": null
    });
    assert_eq!(compacted, expected);

    config_in(directory.path(), "data_dir: data\naudit: { keep_days: 1, compact_grace_s: 0 }\n");
    let doubted = said(directory.path(), "tollgate retention apply --config DIR/tollgate.yml --json");
    let believed = doubted["believed_time"].as_str().unwrap();
    assert_eq!((&doubted["rows_removed"], believed.get(..10)), (&0.into(), Some(date.as_str())), "{doubted}");
    let removed = said(directory.path(), "tollgate retention apply --config DIR/tollgate.yml --yes --json");
    assert_eq!((&removed["rewrites"], &removed["rows_removed"]), (&1.into(), &9.into()), "{removed}");
    assert_eq!((&removed["files_gone"], &removed["unaccounted_files"]), (&1.into(), &json!([])), "{removed}");
}

#[test]
fn verifying_shows_how_far_it_is_on_one_line() {
    let directory = tempfile::tempdir().unwrap();
    sealed(directory.path());
    let settings = crate::verify::Settings {
        root: directory.path().join("data"),
        public_key: None,
        anchor: None,
        since_us: None,
        until_us: None,
        threads: NonZeroUsize::new(3).unwrap(),
    };
    let mut shown = Vec::new();
    let progress = Progress::new(Some(&mut shown), "files", Duration::ZERO);
    let report = crate::verify::run(&settings, &|done, all| progress.show(done, all)).unwrap();
    drop(progress);
    assert_eq!((report.files, report.problems.len()), (3, 0));
    assert_eq!(String::from_utf8(shown).unwrap(), "\r1 of 3 files\r2 of 3 files\r3 of 3 files\n");
}
