//! The life of one connection, on the listener's own thread.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use townlet_tls::classify_io;

use super::call;
use super::place::{Place, Quiet};
use crate::report::{EndKind, Ending};
use crate::server::LOOK_AROUND;
use crate::server::connection::stopped;

/// What a peer may send ahead of what we have read: on a call, and on all of one
/// connection. Together with [`SEND_BUFFER`] it bounds what a connection holds beside
/// its messages, which have a budget.
const CALL_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;

/// What may wait to be sent on a call; our answers are small.
const SEND_BUFFER: usize = 16 * 1024;

/// How long a peer may take to leave that was asked to.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves `socket` until it ends, and says so at its place.
pub(super) async fn serve(place: Arc<Place>, socket: TcpStream) {
    let ending = match open(&place, socket).await {
        Ok(Opened::Plain(socket)) => talk(&place, socket).await,
        Ok(Opened::Tls(stream)) => talk(&place, *stream).await,
        Err(ending) => ending,
    };
    place.ends(ending);
}

enum Opened {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

/// Does the TLS handshake, where there are certificates.
async fn open(place: &Place, socket: TcpStream) -> Result<Opened, Ending> {
    let Some(certificates) = &place.grpc.certificates else { return Ok(Opened::Plain(socket)) };
    let deadline = Instant::now() + place.shared.options.handshake_timeout;
    let peer = place.slot.peer.to_string();
    let acceptor = TlsAcceptor::from(Arc::clone(certificates.current().config()));
    let accepting = pin!(acceptor.accept(socket));
    let handshake = watched(accepting, || {
        if place.shared.stop.is_asked() {
            return Err(stopped());
        }
        if Instant::now() >= deadline {
            let detail = format!("{peer} did not complete the TLS handshake in time");
            return Err(Ending { kind: EndKind::HandshakeTimeout, detail });
        }
        Ok(())
    });
    match handshake.await? {
        Ok(stream) => {
            place.slot.update(|report| report.tls = true);
            Ok(Opened::Tls(Box::new(stream)))
        }
        Err(error) => {
            let detail = classify_io(&peer, error).map_or_else(|error| error.to_string(), |error| error.to_string());
            Err(Ending { kind: EndKind::HandshakeFailed, detail })
        }
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(place: &Arc<Place>, socket: S) -> Ending {
    let options = &place.grpc.options;
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .initial_stream_window_size(CALL_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(options.max_calls_per_connection)
        .max_header_list_size(options.max_head_bytes)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(options.ping)
        .keep_alive_timeout(options.ping);
    let answering = Arc::clone(place);
    let service = service_fn(move |request| {
        let place = Arc::clone(&answering);
        async move { Ok::<_, Infallible>(call::serve(place, request).await) }
    });
    let mut talking = pin!(http.serve_connection(TokioIo::new(socket), service));
    // Asked to leave: until when, and why.
    let mut leaving: Option<(Instant, Ending)> = None;
    loop {
        if let Ok(ended) = timeout(LOOK_AROUND, talking.as_mut()).await {
            return match (leaving, ended) {
                (Some((_, ending)), _) => ending,
                (None, Ok(())) => Ending { kind: EndKind::PeerClosed, detail: "closed by the peer".to_owned() },
                (None, Err(error)) => broken(&error),
            };
        }
        let now = Instant::now();
        if place.shared.stop.is_overdue(now) {
            return stopped();
        }
        if let Some((until, _)) = &leaving {
            if now >= *until && place.quiet() != Quiet::Not {
                return leaving.map_or_else(stopped, |(_, ending)| ending);
            }
        } else if let Some(ending) = over(place, now) {
            talking.as_mut().graceful_shutdown();
            let patience = if ending.kind == EndKind::Stopped { LOOK_AROUND } else { FAREWELL };
            leaving = Some((now + patience, ending));
        }
    }
}

/// Why this connection has to end now.
fn over(place: &Place, now: Instant) -> Option<Ending> {
    let options = &place.grpc.options;
    if place.shared.stop.is_asked() {
        return Some(stopped());
    }
    match place.quiet() {
        Quiet::Not => None,
        Quiet::Since(since) => (now.duration_since(since) >= options.keep_alive)
            .then(|| Ending { kind: EndKind::Finished, detail: "no further call came".to_owned() }),
        Quiet::Ever(since) => (now.duration_since(since) >= options.first_call_timeout)
            .then(|| Ending { kind: EndKind::IdleTimeout, detail: "no call came".to_owned() }),
    }
}

/// By what a connection of HTTP/2 came to its end.
fn broken(error: &hyper::Error) -> Ending {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    let mut detail = error.to_string();
    while let Some(error) = source {
        if error.is::<io::Error>() {
            return Ending { kind: EndKind::Broken, detail: error.to_string() };
        }
        detail = error.to_string();
        source = error.source();
    }
    if error.is_timeout() {
        return Ending { kind: EndKind::Broken, detail: "the peer does not answer pings".to_owned() };
    }
    Ending { kind: EndKind::BadRequest, detail: format!("no HTTP/2: {detail}") }
}

/// Waits for `future`, and looks around every so often; ends early where that says so.
pub(super) async fn watched<F: Future, E>(
    mut future: Pin<&mut F>,
    mut look: impl FnMut() -> Result<(), E>,
) -> Result<F::Output, E> {
    loop {
        match timeout(LOOK_AROUND, future.as_mut()).await {
            Ok(done) => return Ok(done),
            Err(_) => look()?,
        }
    }
}
