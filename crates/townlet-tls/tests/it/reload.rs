//! Renewed files: taken up where they are good, refused and reported where not.

use std::fs::{self, File, FileTimes};
use std::net::TcpListener;
use std::path::Path;
use std::thread::spawn;
use std::time::{Duration, Instant, SystemTime};

use townlet_testkit::certs::{Issued, Leaf, Pki, put};
use townlet_testkit::logged;
use townlet_tls::{
    ClientOptions, ClientTls, Endpoint, Reload, ReloadCheck, ServerOptions, ServerTls, TlsErrorKind as Kind, dial,
};

const SOON: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

fn named(pki: &Pki, stem: &str) -> Issued {
    pki.issue(stem, &Leaf::server(&[&format!("{stem}.example"), "localhost"]))
}

fn server(files: &Issued) -> Reload<ServerTls> {
    Reload::server(ServerTls::load(&ServerOptions::new(&files.cert_file, &files.key_file)).unwrap())
}

/// The name on the certificate that a handshake with `server` shows to `client`.
fn shown_to(client: &ClientTls, server: &ServerTls) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint::parse(&format!("localhost:{}", listener.local_addr().unwrap().port())).unwrap();
    let server = server.clone();
    let accepting = spawn(move || {
        let (socket, peer) = listener.accept().unwrap();
        server.handshake(socket, &peer.to_string(), Instant::now() + SOON).map(drop)
    });
    let deadline = Instant::now() + SOON;
    let stream = client.handshake(dial(&endpoint, deadline).unwrap(), &endpoint, deadline).unwrap();
    accepting.join().unwrap().unwrap();
    let leaf = &stream.conn.peer_certificates().unwrap()[..1];
    townlet_tls::inspect_chain(leaf, SystemTime::now()).unwrap()[0].names[0].clone()
}

fn trusting(ca_file: &Path) -> ClientOptions {
    ClientOptions { ca_file: Some(ca_file.into()), ..ClientOptions::default() }
}

#[test]
fn a_renewed_certificate_is_used_by_the_next_handshake_even_of_a_client_that_could_resume() {
    let pki = Pki::new();
    let (old, new) = (named(&pki, "old"), named(&pki, "new"));
    let mut reload = server(&old);
    let client = ClientTls::load(&trusting(pki.ca_file())).unwrap();
    assert_eq!(shown_to(&client, reload.current()), "old.example");
    let now = SystemTime::now();
    assert_eq!(reload.check(now), ReloadCheck::Unchanged);
    new.put(&old);
    let log = logged(|| assert_eq!(reload.check(now + SECOND), ReloadCheck::Reloaded));
    assert!(log.contains("telemetry_tls_reloaded side=\"server\"") && log.contains("days_to_expiry=89"), "{log}");
    assert_eq!(shown_to(&client, reload.current()), "new.example");
    let status = reload.status();
    assert_eq!((status.last_reload_at, status.reloads_total), (Some(now + SECOND), 1));
    assert_eq!((&status.reload_error, status.reload_failures_total), (&None, 0));
    assert_eq!(reload.check(now + 2 * SECOND), ReloadCheck::Unchanged);
}

#[test]
fn it_looks_at_most_once_a_second_and_at_once_where_the_clock_was_set_back() {
    let pki = Pki::new();
    let (old, new) = (named(&pki, "old"), named(&pki, "new"));
    let mut reload = server(&old);
    let now = SystemTime::now();
    assert_eq!(reload.check(now), ReloadCheck::Unchanged);
    new.put(&old);
    assert_eq!(reload.check(now), ReloadCheck::TooSoon);
    assert_eq!(reload.check(now + SECOND - Duration::from_nanos(1)), ReloadCheck::TooSoon);
    assert_eq!(reload.check(now - DAY), ReloadCheck::Reloaded);
    named(&pki, "newer").put(&old);
    assert_eq!(reload.check(now - DAY), ReloadCheck::TooSoon);
    assert_eq!(reload.check_now(now - DAY), ReloadCheck::Reloaded);
}

