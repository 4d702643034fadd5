//! Spellings from the WHATWG test data, Smokescreen's advisories and the usual filter-evasion lists.

use proptest::prelude::*;

use super::*;

fn host(spelling: &str) -> Result<String, DestinationError> {
    Host::parse(spelling).map(|host| host.to_string())
}

#[test]
fn spellings_of_one_host_become_one_value() {
    for spelling in ["example.com", "EXAMPLE.com", "example.com.", "Example.COM."] {
        assert_eq!(host(spelling), Ok("example.com".to_owned()), "{spelling}");
    }
    for spelling in ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "XN--BCHER-KVA.EXAMPLE."] {
        assert_eq!(host(spelling), Ok("xn--bcher-kva.example".to_owned()), "{spelling}");
    }
    for spelling in ["[2001:DB8:0:0::1]", "2001:db8::1", "[2001:0db8::0001]"] {
        assert_eq!(host(spelling), Ok("2001:db8::1".to_owned()), "{spelling}");
    }
    // U+3002 IDEOGRAPHIC FULL STOP separates labels, full-width letters are letters.
    assert_eq!(host("ｅｘａｍｐｌｅ。com"), Ok("example.com".to_owned()));
}

#[test]
fn names_in_use_that_are_not_strict_host_names_are_accepted() {
    for name in ["_dmarc.example.com", "my_bucket.s3.amazonaws.com", "r3---sn-4g5e.example", "-a-.example", "localhost"]
    {
        assert_eq!(host(name), Ok(name.to_owned()));
    }
}

#[test]
fn refused_hosts_name_their_reason() {
    use DestinationError as E;
    let long_label = format!("{}.example", "a".repeat(64));
    let long_name = format!("{}e", "abcdefg.".repeat(32));
    let cases = [
        ("", E::EmptyHost),
        (".", E::EmptyLabel),
        ("..", E::EmptyLabel),
        (".example.com", E::EmptyLabel),
        ("a..example.com", E::EmptyLabel),
        ("example.com..", E::EmptyLabel),
        (long_label.as_str(), E::LabelTooLong),
        (long_name.as_str(), E::NameTooLong),
        ("exa mple.com", E::ForbiddenCharacter),
        ("example.com\t", E::ForbiddenCharacter),
        ("example.com\0.evil.com", E::ForbiddenCharacter),
        ("example.com/path", E::ForbiddenCharacter),
        ("*.example.com", E::ForbiddenCharacter),
        ("example%2ecom", E::PercentEncoding),
        ("xn--a.example", E::InvalidIdna),
        ("xn--.example", E::InvalidIdna),
        ("[::1", E::InvalidIpv6),
        ("[]", E::InvalidIpv6),
        ("[example.com]", E::InvalidIpv6),
        ("[127.0.0.1]", E::InvalidIpv6),
        ("[v1.fe80]", E::InvalidIpv6),
        ("[fe80::1%25eth0]", E::ZoneId),
        ("[fe80::1%eth0]", E::ZoneId),
    ];
    for (spelling, expected) in cases {
        assert_eq!(Host::parse(spelling), Err(expected), "{spelling:?}");
    }
    assert_eq!(Host::parse(b"ex\xffample.com"), Err(E::NotUtf8));
}

#[test]
fn limits_of_labels_and_names_are_exact() {
    let label = "a".repeat(63);
    let name = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    assert_eq!(name.len(), 253);
    assert_eq!(host(&format!("{name}.")), Ok(name.clone()));
    assert_eq!(host(&format!("{name}b")), Err(DestinationError::NameTooLong));
}

#[test]
fn only_four_decimal_numbers_are_an_ipv4_address() {
    assert_eq!(Host::parse("127.0.0.1"), Ok(Host::Ip(IpAddr::from([127, 0, 0, 1]))));
    let legacy = [
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "0x7f000001",
        "0X7F.1",
        "127.0.0.1.",
        "1.2.3.4.5",
        "256.1.1.1",
        "example.0x",
        "example.1",
        "0",
        "１２７.0.0.1",
        "①②⑦.1",
    ];
    for spelling in legacy {
        assert_eq!(Host::parse(spelling), Err(DestinationError::LegacyIpv4), "{spelling}");
    }
    assert_eq!(host("1.example"), Ok("1.example".to_owned()));
    assert_eq!(host("0xg"), Ok("0xg".to_owned()));
}

