//! Wire types of the townlet stream.
//!
//! **What it is.** The types of every line that the pipeline sends, with the
//! envelope around them; one encoder and one reader for them; JSON Schemas made
//! from the types; and readers for every older version of the stream, so that
//! recordings stay readable.
//!
//! **What it is not.** It knows no queue, no transport and no I/O. It computes no
//! structural diffs and redacts nothing.
//!
//! # Guarantees
//! - Equal values give equal bytes: structs in the order of their declaration,
//!   free-form maps sorted, whatever features of serde_json a host turns on.
//! - No NaN and no infinity is written: [`encode_into`] fails with
//!   [`EncodeErrorKind::NonFinite`] and leaves the buffer as it was.
//! - No input makes a reader panic or recurse deeper than [`MAX_DEPTH`]. Lines
//!   are at most [`MAX_LINE_BYTES`] long. Errors name the field and the reason,
//!   or the byte.
//! - What a legacy line says is kept: reading and writing it loses no field.
//! - [`HeapSize`] of a payload lies within 20 % of what the allocator was asked for.
//!
//! # Wire
//! One JSON object a line, UTF-8: the envelope ([`Envelope`], keys
//! [`ENVELOPE_KEYS`]), then the fields of the body, flat. `payload_type` is the
//! [`Kind`] of the body.
//!
//! # Example
//! ```
//! use townlet_schema::snapshot::QueueMetrics;
//! use townlet_schema::{Kind, LineExtra, LinePrefix, Record, RunId, SchemaVersion, Snapshot, encode_into, read_record};
//!
//! let queue_metrics = QueueMetrics { ghost_step_events: 2, ..QueueMetrics::default() };
//! let snapshot = Snapshot { queue_metrics, ..Snapshot::default() };
//!
//! let (mut body, mut line) = (Vec::new(), Vec::new());
//! encode_into(&snapshot, &mut body)?;
//! let run = RunId::from_u128(1);
//! let prefix = LinePrefix::new(SchemaVersion::CURRENT, Kind::Snapshot, &run, "town");
//! prefix.write_line(1, 40, LineExtra::default(), &body, &mut line);
//!
//! assert_eq!(read_record(&line)?, Record::Snapshot(Box::new(snapshot)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod console;
mod diff;
mod encode;
mod error;
mod event;
mod head;
mod health;
mod heap;
mod json;
mod kind;
pub mod legacy;
mod line;
mod narration;
pub mod observation;
mod payload;
mod record;
mod run;
mod run_id;
mod schemas;
mod section;
pub mod snapshot;
mod status;
mod version;

pub use client::{Applied, ClientError, ClientState};
pub use console::{ConsoleCommand, ConsoleError, ConsoleMode, ConsoleOutcome, ConsoleResult};
pub use diff::{Diff, Patch, PatchError, StateDiff};
pub use encode::{MAX_DEPTH, encode_body_into, encode_into};
pub use error::{EncodeError, EncodeErrorKind, ReadError, ReadErrorKind};
pub use event::{
    Event, EventPayload, EventRecord, PolicyAnnealUpdate, PolicyDetails, PolicyMetadata, PolicyPossession,
    RivalryEvents, StabilityUpdate,
};
pub use head::{HeadReader, LineHead, read_head};
pub use health::{Failure, FailureSummary, Health, HealthSummary, TransportHealth, WorkerHealth};
pub use heap::HeapSize;
pub use json::{Json, MAX_LINE_BYTES, NonFinite, Number, Object};
pub use kind::{Kind, KindError};
pub use line::{ENVELOPE_KEYS, LineExtra, LinePrefix, OpenLine};
pub use narration::NarrationRecord;
pub use observation::ObservationEnvelope;
pub use payload::Payload;
pub use record::{Envelope, Line, Record, read_line, read_record};
pub use run::RunMarker;
pub use run_id::{RunId, RunIdError};
pub use schemas::{bundled_schema, json_schemas};
pub use section::{Section, SectionClass};
pub use snapshot::Snapshot;
pub use status::{DeadLetterCounts, TransportStatus};
pub use version::{Compatibility, SchemaVersion, VersionError};
