//! Every way in which a handshake fails, against OpenSSL: what the worker is told,
//! what the operator reads. `docs/tls-errors.md` holds the same table.

use std::error::Error;
use std::fmt::Write;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;
use townlet_testkit::certs::{Issued, Leaf, Pki, put};
use townlet_testkit::frames;
use townlet_tls::{ServerOptions, ServerTls, TlsError};
use townlet_transport::{Factory, Settings, Transport, TransportError};
use townlet_transport_tcp::TcpFactory;

use crate::openssl::{OpenSsl, PATIENCE, present, shown};
use crate::support::{Collector, lines_below, text, townlet};

/// What a sink towards `port` is told: trust this authority, be patient so long.
fn settings(port: u16, pki: &Pki) -> Settings {
    let mut settings = Settings::default();
    settings.endpoint = Some(format!("localhost:{port}"));
    settings.ca_file = Some(pki.ca_file().to_owned());
    settings.connect_timeout = Duration::from_secs(20);
    settings
}

fn sink(settings: &Settings) -> Box<dyn Transport> {
    TcpFactory.build(settings).unwrap()
}

fn with_own(mut settings: Settings, own: Issued) -> Settings {
    (settings.cert_file, settings.key_file) = (Some(own.cert_file), Some(own.key_file));
    settings
}

/// A row of the table.
fn row(table: &mut String, case: &str, kinds: &[&str], message: &str, peer: &str) {
    let message = message.replace(peer, "PEER").replace('|', "\\|");
    writeln!(table, "| {case} | `{}` | {message} |", kinds.join("` | `")).unwrap();
}

/// A row from what a connect failed with.
fn failed(table: &mut String, case: &str, port: u16, error: &TransportError) {
    let tls = error.source().and_then(|source| source.downcast_ref::<TlsError>());
    let kind = tls.unwrap_or_else(|| panic!("{case}: {error:?} comes from no handshake")).kind();
    assert!(error.kind().is_retryable(), "{case}: nothing is dropped for it");
    row(table, case, &[kind.as_str(), error.kind().as_str()], &error.to_string(), &format!("localhost:{port}"));
}

/// Connects to an `s_server` with this certificate, which has to fail.
fn against(
    table: &mut String,
    case: &str,
    certificate: &Issued,
    more: &[&str],
    change: impl FnOnce(Settings) -> Settings,
    pki: &Pki,
) {
    let (_server, address) = OpenSsl::server(certificate, 0, more);
    let error = sink(&change(settings(address.port(), pki))).connect().expect_err(case);
    failed(table, case, address.port(), &error);
}

fn documented(heading: &str) -> String {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tls-errors.md");
    let document = std::fs::read_to_string(document).unwrap();
    let section = document.split("\n## ").find_map(|section| section.strip_prefix(heading));
    let section = section.unwrap_or_else(|| panic!("no section {heading:?}"));
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_a_client_of_ours_says_of_each_failed_handshake_is_what_the_documentation_says() {
    if !present() {
        return;
    }
    let (pki, stranger) = (Pki::new(), Pki::new());
    let leaf = || Leaf::server(&["localhost"]);
    let good = pki.localhost();
    let mut table = String::new();
    let t = &mut table;
    against(t, "certificate expired", &pki.issue("old", &leaf().expired()), &[], |s| s, &pki);
    against(t, "certificate not valid yet", &pki.issue("new", &leaf().not_yet_valid()), &[], |s| s, &pki);
    against(
        t,
        "certificate for another host",
        &pki.issue("other", &Leaf::server(&["other.example"])),
        &[],
        |s| s,
        &pki,
    );
    against(t, "unknown authority", &stranger.localhost(), &[], |s| s, &pki);
    against(t, "self-signed certificate", &pki.self_signed("self", &leaf()), &[], |s| s, &pki);
    let intermediate = pki.subordinate("townlet test intermediate");
    against(t, "intermediate certificate not sent", &intermediate.localhost(), &[], |s| s, &pki);
    against(t, "TLS 1.1 at most", &good, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], |s| s, &pki);
    against(t, "no application protocol in common", &good, &["-alpn", "h2"], |s| s, &pki);
    let ca = shown(pki.ca_file());
    let demands = ["-Verify", "1", "-verify_return_error", "-CAfile", &ca];
    against(t, "client certificate missing", &good, &demands, |s| s, &pki);
    let foreign = stranger.issue("shard", &Leaf::client("shard-1"));
    against(t, "client certificate of an unknown authority", &good, &demands, |s| with_own(s, foreign), &pki);
    let late = pki.issue("late", &Leaf::client("shard-1").expired());
    against(t, "client certificate expired", &good, &demands, |s| with_own(s, late), &pki);

    let (frozen, address) = OpenSsl::server(&good, 0, &[]);
    frozen.freeze();
    let mut impatient = settings(address.port(), &pki);
    impatient.connect_timeout = Duration::from_secs(2);
    let started = Instant::now();
    let error = sink(&impatient).connect().unwrap_err();
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    failed(t, "handshake never finishes", address.port(), &error);

    assert_eq!(documented("At the client\n"), table, "the table should be:\n{table}");
}