#[test]
fn connect_needs_a_port() {
    let parsed = Destination::from_connect("ALLOWED.test.:443").unwrap();
    assert_eq!(parsed.to_string(), "allowed.test:443");
    assert_eq!(Destination::from_connect("[::1]:8443").unwrap().to_string(), "[::1]:8443");
    for authority in ["example.com", "[::1]"] {
        assert_eq!(Destination::from_connect(authority), Err(DestinationError::MissingPort), "{authority}");
    }
}

#[test]
fn ports_have_one_spelling() {
    for port in ["0", "65536", "+80", "080", "", "-1", "8 0", "99999999999", "80a", "８０"] {
        let authority = format!("example.com:{port}");
        assert_eq!(Destination::from_connect(&authority), Err(DestinationError::InvalidPort), "{authority}");
        assert_eq!(Destination::from_host_header(&authority, Scheme::Http), Err(DestinationError::InvalidPort));
    }
    assert_eq!(Destination::from_connect("a.example:65535").unwrap().port, 65535);
}

#[test]
fn authorities_that_hide_a_host_are_refused() {
    use DestinationError as E;
    let cases = [
        ("allowed.test@evil.test:443", E::Userinfo),
        ("user:pass@evil.test:443", E::Userinfo),
        ("::1:443", E::ForbiddenCharacter),
        ("a.test:443:443", E::ForbiddenCharacter),
        ("[::1]443", E::InvalidIpv6),
        ("[::1]x:443", E::InvalidIpv6),
        ("[[::1]]:443", E::InvalidIpv6),
        ("[a.test]:443", E::InvalidIpv6),
        ("a.test,b.test:443", E::ForbiddenCharacter),
        ("https://a.test:443", E::ForbiddenCharacter),
        (":443", E::EmptyHost),
    ];
    for (authority, expected) in cases {
        assert_eq!(Destination::from_connect(authority), Err(expected), "{authority}");
    }
}

#[test]
fn default_port_follows_the_scheme() {
    assert_eq!(Destination::from_authority("a.test", Scheme::Http).unwrap().port, 80);
    assert_eq!(Destination::from_host_header("a.test", Scheme::Https).unwrap().port, 443);
    assert_eq!(Destination::from_host_header("[::1]", Scheme::Https).unwrap().to_string(), "[::1]:443");
    assert_eq!(Destination::from_authority("a.test:8080", Scheme::Http).unwrap().port, 8080);
    assert_eq!(Scheme::parse("HTTPS"), Some(Scheme::Https));
    assert_eq!(Scheme::parse("ftp"), None);
}

proptest! {
    #[test]
    fn parsing_what_was_displayed_changes_nothing(
        spelling in "([a-zA-Z0-9_-]{1,8}\\.){0,3}[a-zA-Z0-9ßüжλ中-]{1,8}\\.?", port in 1u16..
    ) {
        if let Ok(host) = Host::parse(&spelling) {
            prop_assert_eq!(Host::parse(host.to_string()), Ok(host.clone()));
            let destination = Destination { host, port };
            prop_assert_eq!(Destination::from_connect(destination.to_string()), Ok(destination));
        }
    }

    /// Capitals go the long way, whatever the rest is.
    #[test]
    fn the_short_way_of_plain_names_ends_where_the_long_one_does(
        spelling in "([a-z0-9_.-]{0,20}|[a-z.-]{50,80}|([a-z]{60}\\.){3,5}|[a-z]\\.[0-9a-fx.]{0,8})"
    ) {
        prop_assert_eq!(Host::parse(&spelling), Host::parse(spelling.to_ascii_uppercase()));
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(destination) = Destination::from_connect(&bytes) {
            prop_assert_eq!(Destination::from_connect(destination.to_string()), Ok(destination));
        }
    }

    #[test]
    fn unicode_that_parses_is_canonical(spelling in "\\PC{0,24}") {
        if let Ok(host) = Host::parse(&spelling) {
            let shown = host.to_string();
            prop_assert!(shown.is_ascii() && shown == shown.to_ascii_lowercase());
            prop_assert_eq!(Host::parse(&shown), Ok(host));
        }
    }

    #[test]
    fn every_address_survives_the_round_trip(address in any::<IpAddr>(), port in 1u16..) {
        let destination = Destination { host: Host::Ip(address), port };
        prop_assert_eq!(Destination::from_connect(destination.to_string()), Ok(destination));
    }
}
