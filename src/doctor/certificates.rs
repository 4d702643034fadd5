//! The interception CA, the leaves it signs, and the certificates of TLS listeners: files only, nothing is connected to.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use x509_parser::parse_x509_certificate;

use super::{Finding, Setup, shown_time};
use crate::config::ListenerTls;
use crate::destination::Host;
use crate::intercept::authority::Authority;

/// A certificate that ends within this many days should be renewed now.
const RENEW_DAYS: i64 = 30;
const DAY_S: i64 = 24 * 60 * 60;
/// A handshake in memory takes three turns; more is an endless one.
const TURNS_MAX: usize = 16;
/// A name that exists nowhere (RFC 2606).
const PROBE_HOST: &str = "doctor.invalid";

/// Files, key, permissions, validity of the interception CA.
pub(super) fn authority(setup: &Setup) -> Vec<Finding> {
    setup.with_config(|config| {
        let settings = &config.interception.authority;
        vec![match Authority::load_existing(settings, setup.now) {
            Err(error) => {
                Finding::fail(error.to_string(), "put right what it says, then restart Tollgate and every Kibana")
            }
            Ok(None) => Finding::warn(
                format!("there is none yet in {}", settings.cert_file.display()),
                "the first start makes one; give it to Kibana with `tollgate kibana-config`",
            ),
            Ok(Some(authority)) => {
                let certificate = authority.certificate();
                let what = format!("{} in {}", certificate.subject(), certificate.path().display());
                validity(&what, certificate.der(), setup.now)
            }
        }]
    })
}

/// Whether a client that trusts the CA accepts what it signs: a whole TLS handshake, in memory.
pub(super) fn leaf(setup: &Setup) -> Vec<Finding> {
    setup.with_config(|config| {
        let Ok(Some(authority)) = Authority::load_existing(&config.interception.authority, setup.now) else {
            return vec![Finding::skip("needs an interception CA that can be used")];
        };
        vec![match handshake_in_memory(&authority, setup.now) {
            Ok(()) => Finding::ok("a client that trusts the CA alone accepts a certificate it signs"),
            Err(error) => Finding::fail(
                format!("a client that trusts the CA refuses what it signs: {error}"),
                "compare the CA's name constraints and key usage: `openssl x509 -text -in` its file",
            ),
        }]
    })
}

fn handshake_in_memory(authority: &Authority, now: SystemTime) -> Result<(), String> {
    let host = Host::parse(PROBE_HOST).map_err(|error| error.to_string())?;
    let leaf = authority.leaf(&host, now).map_err(|error| error.to_string())?;
    let tls = |error: rustls::Error| error.to_string();
    let server = server_config(leaf).and_then(ServerConnection::new).map_err(tls)?;
    let name = ServerName::try_from(PROBE_HOST).map_err(|error| error.to_string())?;
    let client = trusting(authority.certificate().der()).and_then(|config| ClientConnection::new(config, name));
    converse(client.map_err(tls)?, server).map_err(tls)
}

fn server_config(leaf: CertifiedKey) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = crate::tls::provider();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(leaf)))))
}

/// A client that trusts this CA and no other.
pub(super) fn trusting(ca: &CertificateDer<'static>) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone())?;
    let provider = crate::tls::provider();
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn converse(mut client: ClientConnection, mut server: ServerConnection) -> Result<(), rustls::Error> {
    let lost = |_| rustls::Error::General("the handshake broke off".to_owned());
    for _ in 0..TURNS_MAX {
        if !client.is_handshaking() && !server.is_handshaking() {
            return Ok(());
        }
        let mut sent = Vec::new();
        client.write_tls(&mut sent).map_err(lost)?;
        server.read_tls(&mut sent.as_slice()).map_err(lost)?;
        server.process_new_packets()?;
        let mut answered = Vec::new();
        server.write_tls(&mut answered).map_err(lost)?;
        client.read_tls(&mut answered.as_slice()).map_err(lost)?;
        client.process_new_packets()?;
    }
    Err(rustls::Error::General("the handshake does not end".to_owned()))
}

/// Files, key and validity of the certificates that TLS listeners show.
pub(super) fn listeners(setup: &Setup) -> Vec<Finding> {
    setup.with_config(|config| {
        let secured = config.listeners.iter().filter_map(|listener| Some((&listener.name, listener.tls.as_ref()?)));
        let findings: Vec<Finding> = secured.map(|(name, tls)| listener(name, tls, setup.now)).collect();
        if findings.is_empty() { vec![Finding::skip("no listener speaks TLS")] } else { findings }
    })
}

fn listener(name: &str, tls: &ListenerTls, now: SystemTime) -> Finding {
    let fix = "give a PEM certificate chain and its own unencrypted key";
    let chain = match chain(tls) {
        Ok(chain) => chain,
        Err(reason) => return Finding::fail(format!("{name}: {}: {reason}", tls.cert_file.display()), fix),
    };
    let key = match PrivateKeyDer::from_pem_file(&tls.key_file) {
        Ok(key) => key,
        Err(error) => return Finding::fail(format!("{name}: {}: {error}", tls.key_file.display()), fix),
    };
    let provider = crate::tls::provider();
    let matched = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain.clone(), key));
    match (matched, chain.first()) {
        (Ok(_), Some(first)) => validity(&format!("{name}: {}", tls.cert_file.display()), first, now),
        (Ok(_), None) => Finding::fail(format!("{name}: {} holds no certificate", tls.cert_file.display()), fix),
        (Err(error), _) => Finding::fail(format!("{name}: {}: {error}", tls.key_file.display()), fix),
    }
}

/// The certificates a listener shows.
pub(super) fn chain(tls: &ListenerTls) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(&tls.cert_file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.map_err(|error| error.to_string())
}

/// Whether a certificate is valid now and for some time.
fn validity(what: &str, der: &CertificateDer<'_>, now: SystemTime) -> Finding {
    let Ok((_, certificate)) = parse_x509_certificate(der) else {
        return Finding::fail(format!("{what} cannot be read as X.509"), "replace the file");
    };
    let now_s = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
    let (from_s, until_s) =
        (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
    let until = shown_time(until_s.saturating_mul(1_000_000));
    if now_s < from_s {
        let from = shown_time(from_s.saturating_mul(1_000_000));
        return Finding::fail(format!("{what} is not valid before {from}"), "check this machine's clock");
    }
    if now_s >= until_s {
        return Finding::fail(
            format!("{what} expired on {until}"),
            "renew it, restart Tollgate, and give it to every client",
        );
    }
    let days = (until_s - now_s) / DAY_S;
    if days < RENEW_DAYS {
        let fix = "renew it now: give clients the new one beside the old one first, then restart Tollgate with it";
        return Finding::warn(format!("{what} expires on {until}, in {days} days"), fix);
    }
    Finding::ok(format!("{what}, valid until {until}"))
}
