use std::time::{Duration, SystemTime};

use townlet_testkit::certs::{Leaf, Pki};
use townlet_tls::inspect_file;

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_certificate_is_described_as_of_the_given_time() {
    let pki = Pki::named("Town CA");
    let from = SystemTime::UNIX_EPOCH + 20_000 * DAY;
    let until = from + 90 * DAY;
    let issued = pki.issue("c", &Leaf::server(&["collector.example", "192.0.2.7", "::1"]).valid(from, until));
    let [leaf] = &inspect_file(&issued.cert_file, from + 30 * DAY).unwrap()[..] else { panic!("one certificate") };
    assert_eq!(leaf.subject, "CN=collector.example");
    assert_eq!(leaf.issuer, "CN=Town CA");
    assert_eq!(leaf.names, ["collector.example", "192.0.2.7", "::1"]);
    assert_eq!((leaf.not_before, leaf.not_after), (from, until));
    assert_eq!(leaf.days_to_expiry, 60);
    assert!(!leaf.is_ca && !leaf.self_issued);
    assert!(leaf.is_valid_at(from) && leaf.is_valid_at(until) && !leaf.is_valid_at(until + DAY));
    let late = inspect_file(&issued.cert_file, until + DAY).unwrap();
    assert_eq!(late[0].days_to_expiry, -2);
}

#[test]
fn an_authority_is_recognised() {
    let pki = Pki::new();
    let ca = &inspect_file(pki.ca_file(), SystemTime::now()).unwrap()[0];
    assert!(ca.is_ca && ca.self_issued);
}
