//! Anchored heads, and bundles that prove one row.

use super::kinds::Growing;
use super::*;
use crate::archive::rotation;
use crate::verify::bundle::{self, Bundle, BundleError, Proven};
use crate::verify::prove::{self, ProveError};
use uuid::Uuid;

impl Growing {
    /// Appends an anchor of the head as it is now to a file.
    fn anchor(&self) -> PathBuf {
        let signer = Signer::load_or_create(&self.path("keys")).expect("key");
        let chain = Chain::open(self.settings.clone(), signer).expect("opens");
        let (_, bytes) = chain.anchor(&samples::start(), MIDNIGHT_US).expect("signs").expect("a head");
        let path = self.path("anchors");
        let mut anchors = fs::read(&path).unwrap_or_default();
        anchors.extend(bytes);
        fs::write(&path, anchors).expect("writes");
        path
    }

    fn verified_against(&self, anchors: &Path) -> Report {
        let anchor = Some(anchors.to_owned());
        run(&Settings { anchor, ..settings(self.dir.path()) }, &|_, _| {}).expect("verifies")
    }

    fn prove(&self, seq: u64, anchors: Option<&Path>) -> Result<Bundle, ProveError> {
        prove::make(self.dir.path(), Uuid::from_u128(u128::from(seq)), anchors)
    }

    fn key(&self) -> PublicKey {
        PublicKey::load(&self.path("keys/manifest.pub")).expect("loads")
    }
}

fn checked(bundle: &Bundle, key: &PublicKey) -> Result<Proven, BundleError> {
    bundle::check(&serde_json::to_vec(bundle).expect("encodes"), key)
}

#[test]
fn a_chain_cut_off_or_written_anew_lacks_its_anchored_head() {
    let growing = Growing::new(&[rows_at(1..=4)]);
    growing.anchor();
    growing.seal(&rows_at(5..=7));
    let anchors = growing.anchor();
    let report = growing.verified_against(&anchors);
    let anchored = report.anchored.as_ref().map(|anchor| (anchor.index, anchor.sha256));
    let head = report.head.map(|head| (head.index, head.sha256));
    assert_eq!((said(&report), anchored), (vec![], head));

    // Cut: the last entry with its file. Nothing in the directory itself shows it.
    let kept = fs::read(growing.path("manifest/00000003.json")).expect("reads");
    fs::remove_file(growing.path("manifest/00000003.json")).expect("removes");
    fs::remove_file(growing.path(LAST)).expect("removes");
    assert_eq!(said(&verified(growing.dir.path())), []);
    let report = growing.verified_against(&anchors);
    assert_eq!(said(&report), [("entry 3 of the chain", "not_anchored")]);
    assert_eq!(report.anchored.map(|anchor| anchor.index), Some(2));

    // Written anew, by somebody who has the key: soundly signed, and not what was anchored.
    growing.seal(&rows_at(5..=6));
    assert_eq!(said(&verified(growing.dir.path())), []);
    let report = growing.verified_against(&anchors);
    assert_eq!(said(&report), [("entry 3 of the chain", "not_anchored")]);
    assert_ne!(fs::read(growing.path("manifest/00000003.json")).expect("reads"), kept);
}

#[test]
fn anchors_that_cannot_be_believed_are_named() {
    let (growing, other) = (Growing::new(&[rows_at(1..=4)]), Growing::new(&[rows_at(1..=4)]));
    let anchors = other.anchor();
    let report = growing.verified_against(&anchors);
    assert_eq!(said(&report), [(format!("{} anchor 1", anchors.display()).as_str(), "anchor_malformed")]);
    fs::write(&anchors, "").expect("empties");
    assert_eq!(
        said(&growing.verified_against(&anchors)),
        [(anchors.display().to_string().as_str(), "anchor_malformed")]
    );
}

