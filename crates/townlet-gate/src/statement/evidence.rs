//! From an envelope to what is known of who says what.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use townlet_registry::{Digest, Envelope, Error, ErrorKind, KeyRing, Predicate, Role, Statement, Time};

use super::{Approval, Authorship, Rehearsal, Scorecard, Waiver};
use crate::gate::Code;

/// A statement that could be read, and what is known of its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Of the envelope.
    pub digest: Digest,
    /// What it is about.
    pub subjects: Vec<Digest>,
    /// What it says.
    pub body: Body,
    /// Who signed; or why nobody is believed to have.
    pub signers: Result<Vec<Signer>, String>,
}

/// What a statement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// I made this.
    Authorship(Authorship),
    /// It may go there.
    Approval(Approval),
    /// It may go there although.
    Waiver(Waiver),
    /// The suites passed, or did not.
    Scorecard(Scorecard),
    /// The rollback works, or does not.
    Rehearsal(Rehearsal),
}

/// Whose signature stands under a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// As the key ring names them.
    pub person: String,
    /// What they may sign as.
    pub roles: BTreeSet<Role>,
    /// From then on the key is believed no more.
    pub until: Option<Time>,
}

/// What was handed in and says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Of its bytes.
    pub digest: Digest,
    /// Why.
    pub why: String,
}

impl Evidence {
    /// Reads an envelope and verifies its signatures as of the time that the statement gives. Whether the keys are
    /// still believed when a decision is made is seen then.
    ///
    /// # Errors
    /// What is no envelope with one of the predicates of this crate.
    pub fn read(bytes: &[u8], ring: &KeyRing) -> Result<Self, Unread> {
        let digest = Digest::of(bytes);
        let unread = |why: Error| Unread { digest, why: why.to_string() };
        let envelope = Envelope::from_slice(bytes).map_err(unread)?;
        let head = envelope.head().map_err(unread)?;
        let body = match head.predicate_type.as_str() {
            Authorship::TYPE => predicate(&envelope).map(Body::Authorship),
            Approval::TYPE => predicate(&envelope).map(Body::Approval),
            Waiver::TYPE => predicate(&envelope).map(Body::Waiver),
            Scorecard::TYPE => predicate(&envelope).map(Body::Scorecard),
            Rehearsal::TYPE => predicate(&envelope).map(Body::Rehearsal),
            other => return Err(Unread { digest, why: format!("a statement of type {other} says nothing here") }),
        };
        let body = body.map_err(unread)?;
        let signers = signers(&envelope, ring, body.at());
        let subjects = head.subjects.iter().map(|subject| subject.digest).collect();
        Ok(Self { digest, subjects, body, signers })
    }

    /// Whether it is about that.
    #[must_use]
    pub fn is_about(&self, what: Digest) -> bool {
        self.subjects.contains(&what)
    }

    /// Who is said to say it, if a signature bears that out now.
    ///
    /// # Errors
    /// A named refusal.
    pub fn signer(&self, as_of: Time) -> Result<&Signer, (Code, String)> {
        let actor = self.body.actor();
        if actor.trim().is_empty() {
            return Err((Code::ActorEmpty, "it names nobody".into()));
        }
        let signers = self.signers.as_ref().map_err(|why| (Code::SignatureNotBelieved, why.clone()))?;
        let Some(signer) = signers.iter().find(|signer| signer.person == actor) else {
            let signed: Vec<&str> = signers.iter().map(|signer| signer.person.as_str()).collect();
            let text = format!("it speaks for {actor}, and was signed by {}", signed.join(", "));
            return Err((Code::ActorIsNotSigner, text));
        };
        if self.body.at() > as_of {
            let text = format!("it is of {}, and this is {as_of}", self.body.at());
            return Err((Code::StatementInFuture, text));
        }
        match signer.until {
            Some(until) if until <= as_of => {
                Err((Code::SignatureNotBelieved, format!("the key of {actor} is not believed since {until}")))
            }
            _ => Ok(signer),
        }
    }

    /// The same, if they hold one of these roles.
    ///
    /// # Errors
    /// A named refusal.
    pub fn signer_as(&self, roles: &[Role], as_of: Time) -> Result<&Signer, (Code, String)> {
        let signer = self.signer(as_of)?;
        if roles.iter().any(|role| signer.roles.contains(role)) {
            return Ok(signer);
        }
        let wanted: Vec<&str> = roles.iter().map(Role::as_str).collect();
        Err((Code::RoleNotHeld, format!("{} does not sign as {}", signer.person, wanted.join(" or "))))
    }
}

impl Body {
    /// Who is said to say it.
    #[must_use]
    pub fn actor(&self) -> &str {
        match self {
            Self::Authorship(Authorship { actor, .. })
            | Self::Approval(Approval { actor, .. })
            | Self::Waiver(Waiver { actor, .. })
            | Self::Scorecard(Scorecard { actor, .. })
            | Self::Rehearsal(Rehearsal { actor, .. }) => actor,
        }
    }

    /// When it was said.
    #[must_use]
    pub fn at(&self) -> Time {
        match self {
            Self::Authorship(Authorship { at, .. })
            | Self::Approval(Approval { at, .. })
            | Self::Waiver(Waiver { at, .. }) => *at,
            Self::Scorecard(Scorecard { finished_at, .. }) | Self::Rehearsal(Rehearsal { finished_at, .. }) => {
                *finished_at
            }
        }
    }

    /// What it is, for a message and a record.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Authorship(_) => "authorship",
            Self::Approval(_) => "approval",
            Self::Waiver(_) => "waiver",
            Self::Scorecard(_) => "scorecard",
            Self::Rehearsal(_) => "rehearsal",
        }
    }
}

fn predicate<P: Predicate + DeserializeOwned>(envelope: &Envelope) -> Result<P, Error> {
    envelope.statement::<P>().map(|statement: Statement<P>| statement.predicate)
}

fn signers(envelope: &Envelope, ring: &KeyRing, at: Time) -> Result<Vec<Signer>, String> {
    let signatories = ring.verify(envelope, at).map_err(|error| match error.kind() {
        ErrorKind::UnknownKey => format!("{error}; it would have to be before the statement was signed"),
        _ => error.to_string(),
    })?;
    let keys = signatories.into_iter().map(|signatory| {
        let key = ring.at(&signatory.key, at).ok();
        let ends = key.and_then(|key| key.until).into_iter();
        let ends = ends.chain(key.and_then(|key| key.revoked.as_ref()).map(|revoked| revoked.at));
        Signer { person: signatory.person.to_owned(), roles: signatory.roles.clone(), until: ends.min() }
    });
    Ok(keys.collect())
}
