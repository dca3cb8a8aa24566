//! From specs to a chain that runs.

use std::fmt;
use std::sync::Arc;

use townlet_schema::Kind;

use crate::chain::{Chain, Link, Role};
use crate::ensure::EnsureFields;
use crate::normalise::SnapshotNormalizer;
use crate::redact::{FieldPath, FieldPathError, RedactFields, Redaction};
use crate::spec::TransformSpec;
use crate::stats::Counters;
use crate::transform::Transform;
use crate::validate::{SchemaError, SchemaValidator, Validator, ValidatorMode};

/// Builds a [`Chain`].
///
/// - No spec at all stands for [`TransformSpec::default_pipeline`].
/// - Specs without any `redact_fields` get [`TransformSpec::default_redaction`] at their end, with a notice;
///   [`Self::without_redaction`] keeps it out, with a warning.
/// - Order is kept. A host's transform that comes after a redaction is moved before the first one, with a notice, so
///   that nothing can bring back what was taken.
#[derive(Default)]
pub struct ChainBuilder {
    entries: Vec<Entry>,
    redaction_off: bool,
}

enum Entry {
    Spec(TransformSpec),
    Host(Box<dyn Transform>),
}

/// Something about a chain that its owner should know. Logged when the chain is built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The pipeline named no redaction, so the default one was added.
    DefaultRedactionAdded,
    /// `transforms.redaction: off`: nothing is redacted unless the pipeline names it.
    RedactionOff,
    /// A host's transform was moved before the first redaction.
    Moved {
        /// Its id.
        id: String,
    },
}

impl Notice {
    /// True where it deserves a warning rather than a remark.
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::RedactionOff)
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DefaultRedactionAdded => f.write_str(
                "transforms.pipeline has no redact_fields, so the default redaction of policy_identity was added; \
                 `transforms.redaction: off` removes it",
            ),
            Self::RedactionOff => {
                f.write_str("transforms.redaction is off: policy_identity and everything else leave as they are")
            }
            Self::Moved { id } => {
                write!(f, "transform {id} comes after redact_fields; it runs before, so that all it adds is redacted")
            }
        }
    }
}

/// A chain that cannot be built. `index` counts the entries of `transforms.pipeline` from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A field path that cannot be read.
    #[error("transforms.pipeline[{index}].fields: {source}")]
    Field {
        /// Which entry.
        index: usize,
        /// What is wrong with it.
        source: FieldPathError,
    },
    /// An option that is empty, too long, or contradicts another entry.
    #[error("transforms.pipeline[{index}].{option}: {reason}")]
    Option {
        /// Which entry.
        index: usize,
        /// Its option.
        option: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A schema that cannot be used.
    #[error("transforms.pipeline[{index}].schemas: {source}")]
    Schema {
        /// Which entry.
        index: usize,
        /// What is wrong with it.
        source: SchemaError,
    },
}

impl ChainBuilder {
    /// A builder without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// A builder with the entries of `transforms.pipeline`.
    pub fn from_specs(specs: impl IntoIterator<Item = TransformSpec>) -> Self {
        specs.into_iter().fold(Self::new(), Self::spec)
    }

    /// Adds a built-in.
    #[must_use]
    pub fn spec(mut self, spec: TransformSpec) -> Self {
        self.entries.push(Entry::Spec(spec));
        self
    }

    /// Adds a host's transform at this place.
    #[must_use]
    pub fn host(mut self, transform: Box<dyn Transform>) -> Self {
        self.entries.push(Entry::Host(transform));
        self
    }

    /// `transforms.redaction: off`: leaves out the default redaction. Redactions that the pipeline names stay.
    #[must_use]
    pub fn without_redaction(mut self) -> Self {
        self.redaction_off = true;
        self
    }

