mod refusals;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{ServerName, UnixTime};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::X509Certificate;

use super::*;

const LEAF_VALID: Duration = Duration::from_secs(190 * DAY_S);

fn settings(directory: &Path) -> Settings {
    Settings {
        cert_file: directory.join("certs/ca.pem"),
        key_file: directory.join("certs/ca.key"),
        leaf_valid: LEAF_VALID,
    }
}

fn now() -> SystemTime {
    SystemTime::now()
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

/// Makes a CA in a new directory.
fn made() -> (tempfile::TempDir, Authority) {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::load_or_create(&settings(directory.path()), now()).unwrap();
    (directory, authority)
}

/// Writes a CA that a user might bring along.
fn bring(directory: &Path, certificate: &str, key: &KeyPair) -> Settings {
    let settings = settings(directory);
    fs::create_dir_all(settings.cert_file.parent().unwrap()).unwrap();
    fs::write(&settings.cert_file, certificate).unwrap();
    fs::write(&settings.key_file, key.serialize_der_as_pem()).unwrap();
    fs::set_permissions(&settings.key_file, fs::Permissions::from_mode(0o600)).unwrap();
    settings
}

trait AsPem {
    fn serialize_der_as_pem(&self) -> String;
}

impl AsPem for KeyPair {
    fn serialize_der_as_pem(&self) -> String {
        files::pem("PRIVATE KEY", self.serialized_der())
    }
}

fn ca_params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    set_validity(&mut params, unix_s(now()) - seconds(BACKDATE), unix_s(now()) + seconds(CA_VALID));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

fn pem_of(der: &CertificateDer<'_>) -> String {
    files::pem("CERTIFICATE", der)
}

fn refused(settings: &Settings) -> String {
    Authority::load_or_create(settings, now()).unwrap_err().to_string()
}

#[test]
fn looking_for_a_ca_makes_none() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    assert!(Authority::load_existing(&settings, now()).unwrap().is_none());
    assert!(!settings.cert_file.exists() && !settings.key_file.exists());
}

/// What a client that trusts `root` and nothing else says.
fn client_accepts(
    root: &CertificateDer<'static>,
    chain: &[CertificateDer<'static>],
    name: &str,
    at: SystemTime,
) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = crate::tls::provider();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let at = UnixTime::since_unix_epoch(at.duration_since(UNIX_EPOCH).unwrap());
    let (leaf, others) = chain.split_first().unwrap();
    verifier.verify_server_cert(leaf, others, &ServerName::try_from(name).unwrap(), &[], at).is_ok()
}

fn extension<'a>(
    x509: &'a X509Certificate<'a>,
    pick: impl Fn(&ParsedExtension<'a>) -> bool,
) -> Option<&'a ParsedExtension<'a>> {
    x509.extensions()
        .iter()
        .map(x509_parser::extensions::X509Extension::parsed_extension)
        .find(|extension| pick(extension))
}

#[test]
fn a_ca_is_made_once_and_found_again() {
    let (directory, authority) = made();
    assert!(authority.created());
    let settings = settings(directory.path());
    let mode = fs::metadata(&settings.key_file).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600);
    let again = Authority::load_or_create(&settings, now()).unwrap();
    assert!(!again.created());
    assert_eq!(again.certificate(), authority.certificate());
    let mut left: Vec<_> =
        fs::read_dir(directory.path().join("certs")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["ca.key", "ca.pem"]);
}

#[test]
fn the_made_ca_may_sign_leaves_and_no_other_ca() {
    let (_directory, authority) = made();
    let (_, x509) = parse_x509_certificate(authority.certificate().der()).unwrap();
    let constraints = x509.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let usage = x509.key_usage().unwrap().unwrap().value;
    assert_eq!(usage.flags, 0b110_0000, "keyCertSign and cRLSign only");
    assert!(authority.certificate().subject().starts_with("CN=Tollgate interception CA "));
}