#[test]
fn the_same_peers_are_reached_where_nothing_is_wrong() {
    if !present() {
        return;
    }
    let pki = Pki::new();
    let ca = shown(pki.ca_file());
    let intermediate = pki.subordinate("townlet test intermediate");
    let chain = shown(intermediate.ca_file());
    let own = pki.issue("shard", &Leaf::client("shard-1"));
    for (certificate, more, own) in [
        (pki.localhost(), vec!["-tls1_3"], None),
        (pki.localhost(), vec!["-tls1_2"], None),
        (intermediate.localhost(), vec!["-cert_chain", &chain], None),
        (pki.localhost(), vec!["-Verify", "1", "-verify_return_error", "-CAfile", &ca], Some(own.clone())),
        (pki.localhost(), vec!["-tls1_2", "-Verify", "1", "-verify_return_error", "-CAfile", &ca], Some(own)),
    ] {
        let (server, address) = OpenSsl::server(&certificate, 0, &more);
        let plain = settings(address.port(), &pki);
        let mut sink = sink(&own.map_or(plain.clone(), |own| with_own(plain, own)));
        sink.connect().unwrap_or_else(|error| panic!("{more:?}: {error}"));
        sink.send(&frames(1..=3)).unwrap();
        server.wait_for("three lines arrive", |said| (said.matches("\"seq\":").count() >= 3).then_some(()));
    }
}

/// Lets `s_client` try, and makes a row of what our side says.
fn accepted(table: &mut String, case: &str, options: &ServerOptions, limit: Duration, more: &[&str]) {
    let server = ServerTls::load(options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = OpenSsl::client(listener.local_addr().unwrap(), more);
    let (socket, peer) = listener.accept().unwrap();
    let peer = peer.to_string();
    let error = server.handshake(socket, &peer, Instant::now() + limit).expect_err(case);
    row(table, case, &[error.kind().as_str()], &error.to_string(), &peer);
}

#[test]
fn what_a_server_of_ours_says_of_each_failed_handshake_is_what_the_documentation_says() {
    if !present() {
        return;
    }
    let (pki, stranger) = (Pki::new(), Pki::new());
    let own = pki.localhost();
    let open =
        ServerOptions { alpn: vec![b"townlet-ack/1".to_vec()], ..ServerOptions::new(own.cert_file, own.key_file) };
    let closed = ServerOptions { client_ca_file: Some(pki.ca_file().to_owned()), ..open.clone() };
    let mut table = String::new();
    let t = &mut table;
    let shows = |issued: &Issued| [shown(&issued.cert_file), shown(&issued.key_file)];
    let wrong_ca = shown(stranger.ca_file());
    accepted(t, "client does not trust us", &open, PATIENCE, &["-CAfile", &wrong_ca, "-verify_return_error"]);
    accepted(t, "TLS 1.1 at most", &open, PATIENCE, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    accepted(t, "no application protocol in common", &open, PATIENCE, &["-alpn", "h2"]);
    accepted(t, "client certificate missing", &closed, PATIENCE, &[]);
    for (case, issued) in [
        ("client certificate of an unknown authority", stranger.issue("shard", &Leaf::client("shard-1"))),
        ("client certificate expired", pki.issue("late", &Leaf::client("shard-1").expired())),
        ("client certificate not valid yet", pki.issue("early", &Leaf::client("shard-1").not_yet_valid())),
        ("client certificate self-signed", pki.self_signed("self", &Leaf::client("shard-1"))),
        (
            "client certificate of an intermediate that is not sent",
            pki.subordinate("townlet test intermediate").issue("shard", &Leaf::client("shard-1")),
        ),
        ("server certificate shown by a client", pki.issue("server", &Leaf::server(&["localhost"]))),
    ] {
        let [cert, key] = shows(&issued);
        accepted(t, case, &closed, PATIENCE, &["-cert", &cert, "-key", &key]);
    }
    let server = ServerTls::load(&open).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _silent = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, peer) = listener.accept().unwrap();
    let error = server.handshake(socket, &peer.to_string(), Instant::now() + Duration::from_millis(300)).unwrap_err();
    row(t, "handshake never begins", &[error.kind().as_str()], &error.to_string(), &peer.to_string());
    let mut begun = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    // The head of a record and the beginning of a hello, and nothing more.
    std::io::Write::write_all(&mut begun, &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).unwrap();
    let (socket, peer) = listener.accept().unwrap();
    let error = server.handshake(socket, &peer.to_string(), Instant::now() + Duration::from_secs(1)).unwrap_err();
    row(t, "handshake begins and never finishes", &[error.kind().as_str()], &error.to_string(), &peer.to_string());

    assert_eq!(documented("At the collector\n"), table, "the table should be:\n{table}");
}

#[test]
fn a_certificate_that_expires_ends_no_open_connection_and_is_refused_by_the_next_handshake() {
    if !present() {
        return;
    }
    let pki = Pki::new();
    let now = SystemTime::now();
    // Long enough for a first connection on a busy machine.
    let brief = Leaf::server(&["localhost"]).valid(now - Duration::from_secs(60), now + Duration::from_secs(20));
    let (server, address) = OpenSsl::server(&pki.issue("brief", &brief), 0, &[]);
    let mut open = sink(&settings(address.port(), &pki));
    open.connect().unwrap();
    open.send(&frames(1..=1)).unwrap();
    server.wait_for("the first line", |said| said.contains("\"seq\":1").then_some(()));
    // `s_server` serves one client at a time, so those who come later ask another one.
    let (_other, other) = OpenSsl::server(&pki.issue("same", &brief), 0, &[]);
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        match sink(&settings(other.port(), &pki)).connect() {
            Err(error) => break error,
            Ok(_) => std::thread::park_timeout(Duration::from_millis(100)),
        }
        assert!(Instant::now() < deadline, "the certificate is valid for too long");
    };
    let mut table = String::new();
    failed(&mut table, "certificate expired since", other.port(), &error);
    assert!(table.contains("| `expired` | `tls` |") && table.contains("expired today: renew it"), "{table}");
    assert!(!open.connect().unwrap().fresh, "the open connection is kept");
    open.send(&frames(2..=2)).unwrap();
    server.wait_for("the second line", |said| said.contains("\"seq\":2").then_some(()));
}

