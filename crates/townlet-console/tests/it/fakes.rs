//! A pipeline, a console on it, and raw connections.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use townlet_console::{Client, Console, ConsoleOptions, Endpoint, Shown, TapRequest, Tapped, Token};
use townlet_pipeline::{Backpressure, Options, SinkInfo, Telemetry};
use townlet_testkit::Script;
use townlet_transport::Transport;
use tracing_subscriber::fmt::MakeWriter;

/// How long a thread may take on a loaded machine before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const SECRET: &str = "tok-3b1c5a9e77f04d2e-planted";

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn token() -> Token {
    Token::new(SECRET).unwrap()
}

/// A lossless pipeline with one sink.
pub(crate) fn pipeline() -> (Telemetry, Script) {
    let script = Script::new();
    let sink = script.clone();
    let options = Options {
        max_queue_length: 10_000,
        max_buffer_bytes: 8 << 20,
        flush_interval_ticks: 0,
        flush_interval: ms(5),
        backpressure: Backpressure::Block,
        block_timeout: PATIENCE,
        ..Options::default()
    };
    let make = move || Ok(Box::new(sink.transport()) as Box<dyn Transport>);
    (Telemetry::builder().sink(options, SinkInfo::new("script"), make).start().unwrap(), script)
}

/// On a port of the system's choice, quick to refuse.
pub(crate) fn options() -> ConsoleOptions {
    let mut options = ConsoleOptions::new("tcp:127.0.0.1:0".parse().unwrap(), token());
    options.refusal_interval = ms(1);
    options
}

pub(crate) fn console(telemetry: &Telemetry) -> Console {
    Console::start(options(), telemetry.clone()).unwrap()
}

/// On a Unix socket in `folder`.
pub(crate) fn on_socket(telemetry: &Telemetry, path: &Path) -> Console {
    let mut options = options();
    options.endpoint = Endpoint::Unix(path.to_owned());
    Console::start(options, telemetry.clone()).unwrap()
}

pub(crate) fn client(console: &Console) -> Client {
    Client::connect(console.endpoint(), PATIENCE).unwrap()
}

pub(crate) fn tap(console: &Console, request: &TapRequest) -> Tapped {
    client(console).tap(&token(), request).unwrap()
}

pub(crate) fn next(tapped: &mut Tapped) -> Shown {
    tapped.next(PATIENCE).unwrap().unwrap()
}

/// What a tap shows until its end: lines, frames missed, the end's reason.
pub(crate) fn to_the_end(tapped: &mut Tapped) -> (Vec<Vec<u8>>, u64, String) {
    let (mut lines, mut gaps) = (Vec::new(), 0);
    loop {
        match next(tapped) {
            Shown::Line(line) => lines.push(line),
            Shown::Missed { frames, total } => {
                gaps += frames;
                assert_eq!(gaps, total);
            }
            Shown::End { reason, shown, missed } => {
                assert_eq!((shown, missed), (lines.len() as u64, gaps));
                return (lines, gaps, reason);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Waits until `ready` holds. The pause between looks is a courtesy to other threads, not a bet on time.
pub(crate) fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::park_timeout(ms(1));
    }
}

/// A connection without manners.
pub(crate) enum Raw {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Raw {
    pub(crate) fn connect(console: &Console) -> Self {
        match console.endpoint() {
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Self::Unix(stream)
            }
            Endpoint::Tcp(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Self::Tcp(stream)
            }
            other => panic!("{other}"),
        }
    }

    fn parts(&self) -> (Box<dyn Read + '_>, Box<dyn Write + '_>) {
        match self {
            Self::Unix(stream) => (Box::new(stream), Box::new(stream)),
            Self::Tcp(stream) => (Box::new(stream), Box::new(stream)),
        }
    }

    /// A console that closes early is not at fault.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let _ = self.parts().1.write_all(bytes);
    }

    pub(crate) fn close_writing(&self) {
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    /// The next line, as text; empty at the end.
    pub(crate) fn line(&self) -> String {
        let mut line = String::new();
        // Byte by byte: what follows belongs to the next call.
        BufReader::with_capacity(1, self.parts().0).read_line(&mut line).unwrap();
        line
    }

    /// Everything until the end, which may be an abrupt one.
    pub(crate) fn rest(&self) -> String {
        let mut all = Vec::new();
        let _ = self.parts().0.read_to_end(&mut all);
        String::from_utf8_lossy(&all).into_owned()
    }
}

/// Sends a line as it is and returns the first line of the answer.
pub(crate) fn asked(console: &Console, line: &str) -> Value {
    let raw = Raw::connect(console);
    raw.send(line.as_bytes());
    raw.send(b"\n");
    let answer = raw.line();
    serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e} in {answer:?}"))
}

/// A request with the right token and more members.
pub(crate) fn request(more: Value) -> String {
    let mut request = json!({"v": 1, "token": SECRET});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request.to_string()
}

pub(crate) fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or_else(|| panic!("no refusal: {answer}"))
}

/// What the whole process logs.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}
