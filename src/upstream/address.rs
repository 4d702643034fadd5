//! Classes of IP addresses, and whether a name may be reached at the addresses it resolved to.
//!
//! An allowlisted name is not enough: whoever controls its DNS decides where it leads (SSRF, DNS rebinding). So every
//! answer is classified after the IANA special-purpose registries, and one refused answer refuses all. Nothing is
//! resolved or dialled here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::record::DenyReason;

/// What an address is for. IPv6 forms that embed an IPv4 address have the class of that address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// Globally reachable unicast; the only class allowed without being listed.
    Public,
    /// 0.0.0.0/8, `::`.
    Unspecified,
    /// 127.0.0.0/8, `::1`.
    Loopback,
    /// RFC 1918.
    Private,
    /// 100.64.0.0/10 (RFC 6598).
    CarrierGradeNat,
    /// 169.254.0.0/16 (RFC 3927), fe80::/10 (RFC 4291).
    LinkLocal,
    /// Addresses at which clouds serve credentials and machine configuration.
    CloudMetadata,
    /// 224.0.0.0/4, ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32, 3fff::/20.
    Documentation,
    /// 198.18.0.0/15 (RFC 2544), 2001:2::/48 (RFC 5180).
    Benchmarking,
    /// IETF protocol assignments, 240.0.0.0/4 and whatever IPv6 space is not global unicast.
    Reserved,
    /// fc00::/7 (RFC 4193).
    UniqueLocal,
    /// fec0::/10 (RFC 3879).
    SiteLocal,
    /// 100::/64 (RFC 6666).
    Discard,
    /// An IPv6 transition form whose embedded IPv4 address is public, but which leads through a relay nobody chose:
    /// 6to4, Teredo, ISATAP, IPv4-compatible, local-use NAT64.
    Transition,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::CarrierGradeNat => "carrier-grade NAT",
            Self::LinkLocal => "link-local",
            Self::CloudMetadata => "cloud metadata",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::Reserved => "reserved",
            Self::UniqueLocal => "unique local",
            Self::SiteLocal => "site-local",
            Self::Discard => "discard-only",
            Self::Transition => "transition",
        })
    }
}

/// Why the answers for a name are refused: its `address` is of a `class` that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefusal {
    #[error("the name has no addresses")]
    NoAddresses,
    #[error("{address} is a {class} address; list its network under allowed addresses if it is meant")]
    NotAllowed { address: IpAddr, class: AddressClass },
    #[error("the name resolves to allowed addresses and to {address}, a {class} address; none of them is used")]
    Mixed { address: IpAddr, class: AddressClass },
}

impl AddressRefusal {
    /// The value for the audit column; `None` when resolution simply gave nothing.
    pub const fn deny_reason(self) -> Option<DenyReason> {
        match self {
            Self::NoAddresses => None,
            Self::NotAllowed { .. } => Some(DenyReason::AddressNotAllowed),
            Self::Mixed { .. } => Some(DenyReason::MixedAddresses),
        }
    }
}

/// Judges all addresses of one answer. `allowed` lifts the refusal for the addresses it contains; an IPv4-mapped
/// address is held against IPv4 networks.
///
/// Returns the addresses to dial, in the order given, mapped ones as IPv4. One refused address refuses all of them:
/// an answer of both kinds is how rebinding looks.
pub fn judge(answers: &[IpAddr], allowed: &[IpNet]) -> Result<Vec<IpAddr>, AddressRefusal> {
    let answers: Vec<IpAddr> = answers.iter().map(IpAddr::to_canonical).collect();
    let is_allowed = |address: &IpAddr| {
        classify(*address) == AddressClass::Public || allowed.iter().any(|net| net.contains(address))
    };
    let refused = answers.iter().copied().find(|address| !is_allowed(address));
    match refused.map(|address| (address, classify(address))) {
        None if answers.is_empty() => Err(AddressRefusal::NoAddresses),
        None => Ok(answers),
        Some((address, class)) if answers.iter().any(is_allowed) => Err(AddressRefusal::Mixed { address, class }),
        Some((address, class)) => Err(AddressRefusal::NotAllowed { address, class }),
    }
}

