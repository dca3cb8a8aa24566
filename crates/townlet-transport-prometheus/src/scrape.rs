//! The endpoint that a Prometheus fetches the figures from: HTTP/1.1, one request
//! a connection, a bounded number of them, each within a bounded time.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use townlet_transport::{ErrorKind, TransportError};

use crate::exposition::MEDIA_TYPE;
use crate::options::ScrapeOptions;
use crate::request::{self, Verdict};

/// Figures are read at most so often, however many ask: reading takes a lock
/// that emitting hosts need.
const FRESH: Duration = Duration::from_millis(100);

/// The pause after the system refused a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a client that was answered, or turned away, may take to notice.
const FAREWELL: Duration = Duration::from_millis(200);

/// What makes the text that is served.
pub(crate) type Source = Box<dyn Fn() -> Result<String, TransportError> + Send + Sync>;

/// An endpoint that answers until this is dropped.
pub(crate) struct Scrape {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    options: ScrapeOptions,
    source: Source,
    text: Mutex<Option<(Instant, Arc<str>)>>,
    open: AtomicUsize,
    stop: AtomicBool,
}

impl Scrape {
    pub(crate) fn start(options: ScrapeOptions, source: Source) -> Result<Self, TransportError> {
        let fail = |error: io::Error| {
            let message = format!("listening for scrapes on {}: {error}", options.listen);
            TransportError::with_source(ErrorKind::Unavailable, message, error)
        };
        let listener = TcpListener::bind(options.listen).map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let shared = Arc::new(Shared {
            options: options.clone(),
            source,
            text: Mutex::default(),
            open: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        let acceptor = thread::Builder::new().name("telemetry-scrape".into());
        let acceptor = acceptor.spawn(move || accept(&served, &listener)).map_err(fail)?;
        tracing::info!(%address, token = options.token.is_some(), "telemetry_prometheus_listening");
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Scrape {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // It waits for a connection: it gets one.
        let woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let (Ok(_), Some(acceptor)) = (woken, self.acceptor.take()) {
            let _ = acceptor.join();
        }
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").field("address", &self.address).finish_non_exhaustive()
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    while !shared.stop.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok(_) if shared.stop.load(Ordering::SeqCst) => return,
            Ok((stream, _)) => admit(shared, stream),
            Err(error) => {
                // Out of descriptors, perhaps: what waits stays in the queue.
                tracing::warn!(%error, "telemetry_prometheus_accept");
                thread::park_timeout(PAUSE);
            }
        }
    }
}

fn admit(shared: &Arc<Shared>, stream: TcpStream) {
    let place = Place(Arc::clone(shared));
    if shared.open.fetch_add(1, Ordering::SeqCst) >= shared.options.max_connections {
        return turn_away(stream);
    }
    let spawned = thread::Builder::new().name("telemetry-scraped".into()).spawn(move || {
        // A client that goes away is its own affair.
        let _ = serve(&place.0, stream);
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "telemetry_prometheus_accept");
    }
}

/// One of the connections that may be open; counted when it was made, given back when it goes.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A short answer, for which nobody waits.
fn turn_away(mut stream: TcpStream) {
    let answer =
        response("503 Service Unavailable", "Retry-After: 1\r\n", "text/plain", "too many scrapes at a time\n", true);
    let sent = stream.set_write_timeout(Some(FAREWELL)).and_then(|()| stream.write_all(answer.as_bytes()));
    let _ = sent.and_then(|()| stream.shutdown(Shutdown::Write));
}

fn serve(shared: &Shared, mut stream: TcpStream) -> io::Result<()> {
    let deadline = Instant::now() + shared.options.timeout;
    let answer = match read_head(&mut stream, deadline)? {
        Some(head) => answer(shared, &head),
        None => plain("431 Request Header Fields Too Large", ""),
    };
    write_all(&mut stream, answer.as_bytes(), deadline)?;
    // Closed with something unread, the connection would be reset, and the answer lost on its way.
    stream.shutdown(Shutdown::Write)?;
    let farewell = Instant::now() + FAREWELL;
    let mut rest = [0; 1024];
    while let Ok(wait) = left(farewell) {
        stream.set_read_timeout(Some(wait))?;
        if stream.read(&mut rest)? == 0 {
            break;
        }
    }
    Ok(())
}

/// The head of the request; none where it is too long.
fn read_head(stream: &mut TcpStream, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !request::is_whole(&head) {
        if head.len() > request::LONGEST {
            return Ok(None);
        }
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => head.extend_from_slice(&piece[..n]),
        }
    }
    Ok(Some(head))
}

/// Writes all of it by the deadline: a client that takes a little now and then gets no more time.
fn write_all(stream: &mut TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn answer(shared: &Shared, head: &[u8]) -> String {
    match request::judge(head, shared.options.token.as_ref()) {
        Verdict::Metrics { body } => match shared.text() {
            Ok(text) => response("200 OK", "", MEDIA_TYPE, &text, body),
            Err(error) => {
                tracing::error!(%error, "telemetry_prometheus_text");
                plain("500 Internal Server Error", "")
            }
        },
        Verdict::BadRequest => plain("400 Bad Request", ""),
        Verdict::Unauthorized => plain("401 Unauthorized", "WWW-Authenticate: Bearer\r\n"),
        Verdict::NotFound => plain("404 Not Found", ""),
        Verdict::MethodNotAllowed => plain("405 Method Not Allowed", "Allow: GET, HEAD\r\n"),
    }
}

fn plain(status: &str, headers: &str) -> String {
    response(status, headers, "text/plain", &format!("{status}\n"), true)
}

fn response(status: &str, headers: &str, media_type: &str, text: &str, body: bool) -> String {
    let length = text.len();
    let body = if body { text } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\n{headers}\r\n{body}"
    )
}

impl Shared {
    fn text(&self) -> Result<Arc<str>, TransportError> {
        let mut kept = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, text)) = &*kept
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(text));
        }
        let text: Arc<str> = (self.source)()?.into();
        *kept = Some((Instant::now(), Arc::clone(&text)));
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn a_client_that_takes_a_little_now_and_then_gets_no_more_time() {
        const SIZE: usize = 64 << 20;
        let timeout = Duration::from_secs(1);
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let options = ScrapeOptions { timeout, ..ScrapeOptions::new(listen) };
        let scrape = Scrape::start(options, Box::new(|| Ok("x".repeat(SIZE)))).unwrap();
        let mut client = TcpStream::connect(scrape.address()).unwrap();
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        // Without an end to its time, all of it would come in some three seconds.
        let mut piece = vec![0; 256 * 1024];
        let mut got = 0;
        while let Ok(read @ 1..) = client.read(&mut piece) {
            got += read;
            thread::park_timeout(Duration::from_millis(12));
        }
        assert!(got < SIZE, "{got} bytes came, however long that took");
    }
}