#[test]
fn clients_accept_leaves_for_their_host_only() {
    let (_directory, authority) = made();
    let root = authority.certificate().der();
    for name in ["hooks.slack.com", "with_underscore.example.com", "192.0.2.7", "2001:db8::7"] {
        let leaf = authority.leaf(&host(name), now()).unwrap();
        assert_eq!(leaf.cert.len(), 1, "clients have the root themselves");
        assert!(client_accepts(root, &leaf.cert, name, now()), "{name}");
        assert!(client_accepts(root, &leaf.cert, name, now() - Duration::from_secs(2 * DAY_S - 60)), "{name}");
        assert!(!client_accepts(root, &leaf.cert, "other.example.com", now()), "{name}");
        leaf.keys_match().unwrap();
    }
    let other = made().1;
    let leaf = authority.leaf(&host("hooks.slack.com"), now()).unwrap();
    assert!(!client_accepts(other.certificate().der(), &leaf.cert, "hooks.slack.com", now()));
}

#[test]
fn a_leaf_follows_the_rules_strict_clients_check() {
    let (_directory, authority) = made();
    let leaf = authority.leaf(&host("hooks.slack.com"), now()).unwrap();
    let (_, x509) = parse_x509_certificate(&leaf.cert[0]).unwrap();
    let (_, ca) = parse_x509_certificate(authority.certificate().der()).unwrap();

    let Some(ParsedExtension::SubjectKeyIdentifier(ski)) =
        extension(&ca, |extension| matches!(extension, ParsedExtension::SubjectKeyIdentifier(_)))
    else {
        panic!("the CA has no SKI")
    };
    let Some(ParsedExtension::AuthorityKeyIdentifier(aki)) =
        extension(&x509, |extension| matches!(extension, ParsedExtension::AuthorityKeyIdentifier(_)))
    else {
        panic!("the leaf has no AKI")
    };
    assert_eq!(aki.key_identifier.as_ref().unwrap().0, ski.0);
    assert!(extension(&x509, |extension| matches!(extension, ParsedExtension::SubjectKeyIdentifier(_))).is_none());
    assert!(x509.basic_constraints().unwrap().is_none());

    let usage = x509.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    assert_eq!(usage.value.flags, 1, "digitalSignature only");
    let extended = x509.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && !extended.client_auth && !extended.any);
    assert_eq!(x509.subject().to_string(), "CN=hooks.slack.com");
    assert_eq!(
        x509.subject_alternative_name().unwrap().unwrap().value.general_names,
        [GeneralName::DNSName("hooks.slack.com")]
    );
    assert_ne!(x509.public_key().raw, ca.public_key().raw, "never the CA's key");

    let valid_s = x509.validity().not_after.timestamp() - x509.validity().not_before.timestamp();
    assert_eq!(valid_s, seconds(LEAF_VALID + BACKDATE));
    assert!(valid_s <= 197 * DAY_S as i64);
}

#[test]
fn serials_differ_and_are_positive() {
    let (_directory, authority) = made();
    let serial = |leaf: &CertifiedKey| parse_x509_certificate(&leaf.cert[0]).unwrap().1.raw_serial().to_vec();
    let first = serial(&authority.leaf(&host("a.example"), now()).unwrap());
    let second = serial(&authority.leaf(&host("a.example"), now()).unwrap());
    assert_ne!(first, second);
    assert_eq!((first.len(), first[0] & 0x80), (16, 0));
}

#[test]
fn a_host_too_long_for_a_common_name_goes_into_a_critical_subject_alt_name() {
    let (_directory, authority) = made();
    for (length, in_subject) in [(63, true), (64, false)] {
        let name = format!("{}.example.com", "a".repeat(30) + "." + &"b".repeat(length - 30 - 1 - 12));
        assert_eq!(name.len(), length);
        let leaf = authority.leaf(&host(&name), now()).unwrap();
        let (_, x509) = parse_x509_certificate(&leaf.cert[0]).unwrap();
        assert_eq!(x509.subject().iter_common_name().count() == 1, in_subject);
        assert_eq!(x509.subject_alternative_name().unwrap().unwrap().critical, !in_subject);
        assert!(client_accepts(authority.certificate().der(), &leaf.cert, &name, now()));
    }
}

