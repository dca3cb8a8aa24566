//! A client that speaks gRPC, and one that says on HTTP/2 whatever it likes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use townlet_collector::grpc::GrpcOptions;
use townlet_collector::otlp::Signal;
use townlet_collector::{Collector, CollectorOptions, Security};
use townlet_tls::ClientTls;

use crate::support::*;
use crate::web_support::web_options;

pub(crate) const LOGS: &str = include_str!("../../../townlet-transport-otlp/tests/data/logs.json");

/// Plaintext on loopback.
pub(crate) fn grpc_options() -> GrpcOptions {
    GrpcOptions::new(anywhere(), Security::PlaintextOnLoopback)
}

/// With a web listener beside it, for its metrics.
pub(crate) fn with_grpc(dir: &Path, grpc: GrpcOptions) -> Collector {
    let options = CollectorOptions { max_line_bytes: 1 << 20, ..plain(dir) };
    Collector::bind(options.with_web(web_options()).with_grpc(grpc)).unwrap()
}

/// The example of the specification: one record.
pub(crate) fn one_log() -> Vec<u8> {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    serde_json::from_str::<ExportLogsServiceRequest>(LOGS).unwrap().encode_to_vec()
}

pub(crate) fn framed(compressed: bool, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[u8::from(compressed)], &length[..], message].concat()
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) http: u16,
    /// Of gRPC; none where the answer was not one.
    pub(crate) code: Option<u32>,
    pub(crate) said: String,
    /// Of `RetryInfo`, in seconds.
    pub(crate) retry_after: Option<u8>,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Caller {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<ClientTls>,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Caller {
    pub(crate) fn of(collector: &Collector) -> Self {
        let headers = vec![("content-type", "application/grpc".to_owned()), ("te", "trailers".to_owned())];
        let path = Signal::Logs.method().to_owned();
        Self { address: collector.grpc_addr().unwrap(), tls: None, method: "POST", path, headers }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn to(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }

    pub(crate) fn call(&self, body: &[u8]) -> Ended {
        self.try_call(body).unwrap()
    }

    pub(crate) fn try_call(&self, body: &[u8]) -> Result<Ended, Box<dyn std::error::Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let talk = async {
            let socket = tokio::net::TcpStream::connect(self.address).await?;
            match &self.tls {
                None => self.exchange(TokioIo::new(socket), "http", body).await,
                Some(tls) => {
                    let connector = tokio_rustls::TlsConnector::from(tls.config().clone());
                    let stream = connector.connect("localhost".try_into()?, socket).await?;
                    self.exchange(TokioIo::new(stream), "https", body).await
                }
            }
        };
        runtime.block_on(async { tokio::time::timeout(PATIENCE, talk).await? })
    }

    async fn exchange<I>(&self, io: I, scheme: &str, body: &[u8]) -> Result<Ended, Box<dyn std::error::Error>>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        let uri = format!("{scheme}://localhost:{}{}", self.address.port(), self.path);
        let mut request = Request::builder().method(self.method).uri(uri);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let answer = sender.send_request(request.body(Full::new(Bytes::copy_from_slice(body)))?).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or(head.headers);
        let text = |name: &str| trailers.get(name).map(|value| value.to_str().unwrap().to_owned());
        Ok(Ended {
            http: head.status.as_u16(),
            code: text("grpc-status").map(|code| code.parse().unwrap()),
            said: text("grpc-message").unwrap_or_default(),
            retry_after: retry_after(&trailers),
            body: body.to_bytes().to_vec(),
        })
    }
}

/// The seconds of `RetryInfo`, which stand at the end of both of its trailers.
fn retry_after(trailers: &HeaderMap) -> Option<u8> {
    let last = |name: &str| {
        let bytes = STANDARD_NO_PAD.decode(trailers.get(name)?.as_bytes()).unwrap();
        assert!(bytes.ends_with(&[0x0a, 0x02, 0x08, *bytes.last().unwrap()]), "{bytes:?}");
        bytes.last().copied()
    };
    let (one, other) = (last("grpc-status-details-bin"), last("google.rpc.retryinfo-bin"));
    assert_eq!(one, other);
    one
}

/// HTTP/2 by hand: frames go out as they are given.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    /// A connection without a word on it.
    pub(crate) fn to(collector: &Collector) -> Self {
        let socket = TcpStream::connect(collector.grpc_addr().unwrap()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The beginning of HTTP/2, and a call whose message is still to come.
    pub(crate) fn calling(collector: &Collector) -> Self {
        let mut raw = Self::to(collector);
        raw.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").frame(4, 0, 0, b"");
        raw.head(1);
        raw
    }

    /// The head of a call.
    pub(crate) fn head(&mut self, stream: u32) -> &mut Self {
        let mut head = Vec::new();
        for (name, value) in [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "localhost"),
            (":path", Signal::Logs.method()),
            ("content-type", "application/grpc"),
        ] {
            // A literal without indexing, name and value as they are (RFC 7541, section 6.2.2).
            head.push(0);
            for text in [name, value] {
                head.push(u8::try_from(text.len()).unwrap());
                head.extend_from_slice(text.as_bytes());
            }
        }
        self.frame(1, 0x4, stream, &head)
    }

    pub(crate) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> &mut Self {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.say(&[&length[1..], &[kind, flags], &stream.to_be_bytes()[..], payload].concat())
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) -> &mut Self {
        // Whoever has had enough of us may have closed already.
        let _ = self.0.write_all(bytes);
        self
    }

    /// Reads until a frame of this kind comes, and gives its stream and payload.
    pub(crate) fn until(&mut self, kind: u8) -> (u32, Vec<u8>) {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut payload).unwrap();
            if head[3] == kind {
                return (u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload);
            }
        }
    }

    /// Reads until the other side ends the connection.
    pub(crate) fn until_closed(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        match self.0.read_to_end(&mut heard) {
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                panic!("still open after {heard:?}")
            }
            _ => heard,
        }
    }
}
