//! Where inputs are read: once each, however many decisions rest on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use townlet_policy::{Findings, Policy};
use townlet_registry::{Digest, KeyRing, Time};

use super::board::Board;
use super::case::{Case, Given, Measured, Submitted};
use super::decision::{DECISION_FORM, Decision, Inputs, Unusable};
use super::judge::Judgement;
use super::policy::read_policy;
use super::samples::Samples;
use crate::manifest;
use crate::statement::{Evidence, Unread};

/// Remembers what it has read and verified, by digest. Who replays ten thousand decisions reads each manifest once, and
/// verifies each statement once for each key ring, since the answer cannot change: all are named by their digests.
#[derive(Debug, Default)]
pub struct Desk {
    boards: BTreeMap<Digest, Board>,
    policies: BTreeMap<Digest, Arc<Policy>>,
    rings: BTreeMap<Digest, KeyRing>,
    manifests: BTreeMap<Digest, Submitted>,
    samples: BTreeMap<Digest, Measured>,
    statements: BTreeMap<(Digest, Digest), Result<Arc<Evidence>, Unread>>,
}

impl Desk {
    /// Reads and verifies everything, as [`Inputs::case`] does.
    ///
    /// # Errors
    /// As for it.
    pub fn case(&mut self, inputs: &Inputs, environment: &str, as_of: Time) -> Result<Case, Unusable> {
        let board = once(&mut self.boards, &inputs.board, |bytes| {
            Board::read(text(bytes, "the change board")?, "change-board.yaml").map_err(Unusable::Faults)
        })?;
        let policy = once(&mut self.policies, &inputs.policy, |bytes| {
            read_policy(text(bytes, "the policy")?, "policy").map(Arc::new).map_err(Unusable::Faults)
        })?;
        let ring = once(&mut self.rings, &inputs.keys, |bytes| KeyRing::from_json(bytes).map_err(Unusable::Keys))?;
        let submitted = match &inputs.manifest {
            None => Submitted::Missing,
            Some(bytes) => self.manifests.entry(Digest::of(bytes)).or_insert_with(|| submitted(bytes)).clone(),
        };
        let demands = board.environments.get(environment).cloned().map(Arc::new);
        let mut case = Case::new(environment, as_of, demands, policy.clone(), submitted);
        let ring_digest = Digest::of(&inputs.keys);
        for bytes in &inputs.statements {
            let name = (Digest::of(bytes), ring_digest);
            let read = self.statements.entry(name).or_insert_with(|| Evidence::read(bytes, ring).map(Arc::new));
            match read {
                Ok(evidence) => case.add(Arc::clone(evidence)),
                Err(unread) => case.unread.push(unread.clone()),
            }
        }
        case.measured = match &inputs.samples {
            None => Measured::Missing,
            Some(bytes) => self.samples.entry(Digest::of(bytes)).or_insert_with(|| measured(bytes)).clone(),
        };
        Ok(case)
    }

    /// Decides, as [`Inputs::decide`] does.
    ///
    /// # Errors
    /// As for it.
    pub fn decide(&mut self, inputs: &Inputs, environment: &str, as_of: Time) -> Result<Decision, Unusable> {
        let case = self.case(inputs, environment, as_of)?;
        let Judgement { verdict, conditions, not_counted } = case.judge();
        let named = case.manifest().map(|(manifest, digest)| (manifest.release.clone(), digest));
        let (release, manifest) = named.unzip();
        Ok(Decision {
            schema: DECISION_FORM.to_owned(),
            verdict,
            environment: environment.to_owned(),
            as_of,
            release,
            manifest,
            conditions,
            not_counted,
            flip: case.flip(),
            inputs: inputs.digests(),
            log: inputs.log.clone(),
        })
    }
}

/// What was read from these bytes, now or before.
fn once<'d, T>(
    known: &'d mut BTreeMap<Digest, T>,
    bytes: &[u8],
    read: impl FnOnce(&[u8]) -> Result<T, Unusable>,
) -> Result<&'d T, Unusable> {
    use std::collections::btree_map::Entry;
    match known.entry(Digest::of(bytes)) {
        Entry::Occupied(there) => Ok(there.into_mut()),
        Entry::Vacant(place) => Ok(place.insert(read(bytes)?)),
    }
}

fn text<'b>(bytes: &'b [u8], what: &'static str) -> Result<&'b str, Unusable> {
    std::str::from_utf8(bytes).map_err(|_| Unusable::NotText(what))
}

fn submitted(bytes: &[u8]) -> Submitted {
    let Ok(text) = std::str::from_utf8(bytes) else { return Submitted::Invalid("it is no UTF-8".into()) };
    match manifest::read(text, "manifest") {
        Err(found) => Submitted::Invalid(first_of(&found)),
        Ok(manifest) => match Given::new(manifest) {
            Ok(given) => Submitted::Given(Arc::new(given)),
            Err(error) => Submitted::Invalid(error.to_string()),
        },
    }
}

fn measured(bytes: &[u8]) -> Measured {
    let Ok(text) = std::str::from_utf8(bytes) else { return Measured::Invalid("they are no UTF-8".into()) };
    Samples::read(text, "samples")
        .map_or_else(|found| Measured::Invalid(first_of(&found)), |samples| Measured::Given(Arc::new(samples)))
}

/// The first fault in one line, and how many more there are.
fn first_of(found: &Findings) -> String {
    let first = found.iter().next().map_or_else(|| "it cannot be read".to_owned(), ToString::to_string);
    match found.len().saturating_sub(1) {
        0 => first,
        more => format!("{first}, and {more} more"),
    }
}
