//! The IANA special-purpose registries as a table, with the first and last address of each block and its neighbours.

use proptest::prelude::*;

use super::AddressClass as Class;
use super::*;

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn ips(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().copied().map(ip).collect()
}

#[test]
fn ipv4_blocks_have_exact_edges() {
    let table = [
        (Class::Unspecified, "0.0.0.0", "0.255.255.255"),
        (Class::Public, "1.0.0.0", "9.255.255.255"),
        (Class::Private, "10.0.0.0", "10.255.255.255"),
        (Class::Public, "11.0.0.0", "100.63.255.255"),
        (Class::CarrierGradeNat, "100.64.0.0", "100.127.255.255"),
        (Class::Public, "100.128.0.0", "126.255.255.255"),
        (Class::Loopback, "127.0.0.0", "127.255.255.255"),
        (Class::Public, "128.0.0.0", "169.253.255.255"),
        (Class::LinkLocal, "169.254.0.0", "169.254.255.255"),
        (Class::Public, "169.255.0.0", "172.15.255.255"),
        (Class::Private, "172.16.0.0", "172.31.255.255"),
        (Class::Public, "172.32.0.0", "191.255.255.255"),
        (Class::Reserved, "192.0.0.0", "192.0.0.255"),
        (Class::Public, "192.0.1.0", "192.0.1.255"),
        (Class::Documentation, "192.0.2.0", "192.0.2.255"),
        (Class::Reserved, "192.88.99.0", "192.88.99.255"),
        (Class::Private, "192.168.0.0", "192.168.255.255"),
        (Class::Public, "192.169.0.0", "198.17.255.255"),
        (Class::Benchmarking, "198.18.0.0", "198.19.255.255"),
        (Class::Public, "198.20.0.0", "198.51.99.255"),
        (Class::Documentation, "198.51.100.0", "198.51.100.255"),
        (Class::Documentation, "203.0.113.0", "203.0.113.255"),
        (Class::Public, "203.0.114.0", "223.255.255.255"),
        (Class::Multicast, "224.0.0.0", "239.255.255.255"),
        (Class::Reserved, "240.0.0.0", "255.255.255.254"),
        (Class::Broadcast, "255.255.255.255", "255.255.255.255"),
    ];
    for (class, first, last) in table {
        assert_eq!(classify(ip(first)), class, "{first}");
        assert_eq!(classify(ip(last)), class, "{last}");
    }
}

