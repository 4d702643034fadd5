//! Segments of the journal whose rows are sealed already.

use super::*;
use crate::archive::sealer::reader::Reader;
use crate::archive::sealer::segment as sealing;
use crate::journal::segment::SegmentBytes;
use crate::journal::{self, segment};
use crate::record::Writer;

impl Bench {
    pub(super) fn journal_dir(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    /// Journals two rows, one of each day, in a start of its own. Their segment is closed.
    pub(super) fn journal(&self, epoch: u64) {
        let (closed, _segments) = std::sync::mpsc::channel();
        let writer = Writer { epoch, ..(*samples::writer()).clone() };
        let settings = journal::Settings::new(self.journal_dir());
        let (journal, thread) = journal::open(settings, writer, closed).expect("opens");
        for (id, at) in [(2 * epoch, -1), (2 * epoch + 1, 1)] {
            let row = samples::row(id, MIDNIGHT_US + at);
            drop(journal.record(&row.intent, &row.outcome));
        }
        thread.close().expect("closes");
    }

    pub(super) fn seal_segment(&self, chain: &mut Chain, path: &Path) {
        let bytes = Reader::new(SegmentBytes::read).read(path).expect("reads").expect("is there");
        let rows = bytes.rows().expect("undamaged");
        let written = seal::seal(&self.settings, &rows).expect("seals");
        sealing::settle(chain, path, &rows, &written).expect("settles");
    }

    /// As far as sealing gets when the segment cannot be deleted.
    pub(super) fn seal_keeping(&self, path: &Path) {
        let rows = segment::read(path).expect("reads").rows;
        let written = samples::seal(&self.settings, &rows).expect("seals");
        samples::cover(&mut self.chain(), &rows, &written, MIDNIGHT_US).expect("covers");
    }
}

#[test]
fn neither_compaction_nor_retention_touches_a_day_whose_segment_could_not_be_deleted() {
    for (keep_days, wall_us) in [(None, AFTER_US), (Some(1), MIDNIGHT_US + 10 * DAY_US)] {
        let mut bench = Bench::new();
        bench.rules.keep_days = keep_days;
        bench.journal(7);
        // Of the same start: there is something to compact.
        bench.seal(&[samples::row(3, MIDNIGHT_US - 2), samples::row(4, MIDNIGHT_US + 2)]);
        let [path] = &segment::list(&bench.journal_dir()).expect("lists")[..] else { panic!("not one segment") };
        bench.seal_keeping(path);
        let before = bench.files();
        let report = bench.clean_round(wall_us);
        assert_eq!((report.rewrites, report.rows_removed), (0, 0));
        assert_eq!(bench.files(), before);

        // The next start deletes it, and seals nothing twice.
        bench.start(wall_us);
        assert_eq!(segment::list(&bench.journal_dir()).expect("lists"), Vec::<PathBuf>::new());
        let left: &[u128] = if keep_days.is_none() { &[3, 4, 14, 15] } else { &[] };
        assert_eq!(bench.ids(), left);
        assert_ne!(bench.files(), before, "now it is done");
        bench.intact();
    }
}
