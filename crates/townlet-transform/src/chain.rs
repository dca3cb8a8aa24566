//! The chain: transforms in order, and the only way out of the process.

use std::fmt;
use std::sync::Arc;

use townlet_schema::{Kind, Object};

use crate::builder::ChainBuilder;
use crate::dropped::{DropReason, Dropped};
use crate::limits::MAX_BODY_BYTES;
use crate::record::{Head, Record};
use crate::redact::RedactFields;
use crate::stats::{ChainStats, Counters};
use crate::transform::Transform;
use crate::validate::Validator;

/// Ordered transforms. Made by [`ChainBuilder`]; runs on one thread.
pub struct Chain {
    pub(crate) links: Vec<Link>,
    pub(crate) redactions: Arc<[Arc<RedactFields>]>,
    pub(crate) raising: Option<Arc<Validator>>,
    pub(crate) counters: Arc<Counters>,
}

/// One transform and where it may stand.
pub(crate) struct Link {
    pub(crate) transform: Box<dyn Transform>,
    pub(crate) role: Role,
}

/// What a transform does, as far as its place in the chain is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// A host's own, or the normaliser: may put anything into a record.
    Changes,
    /// Takes away what must not leave.
    Redacts,
    /// Looks and refuses.
    Checks,
}

impl Chain {
    /// The chain of an empty `transforms.pipeline`, see [`ChainBuilder`].
    ///
    /// # Errors
    /// Bundled schemas that cannot be compiled, which is a defect of the build.
    pub fn standard() -> Result<Self, crate::BuildError> {
        ChainBuilder::new().build()
    }

    /// True where some transform looks at records of `kind`. Where none does,
    /// [`pass`](Self::pass) is what [`run`](Self::run) would do, without a record.
    pub fn concerns(&self, kind: Kind) -> bool {
        self.links.iter().any(|link| link.transform.concerns(kind))
    }

    /// Lets the body of a typed payload pass that no transform is concerned with,
    /// and counts it. `None` where one is: then it has to [`run`](Self::run).
    pub fn pass<'b>(&self, kind: Kind, body: &'b [u8]) -> Option<Passed<'b>> {
        let passes = !self.concerns(kind) && body.len() <= MAX_BODY_BYTES;
        if passes {
            self.counters.passed();
        }
        passes.then_some(Passed { body })
    }

    /// Runs `record` through all transforms that concern its kind.
    ///
    /// # Errors
    /// The first refusal; it is counted already.
    pub fn run(&mut self, mut record: Record) -> Result<Redacted, Dropped> {
        let kind = record.kind();
        match self.apply(&mut record).and_then(|()| record.finish()) {
            Ok((head, body, tree)) => {
                self.counters.passed();
                Ok(Redacted { head, body, tree })
            }
            Err(dropped) => {
                self.count_drop(kind, &dropped);
                Err(dropped)
            }
        }
    }

    /// As [`run`](Self::run), for a record that leaves as a tree: no text is made where none is needed.
    ///
    /// # Errors
    /// The first refusal; it is counted already.
    pub fn run_to_tree(&mut self, mut record: Record) -> Result<RedactedTree, Dropped> {
        let kind = record.kind();
        match self.apply(&mut record).and_then(|()| record.finish_tree()) {
            Ok(tree) => {
                self.counters.passed();
                Ok(RedactedTree { tree })
            }
            Err(dropped) => {
                self.count_drop(kind, &dropped);
                Err(dropped)
            }
        }
    }

    fn apply(&mut self, record: &mut Record) -> Result<(), Dropped> {
        let kind = record.kind();
        for link in &mut self.links {
            if link.transform.concerns(kind) {
                link.transform.apply(record)?;
            }
        }
        Ok(())
    }

    /// Counts a record that never reached the chain, such as one that could not be encoded, with the chain's own.
    pub fn count_drop(&self, kind: Kind, dropped: &Dropped) {
        let count = self.counters.dropped(&dropped.reason);
        // A broken producer breaks every record: the log gets the 1st, 2nd, 4th, 8th …, the counter all.
        if count.is_power_of_two() {
            let Dropped { reason, detail } = dropped;
            if *reason == DropReason::MissingFields {
                tracing::warn!(event_kind = %kind, missing = %detail, count, "telemetry_transform_missing_fields");
            } else {
                tracing::warn!(event_kind = %kind, %reason, %detail, count, "telemetry_transform_drop");
            }
        }
    }

    /// Adds a host's transform. It runs after everything that changes records so far, and before the first built-in
    /// that redacts or checks: what it adds is redacted and checked like everything else, and it cannot bring back
    /// what redaction has taken.
    pub fn push(&mut self, transform: Box<dyn Transform>) {
        let at = self.links.iter().position(|link| link.role != Role::Changes).unwrap_or(self.links.len());
        self.links.insert(at, Link { transform, role: Role::Changes });
    }

    /// The validator that must run in `emit` because its mode is `raise`. The chain itself skips it. It sees what the
    /// host emits, before any transform.
    pub fn raising(&self) -> Option<Arc<Validator>> {
        self.raising.clone()
    }

    /// The redactions, for assertions on what leaves without having been through the chain, such as diffs made
    /// between redacted states: none of them may [find](RedactFields::finds) anything.
    pub fn redactions(&self) -> Arc<[Arc<RedactFields>]> {
        Arc::clone(&self.redactions)
    }

    /// What the chain has done so far.
    pub fn stats(&self) -> ChainStats {
        self.counters.snapshot()
    }

    /// The live counters, to read from another thread.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// The transforms' ids, in the order in which they run.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.links.iter().map(|link| link.transform.id())
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// A body that no transform of its chain is concerned with: it may leave as it is.
///
/// Only [`Chain::pass`] makes one.
#[derive(Clone, Copy)]
pub struct Passed<'b> {
    body: &'b [u8],
}