#[test]
fn a_sink_follows_its_peer_to_another_authority_in_the_midst_of_traffic() {
    if !present() {
        return;
    }
    let (pki, next) = (Pki::new(), Pki::new());
    let (before, address) = OpenSsl::server(&pki.localhost(), 0, &[]);
    let mut sink = sink(&settings(address.port(), &pki));
    sink.connect().unwrap();
    sink.send(&frames(1..=3)).unwrap();
    before.wait_for("what was sent before", |said| said.contains("\"seq\":3").then_some(()));
    drop(before);
    let (after, _) = OpenSsl::server(&next.localhost(), address.port(), &[]);
    // The sink learns from its next send that the connection is gone, then whom it meets.
    let deadline = Instant::now() + PATIENCE;
    let refused = loop {
        match sink.connect() {
            Err(error) if error.kind() == townlet_transport::ErrorKind::Tls => break error,
            Err(_) => {}
            Ok(_) => drop(sink.send(&frames(4..=4))),
        }
        assert!(Instant::now() < deadline, "nothing is refused");
    };
    assert!(refused.to_string().contains("not trusted"), "{refused}");
    put(next.ca_file(), pki.ca_file());
    while let Err(error) = sink.connect() {
        assert!(Instant::now() < deadline, "{error}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    sink.send(&frames(4..=6)).unwrap();
    after.wait_for("what was sent after", |said| said.contains("\"seq\":6").then_some(()));
}

#[test]
fn a_collector_shows_renewed_certificates_to_openssl_while_an_open_connection_goes_on() {
    if !present() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let (certs, next, out) = (dir.path().join("tls"), dir.path().join("next"), dir.path().join("collected"));
    townlet(&["certs", "--out", text(&certs)]).expect(0);
    townlet(&["certs", "--out", text(&next)]).expect(0);
    let collector = Collector::start(&certs, &out);
    let address = ([127, 0, 0, 1], collector.port).into();
    let trusts = |folder: &Path| {
        let ca = shown(&folder.join("ca.pem"));
        OpenSsl::client(address, &["-CAfile", &ca, "-verify_return_error", "-servername", "localhost"])
    };
    let ok = |client: &OpenSsl| {
        client.wait_for("the handshake", |said| {
            said.contains("Verify return code: ").then(|| said.contains("Verify return code: 0 (ok)"))
        })
    };
    let line = |seq: u64| String::from_utf8(frames(seq..=seq)[0].line().to_vec()).unwrap();
    let mut open = trusts(&certs);
    assert!(ok(&open));
    open.send(&line(1));
    put(&next.join("server.key"), &certs.join("server.key"));
    put(&next.join("server.pem"), &certs.join("server.pem"));
    let deadline = Instant::now() + PATIENCE;
    let mut renewed = loop {
        let client = trusts(&next);
        let done = client.wait_for("an end", |said| {
            let good = said.contains("Verify return code: 0 (ok)");
            (good || said.contains("verify error")).then_some(good)
        });
        if done {
            break client;
        }
        assert!(Instant::now() < deadline, "the collector does not renew");
    };
    open.send(&line(2));
    renewed.send(&line(3));
    let stored = loop {
        let stored = if out.exists() { lines_below(&out).len() } else { 0 };
        if stored >= 3 || Instant::now() > deadline {
            break stored;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    };
    assert_eq!(stored, 3, "the old and the new connection both deliver");
}