#[test]
fn a_bundle_proves_its_row_with_this_key_or_an_earlier_one() {
    let growing = Growing::new(&[rows_at(1..=4)]);
    let first = growing.key();
    growing.rotate();
    growing.seal(&rows_at(5..=7));
    let second = growing.key();
    let bundle = growing.prove(6, None).expect("proves");
    assert_eq!((bundle.rotations.len(), bundle.after.len(), bundle.anchor.is_none()), (1, 0, true));
    for key in [&first, &second] {
        let proven = checked(&bundle, key).expect("holds");
        assert!(proven.row.contains(&("seq".to_owned(), 6.into())), "{:?}", proven.row);
        assert_eq!((proven.entry.index, proven.head.index), (5, 5));
    }
    let early = growing.prove(1, None).expect("proves");
    assert_eq!(checked(&early, &first).expect("holds").entry.index, 1);
    let refused = checked(&early, &second);
    assert!(matches!(refused, Err(BundleError::UnknownKey(id)) if id == first.id()), "{refused:?}");
}

#[test]
fn a_bundle_leads_on_to_an_anchored_head() {
    let growing = Growing::new(&[rows_at(1..=4)]);
    growing.seal(&rows_at(5..=7));
    growing.rotate();
    let anchors = growing.anchor();
    growing.append(Statement::Stop(samples::STOP));
    growing.anchor();
    let bundle = growing.prove(2, Some(&anchors)).expect("proves");
    assert_eq!(bundle.after.len(), 4, "entries 2 to 5, the first that was anchored");
    let first = rotation::public_keys(&growing.path("keys"), 9).expect("lists");
    let first = first.iter().find(|key| **key != growing.key()).expect("kept");
    let proven = checked(&bundle, first).expect("holds");
    assert_eq!(proven.anchor.map(|anchor| anchor.index), Some(5));

    let without_link = Bundle { after: bundle.after[1..].to_vec(), ..bundle.clone() };
    assert!(matches!(checked(&without_link, first), Err(BundleError::Link(3))));
    let cut = Bundle { after: bundle.after[..2].to_vec(), ..bundle };
    let refused = checked(&cut, first);
    assert!(matches!(refused, Err(BundleError::NotAnchored | BundleError::Anchor(_))), "{refused:?}");

    let late = Growing::new(&[rows_at(1..=4)]);
    let anchors = late.anchor();
    late.seal(&rows_at(5..=7));
    let error = late.prove(6, Some(&anchors)).expect_err("not anchored yet");
    assert!(matches!(error, ProveError::NotAnchored(3)), "{error}");
}

#[test]
fn any_change_to_a_bundle_is_noticed() {
    let growing = Growing::new(&[rows_at(1..=7)]);
    let bundle = growing.prove(5, None).expect("proves");
    let key = growing.key();
    let refused = |changed: Bundle| checked(&changed, &key).expect_err("refused");
    let row = bundle.row.replace("completed", "denied");
    assert!(matches!(refused(Bundle { row, ..bundle.clone() }), BundleError::Row));
    assert!(matches!(refused(Bundle { leaf: bundle.leaf + 1, ..bundle.clone() }), BundleError::Row));
    assert!(matches!(refused(Bundle { path: Vec::new(), ..bundle.clone() }), BundleError::Row));
    let schema = bundle.schema.replace("host ", "path ");
    assert!(matches!(refused(Bundle { schema, ..bundle.clone() }), BundleError::Schema));
    let event_id = Uuid::nil().to_string();
    assert!(matches!(refused(Bundle { event_id, ..bundle.clone() }), BundleError::EventId));
    let entry = bundle.entry.replace("\"rows\":", "\"rows\":1");
    assert!(matches!(refused(Bundle { entry, ..bundle.clone() }), BundleError::Signature(_)));
    assert!(matches!(refused(Bundle { format: 2, ..bundle }), BundleError::Format(2)));
}

#[test]
fn a_row_that_is_not_there_or_was_changed_is_not_proved() {
    let growing = Growing::new(&[rows_at(1..=4)]);
    assert!(matches!(growing.prove(9, None), Err(ProveError::NotFound { .. })));
    let mut rows = rows_at(3..=4);
    rows[0].outcome.response_bytes = 1;
    let forged = Growing::new(&[rows]);
    fs::copy(forged.path(SECOND_DAY), growing.path(SECOND_DAY)).expect("copies");
    assert!(matches!(growing.prove(3, None), Err(ProveError::Changed(_))));
}
