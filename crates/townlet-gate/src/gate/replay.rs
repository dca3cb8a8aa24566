//! Deciding again what was decided, from what is stored.

use townlet_registry::Digest;

use super::decision::{Decision, Inputs, Part, Unusable};
use super::desk::Desk;

/// Why a stored decision cannot be decided again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// It is no decision.
    #[error("this is no stored decision: {0}")]
    NotADecision(String),
    /// An input is not there.
    #[error("the {0:?} {1} is not stored here; a decision without its inputs shows nothing")]
    Missing(Part, Digest),
    /// What is stored is not what its name says.
    #[error("what is stored as {0} has another digest, {1}")]
    Altered(Digest, Digest),
    /// The inputs that are stored do not make a decision.
    #[error("its inputs make no decision: {0}")]
    Unusable(Unusable),
    /// It has no canonical text.
    #[error("it has no canonical text: {0}")]
    Unwritable(townlet_registry::Error),
}

/// A decision made again.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// What was decided.
    pub stored: Decision,
    /// What is decided now.
    pub again: Decision,
    /// Whether both are the same to the byte.
    pub same: bool,
}

/// Decides again from the stored inputs: `fetch` gives the bytes of a digest. One [`Desk`] serves many decisions. That
/// the log had the root that the decision says is for who has the log to look at.
///
/// # Errors
/// Where an input is missing or altered, or this is no decision.
pub fn replay(
    desk: &mut Desk,
    stored: &[u8],
    mut fetch: impl FnMut(Digest) -> Option<Vec<u8>>,
) -> Result<Replay, ReplayError> {
    let decision = Decision::from_bytes(stored).map_err(ReplayError::NotADecision)?;
    let mut inputs = Inputs { log: decision.log.clone(), ..Inputs::default() };
    let mut seen = Vec::new();
    for input in &decision.inputs {
        let bytes = fetch(input.digest).ok_or(ReplayError::Missing(input.part, input.digest))?;
        let digest = Digest::of(&bytes);
        if digest != input.digest {
            return Err(ReplayError::Altered(input.digest, digest));
        }
        if input.part != Part::Statement && seen.contains(&input.part) {
            return Err(ReplayError::NotADecision(format!("it has two inputs of the kind {:?}", input.part)));
        }
        seen.push(input.part);
        match input.part {
            Part::Manifest => inputs.manifest = Some(bytes),
            Part::Board => inputs.board = bytes,
            Part::Policy => inputs.policy = bytes,
            Part::Keys => inputs.keys = bytes,
            Part::Samples => inputs.samples = Some(bytes),
            Part::Statement => inputs.statements.push(bytes),
        }
    }
    let again = desk.decide(&inputs, &decision.environment, decision.as_of).map_err(ReplayError::Unusable)?;
    let same = again.to_bytes().map_err(ReplayError::Unwritable)? == stored;
    Ok(Replay { stored: decision, again, same })
}