impl<'b> Passed<'b> {
    /// The body, one JSON object.
    pub fn body_bytes(&self) -> &'b [u8] {
        self.body
    }
}

/// A record that has been through a chain: what may leave the process.
///
/// Only [`Chain::run`] makes one, so a function that takes it cannot be given anything unredacted:
///
/// ```compile_fail,E0451
/// use townlet_transform::{Head, Redacted};
/// use townlet_schema::Kind;
/// let leak = Redacted { head: Head::new(Kind::Event, "town", 1), body: b"{}".to_vec(), tree: None };
/// ```
#[derive(Clone)]
pub struct Redacted {
    head: Head,
    body: Vec<u8>,
    tree: Option<Object>,
}

impl Redacted {
    /// The part of the envelope that is known.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The payload type.
    pub fn kind(&self) -> Kind {
        self.head.kind
    }

    /// The body: one JSON object without envelope fields.
    pub fn body_bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body's buffer, to send or to use again.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// The body as a tree; taken over where a transform has built it, parsed otherwise.
    ///
    /// # Errors
    /// Text that a host vouched for and that is no JSON.
    pub fn into_tree(self) -> Result<Object, Dropped> {
        match self.tree {
            Some(tree) => Ok(tree),
            None => match townlet_schema::Json::parse(&self.body)? {
                townlet_schema::Json::Object(tree) => Ok(tree),
                _ => Err(Dropped::invalid("a body must be one JSON object")),
            },
        }
    }
}

/// The tree of a record that has been through a chain. Only [`Chain::run_to_tree`] makes one.
pub struct RedactedTree {
    tree: Object,
}

impl RedactedTree {
    /// The body: an object without envelope fields, of at most 128 levels. Its text may still be too long for a line.
    pub fn into_tree(self) -> Object {
        self.tree
    }
}

impl fmt::Debug for RedactedTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedactedTree({} members)", self.tree.len())
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redacted({:?}, {} B)", self.head, self.body.len())
    }
}
