//! Certificates renewed while lines come in.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use townlet_collector::{ACK_PROTOCOL, CertificateReport, Collector, CollectorOptions, EndKind, Security};
use townlet_testkit::certs::{Issued, Leaf, Pki, put};
use townlet_testkit::event;
use townlet_tls::{ClientOptions, ClientStream, ClientTls, Endpoint, ServerOptions, ServerTls, TlsError};
use townlet_worker::Offer;

use crate::acknowledged::{assert_stored, end, worker};
use crate::support::*;

/// A change counts for new handshakes within two seconds (`townlet-tls` looks once a second,
/// its tests say); here under traffic, on a machine that may be busy.
const LIMIT: Duration = PATIENCE;

fn named(pki: &Pki, stem: &str) -> Issued {
    pki.issue(stem, &Leaf::server(&[&format!("{stem}.example"), "localhost"]))
}

fn handshake(client: &ClientTls, address: SocketAddr) -> Result<ClientStream, TlsError> {
    let endpoint = Endpoint::parse(&format!("localhost:{}", address.port())).unwrap();
    client.handshake(TcpStream::connect(address).unwrap(), &endpoint, Instant::now() + PATIENCE)
}

fn client(pki: &Pki, own: Option<&Issued>) -> ClientTls {
    ClientTls::load(&ClientOptions {
        ca_file: Some(pki.ca_file().to_owned()),
        cert_file: own.map(|own| own.cert_file.clone()),
        key_file: own.map(|own| own.key_file.clone()),
        alpn: vec![ACK_PROTOCOL.to_vec()],
        ..ClientOptions::default()
    })
    .unwrap()
}

/// The first name on the certificate that a new connection is shown.
fn shown(client: &ClientTls, collector: &Collector) -> String {
    let stream = handshake(client, collector.local_addr()).unwrap();
    let leaf = &stream.conn.peer_certificates().unwrap()[..1];
    townlet_tls::inspect_chain(leaf, SystemTime::now()).unwrap()[0].names[0].clone()
}

/// Waits until `ready` gives something, at most the limit from `since` on.
fn in_time<T>(since: Instant, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = ready() {
            eprintln!("{what}: {:?} after the change", since.elapsed());
            return found;
        }
        assert!(since.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::yield_now();
    }
}

fn certificate(collector: &Collector) -> CertificateReport {
    collector.report().certificate.unwrap()
}

#[test]
fn a_certificate_is_renewed_under_traffic_without_losing_a_line_or_a_connection() {
    let (dir, pki) = (tempfile::tempdir().unwrap(), Pki::new());
    let files = named(&pki, "first");
    let (second, third) = (named(&pki, "second"), named(&pki, "third"));
    let mut options = ServerOptions::new(&files.cert_file, &files.key_file);
    options.alpn = vec![ACK_PROTOCOL.to_vec()];
    let security = Security::Tls(ServerTls::load(&options).unwrap());
    let collector = Collector::bind(CollectorOptions { security, ..plain(dir.path()) }).unwrap();
    // A short queue that blocks: as many lines as the collector acknowledges.
    let worker = worker(collector.local_addr(), &pki, |options| options.max_queue_length = 500);
    let streaming = AtomicBool::new(true);
    let offered = std::thread::scope(|scope| {
        let stream = scope.spawn(|| {
            let mut seq = 0;
            while streaming.load(Ordering::Relaxed) {
                seq += 1;
                assert_eq!(worker.offer(event("town.events", seq)), Offer::Accepted);
            }
            seq
        });
        wait_for(&collector, "lines", |report| report.totals.stored > 100);
        let client = client(&pki, None);
        assert_eq!(shown(&client, &collector), "first.example");

        let renewed = Instant::now();
        second.put(&files);
        in_time(renewed, "the second certificate", || (shown(&client, &collector) == "second.example").then_some(()));
        let report = certificate(&collector);
        assert_eq!((report.reload_error, report.days_to_expiry), (None, Some(89)));
        let reloads = report.reloads_total;
        assert!(reloads >= 1 && report.last_reload_at.is_some());

        let broken = Instant::now();
        fs::write(&files.cert_file, "half a certific").unwrap();
        let why = in_time(broken, "the refusal of a broken one", || certificate(&collector).reload_error);
        assert!(why.contains("first.pem"), "{why}");
        assert_eq!(shown(&client, &collector), "second.example");
        assert!(collector.report().to_string().contains("not reloaded: "), "the text says so too");

        third.put_certificate(&files);
        let mended = Instant::now();
        third.put_key(&files);
        in_time(mended, "the third certificate", || (shown(&client, &collector) == "third.example").then_some(()));
        let report = certificate(&collector);
        assert_eq!((report.reload_error, report.reloads_total), (None, reloads + 1));
        assert!(report.reload_failures_total >= 1);

        let before = collector.report().totals.stored;
        wait_for(&collector, "lines after all that", |report| report.totals.stored > before + 100);
        streaming.store(false, Ordering::Relaxed);
        stream.join().unwrap()
    });
    end(&worker, offered);
    let report = stop(collector);
    assert_eq!((report.totals.stored, report.totals.duplicates, report.missing), (offered, 0, 0));
    let first = report.connections.iter().find(|connection| connection.id == 1).unwrap();
    assert_eq!((first.counts.lines, first.acknowledged), (offered, offered), "all of it over one connection");
    assert_eq!(first.ended.as_ref().unwrap().kind, EndKind::PeerClosed);
    assert_stored(dir.path(), 1..=offered);
    eprintln!("{offered} lines under three certificates");
}

