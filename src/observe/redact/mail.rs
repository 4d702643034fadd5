//! Mail addresses in paths: told by their shape, and stored as a keyed tag that lets an analyst group without learning.

use super::FingerprintKey;

/// Longest mail address (RFC 5321 section 4.5.3.1), in octets, each of which may be written as three.
const ADDRESS_BYTES_MAX: usize = 320;
/// Longest part in front of the `@`, in octets.
const LOCAL_BYTES_MAX: usize = 64;

/// `{mail:<12 hexadecimal digits>}` for what stands where a mail address does; `{mail}` without a key.
pub fn mail_tag(spelled: &str, key: Option<&FingerprintKey>) -> String {
    key.map_or_else(|| "{mail}".to_owned(), |key| format!("{{mail:{}}}", key.mail_tag(&percent_decoded(spelled))))
}

/// Whether a path segment is a mail address, its `@` written as it is or as `%40`.
pub(super) fn is_mail_address(segment: &str) -> bool {
    if segment.len() > 3 * ADDRESS_BYTES_MAX || !(segment.contains('@') || segment.contains("%40")) {
        return false;
    }
    let decoded = percent_decoded(segment);
    let Some((local, domain)) = std::str::from_utf8(&decoded).ok().and_then(|text| text.split_once('@')) else {
        return false;
    };
    let in_local = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    (1..=LOCAL_BYTES_MAX).contains(&local.len()) && local.chars().all(in_local) && is_mail_domain(domain)
}

fn is_mail_domain(domain: &str) -> bool {
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    let top = domain.rsplit('.').next().unwrap_or_default();
    domain.contains('.') && domain.split('.').all(is_label) && top.chars().all(char::is_alphabetic)
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octet = after.get(..2).filter(|_| *first == b'%').and_then(hexadecimal);
        decoded.push(octet.unwrap_or(*first));
        rest = if octet.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    decoded
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_by_their_shape() {
        for address in ["a@b.test", "Jane.Doe%40acme.example", "jane+x@mail.acme.example", "%6Aane@acme.example"] {
            assert!(is_mail_address(address), "{address}");
        }
        // The second is the shape of a Teams webhook: a secret, not somebody's address.
        for other in ["a@b", "0763c7f3-a5cf@4fc78981-d801", "a@b@c.test", "@b.test", "a@b..test", "a@1.2", "a b@c.test"]
        {
            assert!(!is_mail_address(other), "{other}");
        }
    }

    #[test]
    fn one_address_has_one_tag_however_it_is_spelled() {
        let key = FingerprintKey::new(&[7; 32]);
        let tag = mail_tag("jane@acme.example", Some(&key));
        assert_eq!(tag.len(), "{mail:0123456789ab}".len());
        assert_eq!(mail_tag("Jane%40ACME.example", Some(&key)), tag);
        assert_eq!(mail_tag("%6aane@acme.example", Some(&key)), tag);
        assert_ne!(mail_tag("jane@acme.test", Some(&key)), tag);
        assert_ne!(mail_tag("jane@acme.example", Some(&FingerprintKey::new(&[8; 32]))), tag);
        assert_eq!(mail_tag("jane@acme.example", None), "{mail}");
        assert_eq!(percent_decoded("%4%zz%+1%"), b"%4%zz%+1%");
    }
}
