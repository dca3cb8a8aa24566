//! A client of the web listener that does exactly what it is told.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use townlet_collector::web::WebOptions;
use townlet_collector::{Collector, CollectorOptions, Security};
use townlet_testkit::certs::Pki;
use townlet_tls::{ServerOptions, ServerTls};

use crate::support::*;

/// Plaintext on loopback, lines and web.
pub(crate) fn web_options() -> WebOptions {
    WebOptions::new(anywhere(), Security::PlaintextOnLoopback)
}

pub(crate) fn with_web(dir: &Path, web: WebOptions) -> Collector {
    Collector::bind(CollectorOptions { web: Some(web), ..plain(dir) }).unwrap()
}

/// TLS with this authority's certificate for localhost.
pub(crate) fn web_tls(pki: &Pki) -> Security {
    let issued = pki.localhost();
    let mut options = ServerOptions::new(&issued.cert_file, &issued.key_file);
    options.alpn = vec![b"http/1.1".to_vec()];
    Security::Tls(ServerTls::load(&options).unwrap())
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    pub(crate) fn of(collector: &Collector) -> Self {
        Self::to(collector.web_addr().unwrap())
    }

    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        // Whoever has had enough of us may have closed already.
        let _ = self.0.write_all(bytes.as_ref());
        self
    }

    /// One answer, by its `Content-Length`.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap_or_else(|error| {
                panic!("{error} after {:?}", String::from_utf8_lossy(&head));
            });
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        answer.body = String::from_utf8(body).unwrap();
        answer
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.say(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).answer()
    }

    /// True where the other side ends the connection without another word.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

/// The samples of `/metrics`, by name and labels as they stand there.
pub(crate) fn metrics(collector: &Collector) -> std::collections::BTreeMap<String, f64> {
    let answer = Client::of(collector).get("/metrics");
    assert_eq!(answer.status, 200);
    let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}
