//! CA files that are refused, with the exact text.

use super::*;

#[test]
fn a_key_others_can_read_is_refused() {
    let (directory, _) = made();
    let settings = settings(directory.path());
    let path = settings.key_file.display();
    for (mode, shown) in [(0o640, "0640"), (0o604, "0604"), (0o660, "0660")] {
        fs::set_permissions(&settings.key_file, fs::Permissions::from_mode(mode)).unwrap();
        let expected =
            format!("{path}: the private key's mode is {shown}, so others can read it; run `chmod 600 {path}`");
        assert_eq!(refused(&settings), expected);
    }
    fs::set_permissions(&settings.key_file, fs::Permissions::from_mode(0o400)).unwrap();
    Authority::load_or_create(&settings, now()).unwrap();
}

#[test]
fn half_a_ca_is_refused_and_nothing_is_made() {
    let (directory, _) = made();
    let settings = settings(directory.path());
    let (cert, key) = (settings.cert_file.display(), settings.key_file.display());
    let kept = fs::read(&settings.cert_file).unwrap();
    fs::remove_file(&settings.cert_file).unwrap();
    assert_eq!(
        refused(&settings),
        format!("{key} exists but {cert} does not: put the missing file back, or remove {key} to have a new CA made")
    );
    assert!(!settings.cert_file.exists());
    fs::write(&settings.cert_file, kept).unwrap();
    fs::remove_file(&settings.key_file).unwrap();
    assert_eq!(
        refused(&settings),
        format!("{cert} exists but {key} does not: put the missing file back, or remove {cert} to have a new CA made")
    );
}

#[test]
fn the_key_of_another_certificate_is_refused() {
    let (directory, _) = made();
    let settings = settings(directory.path());
    fs::write(&settings.key_file, KeyPair::generate().unwrap().serialize_der_as_pem()).unwrap();
    assert_eq!(
        refused(&settings),
        format!(
            "{} is not the key of {}: give the key this certificate was made with",
            settings.key_file.display(),
            settings.cert_file.display()
        )
    );
}

#[test]
fn a_certificate_that_may_not_sign_is_refused() {
    let key = KeyPair::generate().unwrap();
    let mut not_ca = ca_params("server");
    not_ca.is_ca = IsCa::NoCa;
    let mut no_key_cert_sign = ca_params("odd");
    no_key_cert_sign.key_usages = vec![KeyUsagePurpose::CrlSign];
    for params in [not_ca, no_key_cert_sign] {
        let directory = tempfile::tempdir().unwrap();
        let settings = bring(directory.path(), &pem_of(params.self_signed(&key).unwrap().der()), &key);
        let expected = format!(
            "{}: not a CA certificate (basicConstraints CA:TRUE and, if present, keyUsage keyCertSign are needed)",
            settings.cert_file.display()
        );
        assert_eq!(refused(&settings), expected);
    }
}

#[test]
fn unusable_files_are_named_with_the_remedy() {
    let (directory, _) = made();
    let settings = settings(directory.path());
    let (cert, key) = (settings.cert_file.display(), settings.key_file.display());
    let good_key = fs::read(&settings.key_file).unwrap();

    fs::write(&settings.key_file, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
        .unwrap();
    assert_eq!(
        refused(&settings),
        format!(
            "{key}: no unencrypted PEM private key in it; decrypt it with `openssl pkey -in {key} -out KEY` and use that file"
        )
    );
    fs::write(&settings.key_file, KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_der_as_pem()).unwrap();
    assert_eq!(
        refused(&settings),
        format!("{key}: the key is not RSA (2048 bits or more), ECDSA P-256 or ECDSA P-384; use a CA with such a key")
    );
    fs::write(&settings.key_file, good_key).unwrap();

    fs::write(&settings.cert_file, "hello").unwrap();
    assert_eq!(
        refused(&settings),
        format!("{cert}: no PEM certificate in it; it must start with -----BEGIN CERTIFICATE-----")
    );
    fs::write(&settings.cert_file, files::pem("CERTIFICATE", b"hello")).unwrap();
    assert_eq!(
        refused(&settings),
        format!("{cert}: the first certificate cannot be read as X.509; check it with `openssl x509 -text -in {cert}`")
    );
    fs::write(&settings.cert_file, vec![b'x'; 1024 * 1024 + 1]).unwrap();
    assert_eq!(refused(&settings), format!("{cert}: larger than 1048576 bytes; this is not a CA certificate or key"));
}

#[test]
fn an_unwritable_place_is_named() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("certs"), "a file where a directory is wanted").unwrap();
    let settings = settings(directory.path());
    let text = refused(&settings);
    assert!(text.starts_with(&format!("{}: cannot be ", settings.cert_file.display())), "{text}");
}

#[test]
fn creation_never_replaces_a_file_and_leaves_no_temporary_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.key");
    fs::write(&path, "first").unwrap();
    assert!(files::create(&path, b"second", files::Secrecy::Secret).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"first");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
