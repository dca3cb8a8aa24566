//! The web listener, see [`crate::web`].

mod access;
mod connection;
mod encoding;
mod head;
mod idempotency;
mod inbound;
mod ingest;
mod metrics;
mod options;
mod response;
mod route;
mod router;
mod token;
mod ws;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use super::batch::Taken;
use super::budget::Budget;
use super::certificates::Certificates;
#[cfg(feature = "grpc")]
pub(super) use access::names_this_machine;
pub(super) use connection::serve;
use idempotency::Keys;
pub use options::WebOptions;
pub use response::Response;
pub use route::{Request, Route, RouteEntry};
pub use token::{BearerToken, TokenError};

/// What the connections of the web listener share.
pub(super) struct Web {
    pub(super) options: WebOptions,
    certificates: Option<Arc<Certificates>>,
    /// Bytes of bodies at a time.
    budget: Arc<Budget>,
    keys: Keys,
    /// Answers by endpoint and status: few, since both are.
    answers: Mutex<BTreeMap<(&'static str, u16), u64>>,
}

impl Web {
    pub(super) fn new(options: WebOptions, certificates: Option<Arc<Certificates>>) -> Self {
        let budget = Budget::new(options.max_bytes_in_flight);
        Self { options, certificates, budget, keys: Keys::default(), answers: Mutex::default() }
    }

    fn count(&self, endpoint: &'static str, status: u16) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry((endpoint, status)).or_default() += 1;
    }

    fn answers(&self) -> BTreeMap<(&'static str, u16), u64> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
