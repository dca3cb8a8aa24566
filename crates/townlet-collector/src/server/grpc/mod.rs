//! The gRPC listener, see [`crate::grpc`].

mod access;
mod call;
mod connection;
mod listener;
mod message;
mod options;
mod place;
mod reply;
mod status;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::budget::Budget;
use super::certificates::Certificates;
pub(super) use listener::{Listening, start};
pub use options::GrpcOptions;

/// What the connections of the gRPC listener share.
pub(super) struct Grpc {
    pub(super) options: GrpcOptions,
    pub(super) certificates: Option<Arc<Certificates>>,
    /// Bytes of messages at a time.
    budget: Arc<Budget>,
    /// Calls by path and code: few, since both are.
    answers: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Grpc {
    pub(super) fn new(options: GrpcOptions, certificates: Option<Arc<Certificates>>) -> Self {
        let budget = Budget::new(options.max_bytes_in_flight);
        Self { options, certificates, budget, answers: Mutex::default() }
    }

    fn count(&self, path: &'static str, code: &'static str) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry((path, code)).or_default() += 1;
    }

    pub(super) fn answers(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes of messages that are held.
    pub(super) fn bytes_held(&self) -> usize {
        self.budget.used()
    }
}
