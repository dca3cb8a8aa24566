//! The thread that owns the HTTP client.
//!
//! The client is asynchronous, and dropping it waits for whatever it is stuck in, such
//! as a resolver. So it lives and dies on this thread, in a runtime of its own, and
//! callers wait for answers by their own deadline, hosts with a runtime as others.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use townlet_transport::{ErrorKind, TransportError};

use crate::credentials::Pass;
use crate::{Answer, Target, failure, headers};

/// An unused connection is closed before most servers do (60 s and more), so that
/// a request rarely meets one that is just being closed.
const IDLE: Duration = Duration::from_secs(30);

/// The client keeps to its own time limit; only where that fails is it left alone.
const GRACE: Duration = Duration::from_millis(100);

/// A connection is kept only where the rest of the answer is short, and comes soon: the next
/// request waits behind it.
const MAX_REST: usize = 64 * 1024;
const REST: Duration = Duration::from_millis(100);

/// One `POST`.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where it goes: the poster's target, or another path there.
    pub target: Arc<Target>,
    /// The body.
    pub body: Bytes,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its `Content-Encoding`.
    pub encoding: Option<&'static str>,
    /// `Idempotency-Key`, without the quotes around it: visible ASCII.
    pub key: Option<String>,
    /// `Accept`.
    pub accept: Option<&'static str>,
    /// How much of the answer's body is wanted, in bytes; 0 where nobody reads it.
    pub answer_limit: u64,
}

/// A request on its way to the thread.
pub(crate) struct Parcel {
    /// Without it a `GET`, which leaves out body, type and encoding.
    pub(crate) is_post: bool,
    pub(crate) request: Request,
    pub(crate) pass: Option<Pass>,
    pub(crate) deadline: Instant,
}

type Reply = Result<Answer, TransportError>;

/// A handle to the thread. The thread ends, and its connections with it, when
/// this is dropped and the request under way is over.
#[derive(Debug)]
pub(crate) struct Courier {
    parcels: UnboundedSender<(Parcel, SyncSender<Reply>)>,
}

impl Courier {
    /// Starts the thread. `tls` is none for plaintext.
    pub(crate) fn start(
        target: Arc<Target>,
        tls: Option<Arc<ClientConfig>>,
        connect_timeout: Duration,
    ) -> Result<Self, TransportError> {
        let failed = |error| TransportError::from_io("starting a thread for HTTP", error);
        let (parcels, received) = unbounded_channel();
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let thread = std::thread::Builder::new().name("telemetry-http".into());
        thread
            .spawn(move || {
                runtime.block_on(run(&target, tls, connect_timeout, received));
                // A resolver may be stuck; nobody waits for it.
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Self { parcels })
    }

    /// Posts one parcel. Returns soon after its deadline, whatever happens; after
    /// an error of the kind [`ErrorKind::Timeout`] the thread may still be stuck.
    pub(crate) fn post(&self, parcel: Parcel, target: &Target) -> Reply {
        let (answer, answered) = mpsc::sync_channel(1);
        let left = parcel.deadline.saturating_duration_since(Instant::now());
        let ended = || {
            let message = format!("the HTTP client for {} ended unexpectedly; it is started again", target.shown());
            TransportError::new(ErrorKind::Disconnected, message)
        };
        self.parcels.send((parcel, answer)).map_err(|_| ended())?;
        match answered.recv_timeout(left.saturating_add(GRACE)) {
            Ok(reply) => reply,
            Err(RecvTimeoutError::Timeout) => Err(failure::overdue(target)),
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
        }
    }
}

async fn run(
    target: &Target,
    tls: Option<Arc<ClientConfig>>,
    connect_timeout: Duration,
    mut received: UnboundedReceiver<(Parcel, SyncSender<Reply>)>,
) {
    let client = client(target, tls, connect_timeout);
    while let Some((parcel, answer)) = received.recv().await {
        let limit = parcel.request.answer_limit;
        let response = match &client {
            Ok(client) => send(client, parcel).await,
            Err(message) => Err(TransportError::new(ErrorKind::Misconfigured, message.clone())),
        };
        // Where nobody waits any more, the next one will not be sent here either.
        match response {
            Ok(mut response) => {
                let read = read(&mut response, limit).await;
                let _ = answer.send(Ok(read));
                // A long or slow rest ends with its connection.
                let _ = timeout(REST, take(&mut response, MAX_REST)).await;
            }
            Err(error) => {
                let _ = answer.send(Err(error));
            }
        }
    }
}

fn client(target: &Target, tls: Option<Arc<ClientConfig>>, connect_timeout: Duration) -> Result<Client, String> {
    let builder = Client::builder()
        .user_agent(concat!("townlet-telemetry/", env!("CARGO_PKG_VERSION")))
        // Followed as a GET, a redirect would look like a success and lose the body.
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(1)
        .tcp_nodelay(true);
    let builder = match tls {
        Some(config) => builder.https_only(true).tls_backend_preconfigured(ClientConfig::clone(&config)),
        None => {
            // A proxy would carry the bytes off this machine, and so would a name that leads elsewhere.
            let port = target.endpoint().port();
            let here = [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))];
            builder
                .no_proxy()
                .resolve_to_addrs(&target.endpoint().host().to_ascii_lowercase(), &here)
                .tls_backend_preconfigured(nobody()?)
        }
    };
    builder.build().map_err(|error| format!("the HTTP client cannot be made: {}", failure::chain(&error.without_url())))
}