/// The class of an address.
pub fn classify(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => classify_v6(address),
    }
}

/// IANA IPv4 Special-Purpose Address Registry, most specific first.
fn classify_v4(address: Ipv4Addr) -> AddressClass {
    match address.octets() {
        // AWS, Azure, GCP and others; AWS ECS task credentials; AWS time and DNS; Alibaba; Azure wire server; Oracle.
        [169, 254, 169, 254 | 253 | 123]
        | [169, 254, 170, 2 | 23]
        | [100, 100, 100, 200]
        | [168, 63, 129, 16]
        | [192, 0, 0, 192] => AddressClass::CloudMetadata,
        [0, ..] => AddressClass::Unspecified,
        [127, ..] => AddressClass::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressClass::Private,
        [100, 64..=127, ..] => AddressClass::CarrierGradeNat,
        [169, 254, ..] => AddressClass::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => AddressClass::Documentation,
        [198, 18 | 19, ..] => AddressClass::Benchmarking,
        // Protocol assignments, AS112, AMT and the deprecated 6to4 relay anycast.
        [192, 0, 0, _] | [192, 31, 196, _] | [192, 52, 193, _] | [192, 175, 48, _] | [192, 88, 99, _] => {
            AddressClass::Reserved
        }
        [224..=239, ..] => AddressClass::Multicast,
        [255, 255, 255, 255] => AddressClass::Broadcast,
        [240..=255, ..] => AddressClass::Reserved,
        _ => AddressClass::Public,
    }
}

/// IANA IPv6 Special-Purpose Address Registry, most specific first.
fn classify_v6(address: Ipv6Addr) -> AddressClass {
    if let Some(class) = embedded_class(address) {
        return class;
    }
    match address.segments() {
        // AWS instance metadata, DNS and time; GCP.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x253 | 0x123 | 0x23] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => {
            AddressClass::CloudMetadata
        }
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressClass::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressClass::Loopback,
        [0x100, 0, 0, 0, ..] => AddressClass::Discard,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => AddressClass::Documentation,
        [0x2001, 2, 0, ..] => AddressClass::Benchmarking,
        // The rest of 2001::/23 (ORCHID, AMT, AS112 and others) and AS112 again.
        [0x2001, 0..=0x1ff, ..] | [0x2620, 0x4f, 0x8000, ..] => AddressClass::Reserved,
        [0xfc00..=0xfdff, ..] => AddressClass::UniqueLocal,
        [0xfe80..=0xfebf, ..] => AddressClass::LinkLocal,
        [0xfec0..=0xfeff, ..] => AddressClass::SiteLocal,
        [0xff00..=0xffff, ..] => AddressClass::Multicast,
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        _ => AddressClass::Reserved,
    }
}

/// The class of an IPv6 form that embeds an IPv4 address, `None` for other addresses.
fn embedded_class(address: Ipv6Addr) -> Option<AddressClass> {
    match address.segments() {
        // Mapped (RFC 4291 section 2.5.5.2) and well-known NAT64 (RFC 6052) reach exactly the embedded address.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(classify_v4(v4(high, low))),
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // IPv4-compatible and IPv4-translated (RFC 2765), local-use NAT64 (RFC 8215), ISATAP (RFC 5214), 6to4 (RFC 3056).
        [0, 0, 0, 0, 0 | 0xffff, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [_, _, _, _, 0 | 0x200, 0x5efe, high, low]
        | [0x2002, high, low, ..] => Some(through_relay(v4(high, low))),
        // Teredo (RFC 4380 section 4): the client's address is stored inverted, the server's plainly.
        [0x2001, 0, high, low, _, _, client_high, client_low] => {
            match (through_relay(v4(!client_high, !client_low)), through_relay(v4(high, low))) {
                (AddressClass::Transition, server) => Some(server),
                (client, _) => Some(client),
            }
        }
        _ => None,
    }
}

fn through_relay(embedded: Ipv4Addr) -> AddressClass {
    match classify_v4(embedded) {
        AddressClass::Public => AddressClass::Transition,
        class => class,
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests;