    /// Builds the chain; its notices are logged.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn build(self) -> Result<Chain, BuildError> {
        self.build_with_notices().map(|(chain, _)| chain)
    }

    /// Builds the chain and gives its notices, which are logged as well.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn build_with_notices(self) -> Result<(Chain, Vec<Notice>), BuildError> {
        let mut notices = Vec::new();
        let entries = self.completed(&mut notices);
        let mut parts = Parts::default();
        for (index, entry) in entries.into_iter().enumerate() {
            match entry {
                Entry::Spec(spec) => parts.add(index, spec)?,
                Entry::Host(transform) => parts.add_host(transform, &mut notices),
            }
        }
        for notice in &notices {
            if notice.is_warning() {
                tracing::warn!(%notice, "telemetry_transform_notice");
            } else {
                tracing::info!(%notice, "telemetry_transform_notice");
            }
        }
        Ok((parts.chain(), notices))
    }

    /// The entries with what is there unless it is turned off.
    fn completed(self, notices: &mut Vec<Notice>) -> Vec<Entry> {
        let mut entries = self.entries;
        let named = |entry: &Entry| matches!(entry, Entry::Spec(TransformSpec::RedactFields { .. }));
        if !entries.iter().any(|entry| matches!(entry, Entry::Spec(_))) {
            // Hosts first: they come before redaction in any case.
            let off = self.redaction_off;
            let defaults = TransformSpec::default_pipeline().into_iter();
            entries.extend(defaults.map(Entry::Spec).filter(|entry| !(off && named(entry))));
        } else if !self.redaction_off && !entries.iter().any(named) {
            notices.push(Notice::DefaultRedactionAdded);
            entries.extend(TransformSpec::default_redaction().into_iter().map(Entry::Spec));
        }
        if self.redaction_off {
            notices.push(Notice::RedactionOff);
        }
        entries
    }
}

/// A chain under construction.
#[derive(Default)]
struct Parts {
    links: Vec<Link>,
    redactions: Vec<Arc<RedactFields>>,
    raising: Option<Arc<Validator>>,
    counters: Arc<Counters>,
}

impl Parts {
    fn push(&mut self, transform: impl Transform + 'static, role: Role) {
        self.links.push(Link { transform: Box::new(transform), role });
    }

    fn add(&mut self, index: usize, spec: TransformSpec) -> Result<(), BuildError> {
        let refuse = |option, reason| Err(BuildError::Option { index, option, reason });
        match spec {
            TransformSpec::SnapshotNormalizer => {
                self.push(SnapshotNormalizer::new(Arc::clone(&self.counters)), Role::Changes);
            }
            TransformSpec::RedactFields { fields, .. } if fields.is_empty() => {
                return refuse("fields", "names no field");
            }
            TransformSpec::RedactFields { kinds, .. } if kinds.is_empty() => return refuse("kinds", "names no kind"),
            TransformSpec::RedactFields { fields, kinds, action } => self.redact(index, &fields, kinds, action)?,
            TransformSpec::EnsureFields { required_fields_by_kind, default_required_fields } => {
                let mut names = required_fields_by_kind.values().flatten().chain(&default_required_fields);
                if names.any(|name| name.split('.').any(str::is_empty)) {
                    return refuse("required_fields_by_kind", "has an empty name");
                }
                self.push(EnsureFields::new(required_fields_by_kind, default_required_fields), Role::Checks);
            }
            TransformSpec::SchemaValidator { schemas, mode } => {
                let validator = Validator::new(&schemas).map_err(|source| BuildError::Schema { index, source })?;
                match mode {
                    ValidatorMode::Raise if self.raising.is_some() => {
                        return refuse("mode", "is `raise` twice; put all schemas into one schema_validator");
                    }
                    ValidatorMode::Raise => self.raising = Some(Arc::new(validator)),
                    ValidatorMode::Drop | ValidatorMode::Warn => {
                        let (warn_only, counters) = (mode == ValidatorMode::Warn, Arc::clone(&self.counters));
                        self.push(SchemaValidator { validator, warn_only, counters }, Role::Checks);
                    }
                }
            }
        }
        Ok(())
    }

    fn redact(
        &mut self,
        index: usize,
        fields: &[String],
        kinds: Vec<Kind>,
        action: Redaction,
    ) -> Result<(), BuildError> {
        let paths = fields.iter().map(|field| FieldPath::parse(field)).collect::<Result<Vec<_>, _>>();
        let paths = paths.map_err(|source| BuildError::Field { index, source })?;
        let too_many = "has more than 128 levels in all; split it into several redact_fields";
        let redaction = RedactFields::new(paths, kinds, action).ok_or(BuildError::Option {
            index,
            option: "fields",
            reason: too_many,
        })?;
        let redaction = Arc::new(redaction);
        self.redactions.push(Arc::clone(&redaction));
        self.push(redaction, Role::Redacts);
        Ok(())
    }

    fn add_host(&mut self, transform: Box<dyn Transform>, notices: &mut Vec<Notice>) {
        let first = self.links.iter().position(|link| link.role == Role::Redacts);
        if first.is_some() {
            notices.push(Notice::Moved { id: transform.id().to_owned() });
        }
        self.links.insert(first.unwrap_or(self.links.len()), Link { transform, role: Role::Changes });
    }

    fn chain(self) -> Chain {
        Chain { links: self.links, redactions: self.redactions.into(), raising: self.raising, counters: self.counters }
    }
}