/// Trusts nobody. Without any configuration the client would look for the
/// process's crypto provider, and panic where there is none.
fn nobody() -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS is not available: {error}"))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

async fn send(client: &Client, parcel: Parcel) -> Result<Response, TransportError> {
    let Parcel { is_post, request, pass, deadline } = parcel;
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(failure::overdue(&request.target));
    }
    let url = request.target.url().clone();
    let mut post = match is_post {
        true => client.post(url).header(CONTENT_TYPE, request.content_type),
        false => client.get(url),
    };
    post = post.timeout(left);
    if let Some(key) = &request.key {
        // A string of RFC 8941, as the draft of the header asks.
        post = post.header(HeaderName::from_static("idempotency-key"), format!("\"{key}\""));
    }
    if let Some(encoding) = request.encoding {
        post = post.header(CONTENT_ENCODING, encoding);
    }
    if let Some(accept) = request.accept {
        post = post.header(ACCEPT, accept);
    }
    post = match &pass {
        Some(Pass::Bearer(token)) => post.bearer_auth(token.reveal()),
        Some(Pass::Basic(user, password)) => post.basic_auth(user, Some(password.reveal())),
        // Read from the text each time, so that no copy of it stays.
        Some(Pass::Headers(text)) => {
            let all = headers::pairs(text.reveal()).unwrap_or_default();
            all.into_iter().try_fold(post, |post, (name, secret)| {
                let mut value = HeaderValue::from_str(secret.reveal()).map_err(|_| unsendable(&request.target))?;
                value.set_sensitive(true);
                Ok(post.header(name, value))
            })?
        }
        None => post,
    };
    if is_post {
        post = post.body(request.body);
    }
    post.send().await.map_err(|error| failure::of(error, &request.target))
}

fn unsendable(target: &Target) -> TransportError {
    let message = format!("a header for {} has what no header can carry", target.shown());
    TransportError::new(ErrorKind::Misconfigured, message)
}

async fn read(response: &mut Response, limit: u64) -> Answer {
    let headers = response.headers();
    let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let mut answer = Answer::status(response.status().as_u16());
    (answer.retry_after, answer.date) = (text(RETRY_AFTER), text(DATE));
    (answer.location, answer.content_type) = (text(LOCATION), text(CONTENT_TYPE));
    if limit > 0 {
        answer.body = take(response, usize::try_from(limit).unwrap_or(usize::MAX)).await.map(Bytes::from);
    }
    answer
}

/// What is left of an answer; none where that is more than `limit` bytes, or does not come. Read to its end, its
/// connection can be used again.
async fn take(response: &mut Response, limit: usize) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.ok()? {
        if piece.len() > limit - body.len() {
            return None;
        }
        body.extend_from_slice(&piece);
    }
    Some(body)
}