#[test]
fn a_certificate_without_its_key_waits_for_the_key() {
    let pki = Pki::new();
    let (old, new) = (named(&pki, "old"), named(&pki, "new"));
    let mut reload = server(&old);
    let client = ClientTls::load(&trusting(pki.ca_file())).unwrap();
    let now = SystemTime::now();
    new.put_certificate(&old);
    assert_eq!(reload.check(now), ReloadCheck::Failed);
    assert_eq!(reload.status().reload_error.as_ref().map(|error| error.kind), Some(Kind::KeyMismatch));
    assert_eq!(shown_to(&client, reload.current()), "old.example");
    assert_eq!(reload.check(now + SECOND), ReloadCheck::Unchanged, "one failure is one failure");
    new.put_key(&old);
    assert_eq!(reload.check(now + 2 * SECOND), ReloadCheck::Reloaded);
    assert_eq!(shown_to(&client, reload.current()), "new.example");
    let status = reload.status();
    assert_eq!((&status.reload_error, status.reloads_total, status.reload_failures_total), (&None, 1, 1));
}

#[test]
fn what_is_no_good_certificate_changes_nothing_and_says_why() {
    let pki = Pki::new();
    let old = named(&pki, "old");
    let spare = pki.dir().join("spare");
    fs::create_dir(&spare).unwrap();
    let keep = Issued { cert_file: spare.join("c.pem"), key_file: spare.join("c.key") };
    old.put(&keep);
    let mut reload = server(&old);
    let client = ClientTls::load(&trusting(pki.ca_file())).unwrap();
    let expired = pki.issue("expired", &Leaf::server(&["localhost"]).expired());
    let early = pki.issue("early", &Leaf::server(&["localhost"]).not_yet_valid());
    let mut now = SystemTime::now();
    let mut failures = 0;
    let mut refuses = |reload: &mut Reload<ServerTls>, kind: Kind, says: &str| {
        now += SECOND;
        failures += 1;
        let log = logged(|| assert_eq!(reload.check(now), ReloadCheck::Failed, "{kind}"));
        assert!(log.contains("ERROR") && log.contains("telemetry_tls_reload_failed"), "{log}");
        assert!(log.contains(&format!("kind={kind}")), "{log}");
        let status = reload.status();
        let error = status.reload_error.as_ref().unwrap();
        assert_eq!((error.kind, status.reloads_total, status.reload_failures_total), (kind, 0, failures));
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.to_string().contains("old."), "the file is named: {error}");
    };
    expired.put(&old);
    refuses(&mut reload, Kind::Expired, "renew");
    early.put(&old);
    refuses(&mut reload, Kind::NotYetValid, "clock");
    fs::write(&old.cert_file, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    refuses(&mut reload, Kind::BadPem, "END");
    fs::write(&old.cert_file, "").unwrap();
    refuses(&mut reload, Kind::NoCertificate, "cert_file");
    fs::write(&old.cert_file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    refuses(&mut reload, Kind::BadCertificate, "damaged");
    fs::remove_file(&old.cert_file).unwrap();
    refuses(&mut reload, Kind::FileMissing, "does not exist");
    assert_eq!(shown_to(&client, reload.current()), "old.example");

    keep.put(&old);
    now += SECOND;
    let log = logged(|| assert_eq!(reload.check(now), ReloadCheck::Restored));
    assert!(log.contains("telemetry_tls_reloaded") && log.contains("restored=true"), "{log}");
    assert_eq!((&reload.status().reload_error, reload.status().reloads_total), (&None, 0));
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_used_from_its_first_second_on() {
    let pki = Pki::new();
    let old = named(&pki, "old");
    let mut reload = server(&old);
    let now = SystemTime::UNIX_EPOCH
        + Duration::from_secs(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
    pki.issue("early", &Leaf::server(&["early.example", "localhost"]).valid(now + 3 * SECOND, now + 30 * DAY))
        .put(&old);
    assert_eq!(reload.check(now), ReloadCheck::Failed);
    assert_eq!(reload.check(now + SECOND), ReloadCheck::Unchanged);
    assert_eq!(reload.check(now + 2 * SECOND), ReloadCheck::Unchanged);
    assert_eq!(reload.check(now + 3 * SECOND), ReloadCheck::Reloaded);
    assert_eq!(reload.status().reload_failures_total, 1);
}

#[test]
fn content_decides_not_the_times_of_the_files() {
    let pki = Pki::new();
    let (old, new) = (named(&pki, "old"), named(&pki, "new"));
    let mut reload = server(&old);
    let now = SystemTime::now();
    // Touched, copied over itself, renamed over itself: the same content each time.
    let touch = FileTimes::new().set_modified(now - DAY);
    File::options().write(true).open(&old.cert_file).unwrap().set_times(touch).unwrap();
    assert_eq!(reload.check(now), ReloadCheck::Unchanged);
    let content = fs::read(&old.cert_file).unwrap();
    fs::write(&old.cert_file, &content).unwrap();
    assert_eq!(reload.check(now + SECOND), ReloadCheck::Unchanged);
    put(&old.cert_file, &old.cert_file);
    assert_eq!(reload.check(now + 2 * SECOND), ReloadCheck::Unchanged);
    // In place, and with the time of the file before: another content all the same.
    let times = FileTimes::new().set_modified(fs::metadata(&old.cert_file).unwrap().modified().unwrap());
    fs::copy(&new.key_file, &old.key_file).unwrap();
    fs::copy(&new.cert_file, &old.cert_file).unwrap();
    File::options().write(true).open(&old.cert_file).unwrap().set_times(times).unwrap();
    assert_eq!(reload.check(now + 3 * SECOND), ReloadCheck::Reloaded);
}

#[test]
fn changes_within_one_tick_of_the_file_system_are_all_found() {
    let pki = Pki::new();
    let files = named(&pki, "one");
    let certificate = fs::read(&files.cert_file).unwrap();
    // Text around the sections is no part of them (RFC 7468, section 5.2), and this keeps the length.
    let write = |round: u8| fs::write(&files.cert_file, [&certificate[..], &[b'a' + round, b'\n']].concat()).unwrap();
    write(0);
    let mut reload = server(&files);
    let now = SystemTime::now();
    for round in 1..=25 {
        write(round);
        assert_eq!(reload.check_now(now), ReloadCheck::Reloaded, "change {round}");
    }
}

#[cfg(unix)]
#[test]
fn a_swapped_link_as_kubernetes_makes_it_is_one_change_of_both_files() {
    let pki = Pki::new();
    let mut mount = townlet_testkit::certs::Mount::new(&pki.dir().join("secret"), &named(&pki, "first"));
    let mut reload = server(&mount.files);
    let client = ClientTls::load(&trusting(pki.ca_file())).unwrap();
    let mut now = SystemTime::now();
    assert_eq!(reload.check(now), ReloadCheck::Unchanged);
    for stem in ["second", "third"] {
        mount.swap(&named(&pki, stem));
        now += SECOND;
        assert_eq!(reload.check(now), ReloadCheck::Reloaded);
        assert_eq!(shown_to(&client, reload.current()), format!("{stem}.example"));
    }
    assert_eq!(reload.status().reload_failures_total, 0);
}

#[test]
fn a_client_follows_its_authority_and_its_own_certificate() {
    let (first, second) = (Pki::new(), Pki::new());
    let ca_file = first.dir().join("trusted.pem");
    fs::copy(first.ca_file(), &ca_file).unwrap();
    let own = first.issue("shard", &Leaf::client("shard-1"));
    let options = ClientOptions {
        cert_file: Some(own.cert_file.clone()),
        key_file: Some(own.key_file.clone()),
        ..trusting(&ca_file)
    };
    let mut reload = Reload::client(ClientTls::load(&options).unwrap());
    let theirs = second.localhost();
    let server = ServerOptions {
        client_ca_file: Some(second.ca_file().into()),
        ..ServerOptions::new(&theirs.cert_file, &theirs.key_file)
    };
    let server = ServerTls::load(&server).unwrap();
    let now = SystemTime::now();
    put(second.ca_file(), &ca_file);
    assert_eq!(reload.check(now), ReloadCheck::Reloaded);
    second.issue("shard", &Leaf::client("shard-1")).put(&own);
    let log = logged(|| assert_eq!(reload.check(now + SECOND), ReloadCheck::Reloaded));
    assert!(log.contains("side=\"client\""), "{log}");
    assert_eq!(shown_to(reload.current(), &server), "localhost");
}

#[test]
fn an_authority_can_be_renewed_while_the_own_certificate_is_out_of_date() {
    let pki = Pki::new();
    let ca_file = pki.dir().join("trusted.pem");
    fs::copy(pki.ca_file(), &ca_file).unwrap();
    let own = pki.issue("shard", &Leaf::client("shard-1").expired());
    let options = ClientOptions { cert_file: Some(own.cert_file), key_file: Some(own.key_file), ..trusting(&ca_file) };
    let mut reload = Reload::client(ClientTls::load(&options).unwrap());
    put(Pki::new().ca_file(), &ca_file);
    assert_eq!(reload.check(SystemTime::now()), ReloadCheck::Reloaded);
}

#[test]
fn days_to_expiry_count_down_and_below_fourteen_they_are_logged_once_a_day() {
    let pki = Pki::new();
    let until = SystemTime::UNIX_EPOCH + 40_000 * DAY;
    let own = pki.issue("c", &Leaf::server(&["localhost"]).valid(until - 90 * DAY, until));
    let mut reload = server(&own);
    assert_eq!(reload.days_to_expiry(until - 20 * DAY), Some(20));
    assert_eq!(reload.current().days_to_expiry(until + DAY), Some(-2));
    let mut check = |at: SystemTime| {
        logged(|| {
            reload.check(at);
        })
    };
    assert_eq!(check(until - 14 * DAY), "");
    let log = check(until - 14 * DAY + SECOND);
    let event = "telemetry_tls_certificate_expiring side=\"server\" certificate=";
    assert!(log.contains("WARN") && log.contains(event) && log.contains("days_to_expiry=13"), "{log}");
    assert_eq!(check(until - 14 * DAY + 2 * SECOND), "");
    assert_eq!(check(until - 13 * DAY), "");
    assert!(check(until - 13 * DAY + SECOND).contains("days_to_expiry=12"));
    assert!(check(until + SECOND).contains("days_to_expiry=-1"));
    // A renewal ends it.
    pki.issue("n", &Leaf::server(&["localhost"]).valid(until - DAY, until + 90 * DAY)).put(&own);
    assert!(!check(until + 2 * SECOND).contains("expiring"));
}

#[test]
fn a_client_without_a_certificate_of_its_own_has_no_expiry() {
    let pki = Pki::new();
    let client = ClientTls::load(&trusting(pki.ca_file())).unwrap();
    assert_eq!(client.days_to_expiry(SystemTime::now()), None);
    let mut reload = Reload::client(client);
    let log = logged(|| assert_eq!(reload.check(SystemTime::now()), ReloadCheck::Unchanged));
    assert_eq!(log, "");
}

#[test]
fn neither_logs_nor_debug_output_show_key_material_or_digests() {
    let pki = Pki::new();
    let old = named(&pki, "old");
    let mut reload = server(&old);
    let secret = "-----BEGIN PRIVATE KEY-----\nTOPSECRET!!\n-----END PRIVATE KEY-----\n";
    fs::write(&old.key_file, secret).unwrap();
    let log = logged(|| assert_eq!(reload.check(SystemTime::now()), ReloadCheck::Failed));
    let shown = format!("{log} {reload:?} {:?} {:?}", reload.status(), reload.current());
    assert!(!shown.contains("TOPSECRET") && !shown.contains("digest"), "{shown}");
}
