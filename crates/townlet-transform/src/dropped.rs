//! Why a record did not pass.

use std::borrow::Cow;
use std::fmt;

use townlet_schema::{EncodeError, EncodeErrorKind, ReadError, ReadErrorKind};

use crate::limits::MAX_BODY_BYTES;

/// What a drop is counted under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// A field that `ensure_fields` requires is absent.
    MissingFields,
    /// The body breaks its JSON Schema.
    SchemaInvalid,
    /// The body is not one well-formed JSON object: bad syntax, lone surrogates, a member named twice, nesting
    /// deeper than [`MAX_DEPTH`](crate::MAX_DEPTH), an envelope field inside.
    InvalidPayload,
    /// A NaN or an infinity, which JSON cannot say.
    NonFinite,
    /// The body is larger than [`MAX_BODY_BYTES`].
    Oversize,
    /// A host's own transform refused it; the name is the host's.
    Transform(Cow<'static, str>),
}

impl DropReason {
    /// The name in status, metrics and the ledger.
    pub fn as_str(&self) -> &str {
        match self {
            Self::MissingFields => "missing_fields",
            Self::SchemaInvalid => "schema_invalid",
            Self::InvalidPayload => "invalid_payload",
            Self::NonFinite => "non_finite",
            Self::Oversize => "oversize",
            Self::Transform(name) => name,
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A record that did not pass: the reason to count, and a detail for the log.
///
/// The detail names fields and positions, never a value: it may be printed before redaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Dropped {
    /// What to count it under.
    pub reason: DropReason,
    /// What was wrong, and where.
    pub detail: String,
}

impl Dropped {
    /// A drop for `reason`; `detail` must name no value.
    pub fn new(reason: DropReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    pub(crate) fn oversize(len: usize) -> Self {
        Self::new(DropReason::Oversize, format!("a body of {len} bytes; at most {MAX_BODY_BYTES} can be sent"))
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(DropReason::InvalidPayload, detail)
    }
}

impl From<EncodeError> for Dropped {
    fn from(error: EncodeError) -> Self {
        let reason = match error.kind() {
            EncodeErrorKind::NonFinite => DropReason::NonFinite,
            EncodeErrorKind::TooLarge => DropReason::Oversize,
            _ => DropReason::InvalidPayload,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<ReadError> for Dropped {
    fn from(error: ReadError) -> Self {
        let reason = match error.kind() {
            ReadErrorKind::NumberRange => DropReason::NonFinite,
            ReadErrorKind::TooLarge => DropReason::Oversize,
            _ => DropReason::InvalidPayload,
        };
        Self::new(reason, error.to_string())
    }
}
