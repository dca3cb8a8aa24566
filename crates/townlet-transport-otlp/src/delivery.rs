//! One request: encode, compress, post, judge.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use prost::Message;
use serde::Serialize;
use townlet_http::{Poster, Request, Target, gzip};
use townlet_transport::{Compression, ErrorKind, TransportError};

use crate::losses::Signal;
use crate::options::{Encoding, OtlpOptions};
use crate::verdict::{Verdict, judge};
use crate::wire::MAX_ANSWER;

/// Where and how the three signals go.
pub(crate) struct Delivery {
    poster: Poster,
    targets: [Arc<Target>; 3],
    encoding: Encoding,
    compression: Compression,
    max_bytes: usize,
}

/// What became of one request.
pub(crate) struct Sent {
    pub(crate) verdict: Verdict,
    /// Of the body, compressed where it is; 0 where it was not sent.
    pub(crate) bytes: u64,
    pub(crate) status: Option<u16>,
}

impl Delivery {
    pub(crate) fn new(options: &OtlpOptions) -> Result<Self, TransportError> {
        let below = |signal: Signal| Arc::new(options.target.below(signal.path()));
        Ok(Self {
            poster: Poster::new(options.post())?,
            targets: [below(Signal::Logs), below(Signal::Metrics), below(Signal::Traces)],
            encoding: options.encoding,
            compression: options.compression,
            max_bytes: options.max_request_bytes,
        })
    }

    pub(crate) fn poster(&mut self) -> &mut Poster {
        &mut self.poster
    }

    pub(crate) fn target(&self, signal: Signal) -> &Arc<Target> {
        &self.targets[signal as usize]
    }

    /// # Errors
    /// Where there was no answer.
    pub(crate) fn send<M: Message + Serialize>(
        &mut self,
        signal: Signal,
        message: &M,
        deadline: Instant,
    ) -> Result<Sent, TransportError> {
        let target = Arc::clone(self.target(signal));
        let wrong = |error: serde_json::Error| {
            TransportError::with_source(ErrorKind::Misconfigured, "a message cannot be written as JSON", error)
        };
        let body: Bytes = self.encoding.encode(message).map_err(wrong)?.into();
        if body.len() > self.max_bytes {
            let message = format!("a request of {} bytes for {} is above the limit", body.len(), target.shown());
            let verdict = Verdict::TooMuch(TransportError::new(ErrorKind::TooLarge, message));
            return Ok(Sent { verdict, bytes: 0, status: None });
        }
        let (body, encoding) = match self.compression {
            Compression::Gzip => {
                let failed = |error| TransportError::from_io("compressing a batch", error);
                (gzip([body.as_ref()]).map_err(failed)?, Some("gzip"))
            }
            _ => (body, None),
        };
        let bytes = body.len() as u64;
        let request = Request {
            target: Arc::clone(&target),
            body,
            content_type: self.encoding.content_type(),
            encoding,
            key: None,
            accept: Some(self.encoding.content_type()),
            answer_limit: MAX_ANSWER,
        };
        let answer = self.poster.post(request, deadline)?;
        let verdict = match judge(&answer, &target, SystemTime::now()) {
            // The token was renewed between our last look and this request.
            Verdict::Refused(_) if matches!(answer.status, 401 | 403) && self.poster.reread_credentials() => {
                let message =
                    format!("{} answered {}: retried with renewed credentials", target.shown(), answer.status);
                Verdict::Later(TransportError::new(ErrorKind::Unavailable, message))
            }
            verdict => verdict,
        };
        Ok(Sent { verdict, bytes, status: Some(answer.status) })
    }
}