#[test]
fn a_leaf_never_outlives_its_ca_nor_predates_it() {
    let directory = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = ca_params("short");
    let (not_before_s, not_after_s) = (unix_s(now()) - 60, unix_s(now()) + 3600);
    set_validity(&mut params, not_before_s, not_after_s);
    let certificate = params.self_signed(&key).unwrap();
    let settings = bring(directory.path(), &pem_of(certificate.der()), &key);

    let authority = Authority::load_or_create(&settings, now()).unwrap();
    let leaf = authority.leaf(&host("a.example"), now()).unwrap();
    let (_, x509) = parse_x509_certificate(&leaf.cert[0]).unwrap();
    assert_eq!(x509.validity().not_before.timestamp(), not_before_s);
    assert_eq!(x509.validity().not_after.timestamp(), not_after_s);

    let later = now() + Duration::from_secs(3601);
    assert!(matches!(authority.leaf(&host("a.example"), later), Err(LeafError::CaExpired)));
    assert_eq!(
        Authority::load_existing(&settings, later).unwrap_err().to_string(),
        format!(
            "{}: the CA expired on {}; renew it, or remove it and its key to have a new CA made",
            settings.cert_file.display(),
            authority.certificate().not_after(),
        )
    );
    let earlier = now() - Duration::from_secs(3600);
    assert_eq!(
        Authority::load_existing(&settings, earlier).unwrap_err().to_string(),
        format!(
            "{}: the CA is not valid before {}; check this machine's clock",
            settings.cert_file.display(),
            authority.certificate().not_before(),
        )
    );
}

#[test]
fn rsa_and_p384_cas_sign_with_their_own_key_identifier() {
    for algorithm in [&rcgen::PKCS_RSA_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = ca_params("corporate");
        // Not a hash of the key: recomputing it would break the chain.
        params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![1, 2, 3]);
        let certificate = params.self_signed(&key).unwrap();
        let settings = bring(directory.path(), &pem_of(certificate.der()), &key);

        let authority = Authority::load_or_create(&settings, now()).unwrap();
        let leaf = authority.leaf(&host("a.example"), now()).unwrap();
        assert!(client_accepts(certificate.der(), &leaf.cert, "a.example", now()));
        let (_, x509) = parse_x509_certificate(&leaf.cert[0]).unwrap();
        let aki = extension(&x509, |extension| matches!(extension, ParsedExtension::AuthorityKeyIdentifier(_)));
        let Some(ParsedExtension::AuthorityKeyIdentifier(aki)) = aki else { panic!("no AKI") };
        assert_eq!(aki.key_identifier.as_ref().unwrap().0, [1, 2, 3]);
    }
}

#[test]
fn an_intermediate_ca_goes_along_with_its_leaves_and_the_root_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let root_key = KeyPair::generate().unwrap();
    let root_params = ca_params("root");
    let root = root_params.self_signed(&root_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = ca_params("intermediate");
    params.use_authority_key_identifier_extension = true;
    let intermediate = params.signed_by(&key, &Issuer::new(root_params, root_key)).unwrap();
    let chain = pem_of(intermediate.der()) + &pem_of(root.der());

    let authority = Authority::load_or_create(&bring(directory.path(), &chain, &key), now()).unwrap();
    let leaf = authority.leaf(&host("a.example"), now()).unwrap();
    assert_eq!(leaf.cert.get(1..), Some(&[intermediate.der().clone()][..]));
    assert!(client_accepts(root.der(), &leaf.cert, "a.example", now()));
}

/// Where OpenSSL is installed, its strict verification agrees with rustls.
#[test]
fn openssl_accepts_a_leaf_strictly() {
    let (directory, authority) = made();
    let leaf = authority.leaf(&host("hooks.slack.com"), now()).unwrap();
    let leaf_file = directory.path().join("leaf.pem");
    fs::write(&leaf_file, pem_of(&leaf.cert[0])).unwrap();
    let verified = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "hooks.slack.com", "-CAfile"])
        .arg(authority.certificate().path())
        .arg(&leaf_file)
        .output();
    match verified {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
    }
}

#[test]
fn the_certificate_is_described_as_openssl_does() {
    let (_directory, authority) = made();
    let certificate = authority.certificate();
    let fingerprint = certificate.fingerprint();
    assert_eq!((fingerprint.len(), fingerprint.split(':').count()), (95, 32));
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(certificate.path())
        .output();
    if let Ok(output) = output {
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("sha256 Fingerprint={fingerprint}\n"));
    }
    assert_eq!(certificate.pem().as_bytes(), fs::read(certificate.path()).unwrap());
    let expected = format!(
        "Authority {{ certificate: CaCertificate {{ path: {:?}, subject: {:?}, .. }}, .. }}",
        certificate.path(),
        certificate.subject()
    );
    assert_eq!(format!("{authority:?}"), expected, "no key in it");
}
