use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::spawn;
use std::time::{Duration, Instant};

use townlet_testkit::certs::{Leaf, Pki};
use townlet_testkit::on_time;
use townlet_tls::{ClientOptions, ClientTls, Endpoint, ServerOptions, ServerTls, TlsErrorKind as Kind, dial};

const SOON: Duration = Duration::from_secs(60);

fn server(pki: &Pki) -> ServerOptions {
    let issued = pki.localhost();
    ServerOptions::new(issued.cert_file, issued.key_file)
}

#[test]
fn client_and_server_of_this_crate_understand_each_other() {
    let pki = Pki::new();
    let own = pki.issue("shard", &Leaf::client("shard-1"));
    let alpn = vec![b"townlet-ack/1".to_vec()];
    let options = ServerOptions { client_ca_file: Some(pki.ca_file().into()), alpn: alpn.clone(), ..server(&pki) };
    let server = ServerTls::load(&options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint::parse(&listener.local_addr().unwrap().to_string()).unwrap();
    let accepting = spawn(move || {
        let (socket, peer) = listener.accept().unwrap();
        let mut stream = server.handshake(socket, &peer.to_string(), Instant::now() + SOON).unwrap();
        let mut bytes = [0; 6];
        stream.read_exact(&mut bytes).unwrap();
        (bytes, stream.conn.alpn_protocol().map(<[u8]>::to_vec), stream.conn.peer_certificates().map(<[_]>::len))
    });
    let client = ClientTls::load(&ClientOptions {
        ca_file: Some(pki.ca_file().into()),
        cert_file: Some(own.cert_file),
        key_file: Some(own.key_file),
        alpn,
        ..ClientOptions::default()
    })
    .unwrap();
    let deadline = Instant::now() + SOON;
    let mut stream = client.handshake(dial(&endpoint, deadline).unwrap(), &endpoint, deadline).unwrap();
    stream.write_all(b"hello\n").unwrap();
    assert_eq!(accepting.join().unwrap(), (*b"hello\n", Some(b"townlet-ack/1".to_vec()), Some(1)));
}

#[test]
fn a_client_that_never_speaks_does_not_hold_the_server_beyond_the_deadline() {
    let pki = Pki::new();
    let server = ServerTls::load(&server(&pki)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let limit = Duration::from_millis(800);
    on_time("the end of the handshake", limit * 3 / 2, || {
        let _silent = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = listener.accept().unwrap();
        let started = Instant::now();
        let error = server.handshake(socket, &peer.to_string(), started + limit).unwrap_err();
        assert_eq!(error.kind(), Kind::HandshakeTimeout, "{error}");
        started.elapsed()
    });
}

#[test]
fn a_client_that_does_not_trust_the_server_is_reported_as_refusing() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let server = ServerTls::load(&server(&pki)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint::parse(&listener.local_addr().unwrap().to_string()).unwrap();
    let distrusting = spawn(move || {
        let options = ClientOptions { ca_file: Some(stranger.ca_file().into()), ..ClientOptions::default() };
        let deadline = Instant::now() + SOON;
        let client = ClientTls::load(&options).unwrap();
        client.handshake(dial(&endpoint, deadline).unwrap(), &endpoint, deadline).unwrap_err().kind()
    });
    let (socket, peer) = listener.accept().unwrap();
    let error = server.handshake(socket, &peer.to_string(), Instant::now() + SOON).unwrap_err();
    assert_eq!(error.kind(), Kind::PeerRefused, "{error}");
    assert_eq!(distrusting.join().unwrap(), Kind::UnknownCa);
}
