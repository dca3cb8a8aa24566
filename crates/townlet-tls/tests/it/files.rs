use std::path::{Path, PathBuf};

use townlet_testkit::certs::{Leaf, Pki};
use townlet_tls::{ClientOptions, ClientTls, ServerOptions, ServerTls, TlsError, TlsErrorKind as Kind};

fn with_ca(path: impl Into<PathBuf>) -> Result<ClientTls, TlsError> {
    ClientTls::load(&ClientOptions { ca_file: Some(path.into()), ..ClientOptions::default() })
}

fn check(error: TlsError, kind: Kind, says: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for text in says {
        assert!(error.to_string().contains(text), "{error:?} says nothing of {text:?}");
    }
}

#[test]
fn a_missing_file_is_named_with_its_key() {
    check(with_ca("no/such/ca.pem").unwrap_err(), Kind::FileMissing, &["ca_file", "no/such/ca.pem"]);
}

#[test]
fn a_folder_is_not_a_certificate() {
    let pki = Pki::new();
    check(with_ca(pki.dir()).unwrap_err(), Kind::FileUnreadable, &["ca_file", "not a file"]);
}

#[test]
fn files_without_the_wanted_section_are_told_apart_from_damaged_ones() {
    let pki = Pki::new();
    let issued = pki.localhost();
    let write = |name: &str, content: &str| {
        let path = pki.dir().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    check(with_ca(write("empty.pem", "")).unwrap_err(), Kind::NoCertificate, &["BEGIN CERTIFICATE"]);
    check(with_ca(&issued.key_file).unwrap_err(), Kind::NoCertificate, &["localhost.key"]);
    let torn = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    check(with_ca(write("torn.pem", torn)).unwrap_err(), Kind::BadPem, &["END"]);
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check(with_ca(write("junk.pem", junk)).unwrap_err(), Kind::BadCertificate, &["junk.pem"]);

    let pair = |cert: &Path, key: &Path| ServerTls::load(&ServerOptions::new(cert, key)).unwrap_err();
    check(pair(&issued.cert_file, &issued.cert_file), Kind::NoKey, &["key_file"]);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    check(pair(&issued.cert_file, &write("locked.key", encrypted)), Kind::NoKey, &["encrypted", "openssl"]);
}

#[test]
fn messages_never_quote_a_key_file() {
    let pki = Pki::new();
    let issued = pki.localhost();
    let secret = "-----BEGIN PRIVATE KEY-----\nTOPSECRET!!\n-----END PRIVATE KEY-----\n";
    let path = pki.dir().join("bad.key");
    std::fs::write(&path, secret).unwrap();
    let error = ServerTls::load(&ServerOptions::new(&issued.cert_file, &path)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("TOPSECRET"), "{error:?}");
}

#[test]
fn a_key_of_another_certificate_is_a_mismatch_on_both_sides() {
    let pki = Pki::new();
    let (one, two) = (pki.issue("one", &Leaf::client("one")), pki.issue("two", &Leaf::client("two")));
    let server = ServerTls::load(&ServerOptions::new(&one.cert_file, &two.key_file)).unwrap_err();
    check(server, Kind::KeyMismatch, &["one.pem", "two.key"]);
    let client = ClientOptions {
        ca_file: Some(pki.ca_file().into()),
        cert_file: Some(one.cert_file.clone()),
        key_file: Some(two.key_file.clone()),
        ..ClientOptions::default()
    };
    check(ClientTls::load(&client).unwrap_err(), Kind::KeyMismatch, &["one.pem", "two.key"]);
    let half = ClientOptions { key_file: None, ..client };
    check(ClientTls::load(&half).unwrap_err(), Kind::IncompletePair, &["cert_file", "key_file"]);
}

#[test]
fn without_a_ca_file_the_platform_decides() {
    // A machine without a list of authorities says so; both are right.
    match ClientTls::load(&ClientOptions::default()) {
        Ok(_) => {}
        Err(error) => check(error, Kind::NoPlatformRoots, &["ca_file"]),
    }
}