#[test]
fn the_authority_of_clients_is_replaced_without_dropping_those_who_are_connected() {
    let (dir, old, new) = (tempfile::tempdir().unwrap(), Pki::new(), Pki::new());
    let files = old.localhost();
    let client_ca_file = old.dir().join("clients.pem");
    fs::copy(old.ca_file(), &client_ca_file).unwrap();
    let options = ServerOptions {
        client_ca_file: Some(client_ca_file.clone()),
        alpn: vec![ACK_PROTOCOL.to_vec()],
        ..ServerOptions::new(&files.cert_file, &files.key_file)
    };
    let security = Security::Tls(ServerTls::load(&options).unwrap());
    let collector = Collector::bind(CollectorOptions { security, ..plain(dir.path()) }).unwrap();
    let known = client(&old, Some(&old.issue("known", &Leaf::client("shard-1"))));
    let newcomer = client(&old, Some(&new.issue("newcomer", &Leaf::client("shard-2"))));
    let mut connected = TlsClient::over(handshake(&known, collector.local_addr()).unwrap());
    connected.send(&lines("town", 1..=10));
    connected.acks_until(10);
    assert!(handshake(&newcomer, collector.local_addr()).is_err());

    let replaced = Instant::now();
    put(new.ca_file(), &client_ca_file);
    let accepted = in_time(replaced, "the new authority", || handshake(&newcomer, collector.local_addr()).ok());
    assert!(handshake(&known, collector.local_addr()).is_err(), "also of one who could resume a session");
    connected.send(&lines("town", 11..=20));
    connected.acks_until(20);
    let mut accepted = TlsClient::over(accepted);
    accepted.send(&lines("town", 21..=30));
    accepted.acks_until(10);
    connected.close();
    accepted.close();
    let report = stop(collector);
    assert_eq!((report.totals.stored, report.totals.duplicates), (30, 0));
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=30));
}

#[cfg(unix)]
#[test]
fn a_secret_that_kubernetes_swaps_is_taken_up_in_time() {
    let (dir, pki) = (tempfile::tempdir().unwrap(), Pki::new());
    let mut mount = townlet_testkit::certs::Mount::new(&pki.dir().join("secret"), &named(&pki, "first"));
    let options = ServerOptions::new(&mount.files.cert_file, &mount.files.key_file);
    let security = Security::Tls(ServerTls::load(&options).unwrap());
    let collector = Collector::bind(CollectorOptions { security, ..plain(dir.path()) }).unwrap();
    let client =
        ClientTls::load(&ClientOptions { ca_file: Some(pki.ca_file().to_owned()), ..ClientOptions::default() })
            .unwrap();
    assert_eq!(shown(&client, &collector), "first.example");
    let second = named(&pki, "second");
    let swapped = Instant::now();
    mount.swap(&second);
    in_time(swapped, "the swapped secret", || (shown(&client, &collector) == "second.example").then_some(()));
    assert_eq!(certificate(&collector).reload_failures_total, 0);
    stop(collector);
}

#[test]
fn a_collector_without_tls_has_no_certificate_to_report() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::bind(plain(dir.path())).unwrap();
    assert_eq!(stop(collector).certificate, None);
}