#[test]
fn ipv6_blocks_have_exact_edges() {
    let table = [
        (Class::Unspecified, "::", "::"),
        (Class::Loopback, "::1", "::1"),
        (Class::Discard, "100::", "100::ffff:ffff:ffff:ffff"),
        (Class::Reserved, "100:0:0:1::", "1fff:ffff::"),
        (Class::Reserved, "2001:1::", "2001:1ff:ffff::"),
        (Class::Benchmarking, "2001:2::", "2001:2:0:ffff::"),
        (Class::Public, "2001:200::", "2001:db7:ffff::"),
        (Class::Documentation, "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        (Class::Public, "2001:db9::", "2001:ffff::"),
        (Class::Public, "2003::", "3ffe:ffff::"),
        (Class::Documentation, "3fff::", "3fff:fff:ffff::"),
        (Class::Public, "3fff:1000::", "3fff:ffff::"),
        (Class::Reserved, "4000::", "fbff:ffff::"),
        (Class::UniqueLocal, "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        (Class::Reserved, "fe00::", "fe7f:ffff::"),
        (Class::LinkLocal, "fe80::", "febf:ffff::"),
        (Class::SiteLocal, "fec0::", "feff:ffff::"),
        (Class::Multicast, "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ];
    for (class, first, last) in table {
        assert_eq!(classify(ip(first)), class, "{first}");
        assert_eq!(classify(ip(last)), class, "{last}");
    }
}

#[test]
fn metadata_services_are_their_own_class() {
    for address in [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::169.254.169.254",
    ] {
        assert_eq!(classify(ip(address)), Class::CloudMetadata, "{address}");
    }
}

#[test]
fn embedded_ipv4_addresses_are_judged() {
    let cases = [
        ("::ffff:10.0.0.1", Class::Private),
        ("::ffff:8.8.8.8", Class::Public),
        ("64:ff9b::7f00:1", Class::Loopback),
        ("64:ff9b::808:808", Class::Public),
        ("64:ff9b:1::a00:1", Class::Private),
        ("64:ff9b:1::808:808", Class::Transition),
        ("2002:7f00:1::", Class::Loopback),
        ("2002:808:808::1", Class::Transition),
        // Teredo: server 8.8.8.8, client inverted; then server 10.0.0.1 and a public client.
        ("2001:0:808:808:0:0:f5ff:fffe", Class::Private),
        ("2001:0:a00:1:0:0:f7f7:f7f7", Class::Private),
        ("2001:0:808:808:0:0:f7f7:f7f7", Class::Transition),
        ("2a00::5efe:10.0.0.1", Class::Private),
        ("2a00::200:5efe:8.8.8.8", Class::Transition),
        ("::127.0.0.1", Class::Loopback),
        ("::8.8.8.8", Class::Transition),
        ("::ffff:0:192.168.0.1", Class::Private),
    ];
    for (address, class) in cases {
        assert_eq!(classify(ip(address)), class, "{address}");
    }
}

#[test]
fn public_answers_pass_in_order() {
    let answers = ips(&["8.8.8.8", "2a00:1450::1", "::ffff:1.1.1.1"]);
    assert_eq!(judge(&answers, &[]), Ok(ips(&["8.8.8.8", "2a00:1450::1", "1.1.1.1"])));
    assert_eq!(judge(&[], &[]), Err(AddressRefusal::NoAddresses));
}

#[test]
fn one_refused_answer_refuses_all() {
    let private = ip("10.0.0.1");
    let not_allowed = AddressRefusal::NotAllowed { address: private, class: Class::Private };
    let mixed = AddressRefusal::Mixed { address: private, class: Class::Private };
    assert_eq!(judge(&ips(&["10.0.0.1"]), &[]), Err(not_allowed));
    assert_eq!(judge(&ips(&["10.0.0.1", "127.0.0.1"]), &[]), Err(not_allowed));
    assert_eq!(judge(&ips(&["8.8.8.8", "10.0.0.1"]), &[]), Err(mixed));
    assert_eq!(judge(&ips(&["10.0.0.1", "8.8.8.8"]), &[]), Err(mixed));
    assert_eq!(not_allowed.deny_reason(), Some(DenyReason::AddressNotAllowed));
    assert_eq!(mixed.deny_reason(), Some(DenyReason::MixedAddresses));
    assert_eq!(
        not_allowed.to_string(),
        "10.0.0.1 is a private address; list its network under allowed addresses if it is meant"
    );
}

#[test]
fn listed_networks_lift_the_refusal_only_for_what_they_contain() {
    let allowed = ["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
    assert_eq!(judge(&ips(&["127.0.0.1", "8.8.8.8"]), &allowed), Ok(ips(&["127.0.0.1", "8.8.8.8"])));
    assert_eq!(judge(&ips(&["::ffff:127.0.0.1"]), &allowed), Ok(ips(&["127.0.0.1"])));
    assert_eq!(judge(&ips(&["fd00:ec2::254"]), &allowed), Ok(ips(&["fd00:ec2::254"])));
    let loopback = AddressRefusal::NotAllowed { address: ip("::1"), class: Class::Loopback };
    assert_eq!(judge(&ips(&["::1"]), &allowed), Err(loopback));
    // A 6to4 spelling of an allowed address goes another way than that address.
    let six_to_four = AddressRefusal::NotAllowed { address: ip("2002:7f00:1::"), class: Class::Loopback };
    assert_eq!(judge(&ips(&["2002:7f00:1::"]), &allowed), Err(six_to_four));
}

proptest! {
    /// The standard library knows some of the classes too; nothing it calls special may count as public.
    #[test]
    fn what_the_standard_library_calls_special_is_not_public(address in any::<u32>().prop_map(Ipv4Addr::from)) {
        let special = address.is_private() || address.is_loopback() || address.is_link_local() || address.is_multicast()
            || address.is_broadcast() || address.is_documentation() || address.is_unspecified();
        let class = classify(IpAddr::V4(address));
        prop_assert!(!special || class != Class::Public, "{} {:?}", address, class);
        prop_assert_eq!(classify(IpAddr::V6(address.to_ipv6_mapped())), class);
        prop_assert_eq!(judge(&[IpAddr::V4(address)], &[]).is_ok(), class == Class::Public);
    }
}
