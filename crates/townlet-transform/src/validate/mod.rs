//! `schema_validator`: JSON Schema 2020-12, whole, on every record or on none of its kind.

mod bundled;
mod compile;
mod keywords;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use townlet_schema::Kind;

use self::compile::Compiled;
use crate::dropped::{DropReason, Dropped};
use crate::record::{Head, Record};
use crate::stats::Counters;
use crate::text::{Doc, scan};
use crate::transform::Transform;

pub(crate) use self::bundled::survives_removal_of;
pub use self::compile::{SchemaError, SchemaSource};

/// What happens to a record that breaks its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ValidatorMode {
    /// It is dropped and counted as `schema_invalid`.
    #[default]
    Drop,
    /// It passes; a warning is logged and counted.
    Warn,
    /// `emit` returns an error to its caller. The chain skips such a validator, see [`Chain::raising`].
    ///
    /// [`Chain::raising`]: crate::Chain::raising
    Raise,
}

/// A record that breaks its schema. Names the place and the rule, never a value: redaction may come later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} breaks schema {schema}: `{keyword}` at {place}")]
pub struct Violation {
    /// The record's kind.
    pub kind: Kind,
    /// The schema's file or name.
    pub schema: String,
    /// JSON pointer into the line, `/` for the whole of it.
    pub place: String,
    /// The keyword that is not met.
    pub keyword: String,
}

/// Why [`Validator::check`] refused a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// It breaks the schema.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// It is not a well-formed body to begin with.
    #[error(transparent)]
    Malformed(#[from] Dropped),
}

impl From<CheckError> for Dropped {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Violation(violation) => Dropped::new(DropReason::SchemaInvalid, violation.to_string()),
            CheckError::Malformed(dropped) => dropped,
        }
    }
}

/// Compiled schemas by kind. `Send + Sync`; a check allocates the index of the body and nothing else, and its
/// time is bounded by the size of body and schema.
pub struct Validator {
    by_kind: BTreeMap<Kind, Rule>,
}

enum Rule {
    Bundled,
    Own(Compiled),
}

impl Validator {
    /// Compiles `schemas`. Kinds that are not listed pass unchecked; an empty map means every kind by the bundled
    /// schemas.
    ///
    /// # Errors
    /// A file that cannot be read, text that is not JSON, a `$schema` other than 2020-12, a keyword that would check
    /// nothing, a `$ref` that leads out of the document, a schema that breaks its meta-schema.
    pub fn new(schemas: &BTreeMap<Kind, SchemaSource>) -> Result<Self, SchemaError> {
        if schemas.is_empty() || schemas.values().any(|source| *source == SchemaSource::Bundled) {
            bundled::prepare()?;
        }
        if schemas.is_empty() {
            return Ok(Self { by_kind: Kind::ALL.iter().map(|kind| (*kind, Rule::Bundled)).collect() });
        }
        let rule = |source: &SchemaSource| match source {
            SchemaSource::Bundled => Ok(Rule::Bundled),
            SchemaSource::Text { name, text } => Compiled::new(name, text.as_bytes()).map(Rule::Own),
            SchemaSource::File(path) => {
                let name = path.display().to_string();
                match std::fs::read(path) {
                    Ok(text) => Compiled::new(&name, &text).map(Rule::Own),
                    Err(source) => {
                        Err(SchemaError { name, reason: format!("cannot be read: {source}"), source: Some(source) })
                    }
                }
            }
        };
        let by_kind = schemas.iter().map(|(kind, source)| Ok((*kind, rule(source)?))).collect::<Result<_, _>>()?;
        Ok(Self { by_kind })
    }

    /// True where records of `kind` are checked at all.
    pub fn concerns(&self, kind: Kind) -> bool {
        self.by_kind.contains_key(&kind)
    }

    /// Checks the text of a body as it stands.
    ///
    /// # Errors
    /// The first rule that it breaks, or what keeps it from being a body at all.
    pub fn check(&self, head: &Head, body: &[u8]) -> Result<(), CheckError> {
        let Some(schema) = self.schema_for(head) else { return Ok(()) };
        let index = scan(body)?;
        // The scan has just found it to be UTF-8.
        let text = std::str::from_utf8(body).unwrap_or_default();
        violation(schema, head, Doc::new(text, &index)).map_err(CheckError::from)
    }

    /// Checks a record; one whose type proves the bundled schema passes it unread, and so does an event whose body
    /// begins with its name: the bundled schema asks for nothing else.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_record(&self, record: &mut Record) -> Result<(), CheckError> {
        match self.by_kind.get(&record.kind()) {
            None => return Ok(()),
            Some(Rule::Bundled) if record.is_proven() || record.opens_as_event() => return Ok(()),
            Some(_) => {}
        }
        let Some(schema) = self.schema_for(record.head()) else { return Ok(()) };
        let (head, doc) = record.indexed()?;
        violation(schema, head, doc).map_err(CheckError::from)
    }

    fn schema_for(&self, head: &Head) -> Option<&Compiled> {
        match self.by_kind.get(&head.kind)? {
            Rule::Own(compiled) => Some(compiled),
            Rule::Bundled => bundled::schema(head.kind, head.schema_version),
        }
    }
}

fn violation(schema: &Compiled, head: &Head, doc: Doc<'_>) -> Result<(), Violation> {
    schema.check(head, doc).map_err(|finding| Violation {
        kind: head.kind,
        schema: schema.name.clone(),
        place: if finding.place.is_empty() {
            "/".to_owned()
        } else {
            crate::visible::visible(&finding.place).into_owned()
        },
        keyword: finding.keyword,
    })
}

/// A validator as a step of the chain, in mode `drop` or `warn`.
pub(crate) struct SchemaValidator {
    pub(crate) validator: Validator,
    pub(crate) warn_only: bool,
    pub(crate) counters: Arc<Counters>,
}

impl Transform for SchemaValidator {
    fn id(&self) -> &str {
        "schema_validator"
    }

    fn concerns(&self, kind: Kind) -> bool {
        self.validator.concerns(kind)
    }

    fn apply(&mut self, record: &mut Record) -> Result<(), Dropped> {
        match self.validator.check_record(record) {
            Err(CheckError::Violation(violation)) if self.warn_only => {
                let count = self.counters.warned();
                // As with drops: the log gets the 1st, 2nd, 4th …, the counter all.
                if count.is_power_of_two() {
                    tracing::warn!(event_kind = %violation.kind, %violation, count, "telemetry_transform_schema_warning");
                }
                Ok(())
            }
            result => result.map_err(Dropped::from),
        }
    }
}
