use super::*;

fn releases() -> Releases {
    Releases::embedded().unwrap()
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

#[test]
fn versions_are_two_or_three_numbers() {
    assert_eq!(version("8.19").to_string(), "8.19");
    assert_eq!(version("9.4.2"), Version { line: Line { major: 9, minor: 4 }, patch: Some(2) });
    for text in ["", "9", "9.", ".9", "9.4.2.1", "v9.4", "9.4.2-SNAPSHOT", "9.x", "9.+4", "9.70000"] {
        assert_eq!(text.parse::<Version>(), Err(VersionError), "{text}");
    }
}

#[test]
fn the_fix_of_tls_options_is_where_release_notes_put_it_and_unknown_where_none_did() {
    let releases = releases();
    let change = releases.change(TLS_OPTIONS).unwrap();
    for (text, expected) in [
        ("7.17.28", Standing::Absent),
        ("8.15", Standing::Absent),
        ("8.19.3", Standing::Unknown("#272321")),
        ("9.1", Standing::Absent),
        ("9.2.9", Standing::Absent),
        ("9.3.4", Standing::Unknown("#274812")),
        ("9.4", Standing::From(version("9.4.2"))),
        ("9.4.1", Standing::Absent),
        ("9.4.2", Standing::Present),
        ("9.5.0", Standing::Present),
        ("10.0", Standing::Present),
    ] {
        assert_eq!(change.standing(version(text)), expected, "{text}");
    }
}

#[test]
fn blind_spots_open_and_close_with_their_changes() {
    let releases = releases();
    let applies = |id: &str, text: &str| {
        releases.blind_spots().iter().find(|spot| spot.id == id).unwrap().applies(Some(version(text)))
    };
    assert_eq!(applies("bedrock", "8.15"), Applies::Yes);
    assert_eq!(applies("bedrock", "8.19"), Applies::No);
    assert_eq!(applies("bedrock", "9.0"), Applies::Perhaps("until 9.0.3".to_owned()));
    assert_eq!(applies("openai", "9.1"), Applies::No);
    assert_eq!(applies("mcp", "9.2.1"), Applies::Yes);
    assert_eq!(applies("http_own_proxy", "9.1"), Applies::No);
    assert_eq!(applies("http_own_proxy", "9.5"), Applies::Yes);
    assert_eq!(
        applies("http_own_proxy", "9.4"),
        Applies::Perhaps(
            "since a release of 9.4 that is not known exactly: look for #256491 in its release notes".to_owned()
        )
    );
    assert_eq!(applies("mail_services", "9.5"), Applies::Yes);
}

#[test]
fn without_a_version_a_blind_spot_says_what_it_depends_on() {
    let releases = releases();
    let spot = releases.blind_spots().iter().find(|spot| spot.id == "mcp").unwrap();
    let expected = "until 9.4.0 (#255813, 2026-03; 9.3 by #255813, release not known exactly)";
    assert_eq!(spot.applies(None), Applies::Perhaps(expected.to_owned()));
}

#[test]
fn what_bypasses_only_in_some_versions_is_named_as_the_catalogue_names_it() {
    let catalogue = crate::connectors::Catalogue::embedded().unwrap();
    let releases = releases();
    let dependent = releases.blind_spots().iter().filter(|spot| spot.applies(None) != Applies::Yes);
    for id in dependent.flat_map(|spot| &spot.connectors) {
        assert!(catalogue.get(id).is_some(), "{id}");
    }
}

#[test]
fn data_with_mistakes_is_refused() {
    let blind = "blind_spots: [{ id: a, connectors: [], kind: bypass, what: b, fix: c, closed_by: d }]";
    for (text, expected) in [
        ("changes: []\nblind_spots: []\nmore: []", "is not valid YAML"),
        ("changes: [{ id: a, reference: b, merged: c, first: '9.4' }]\nblind_spots: []", "holds \"9.4\""),
        (&format!("changes: []\n{blind}"), "refers to \"d\""),
    ] {
        let error = file::read(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
