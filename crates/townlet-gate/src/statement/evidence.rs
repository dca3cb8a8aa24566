//! From an envelope to what is known of who says what.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use townlet_registry::{Digest, Envelope, Error, ErrorKind, KeyRing, Predicate, Role, Statement, Time};

use super::{Approval, Attestation, Authorship, IncidentClosed, IncidentOpened, Rehearsal, Scorecard, Waiver};
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
    /// This was learnt, is on duty, or was looked at.
    Attestation(Attestation),
    /// Something is wrong.
    IncidentOpened(IncidentOpened),
    /// It is over.
    IncidentClosed(IncidentClosed),
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
        let body = Body::read(&envelope).map_err(unread)?.ok_or_else(|| Unread {
            digest,
            why: format!("a statement of type {} says nothing here", head.predicate_type),
        })?;
        let signers = signers(&envelope, ring, body.at());
        let subjects = head.subjects.iter().map(|subject| subject.digest).collect();
        Ok(Self { digest, subjects, body, signers })
    }

    /// Whether it is about that.
    #[must_use]
    pub fn is_about(&self, what: Digest) -> bool {
        self.subjects.contains(&what)
    }

    /// Who is said to say it, if a signature bore that out when it was said. What was said before the key was believed
    /// no more stays said: an incident does not open again because somebody has a new key.
    ///
    /// # Errors
    /// A named refusal.
    pub fn signer_then(&self, as_of: Time) -> Result<&Signer, (Code, String)> {
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
        Ok(signer)
    }

    /// The same, if the key is believed now as well.
    ///
    /// # Errors
    /// A named refusal.
    pub fn signer(&self, as_of: Time) -> Result<&Signer, (Code, String)> {
        let signer = self.signer_then(as_of)?;
        match signer.until {
            Some(until) if until <= as_of => {
                let text = format!("the key of {} is not believed since {until}", signer.person);
                Err((Code::SignatureNotBelieved, text))
            }
            _ => Ok(signer),
        }
    }

    /// The same, if they hold one of these roles.
    ///
    /// # Errors
    /// A named refusal.
    pub fn signer_as(&self, roles: &[Role], as_of: Time) -> Result<&Signer, (Code, String)> {
        in_role(self.signer(as_of)?, roles)
    }

    /// As [`signer_then`](Self::signer_then), if they hold one of these roles.
    ///
    /// # Errors
    /// A named refusal.
    pub fn signer_then_as(&self, roles: &[Role], as_of: Time) -> Result<&Signer, (Code, String)> {
        in_role(self.signer_then(as_of)?, roles)
    }
}

fn in_role<'s>(signer: &'s Signer, roles: &[Role]) -> Result<&'s Signer, (Code, String)> {
    if roles.iter().any(|role| signer.roles.contains(role)) {
        return Ok(signer);
    }
    let wanted: Vec<&str> = roles.iter().map(Role::as_str).collect();
    Err((Code::RoleNotHeld, format!("{} does not sign as {}", signer.person, wanted.join(" or "))))
}

impl Body {
    /// What an envelope says, unverified; nothing, where it has none of the predicates of this crate.
    ///
    /// # Errors
    /// For what is no statement, and for a predicate that is not what its type says.
    pub fn read(envelope: &Envelope) -> Result<Option<Self>, Error> {
        let body = match envelope.head()?.predicate_type.as_str() {
            Authorship::TYPE => predicate(envelope).map(Self::Authorship),
            Approval::TYPE => predicate(envelope).map(Self::Approval),
            Waiver::TYPE => predicate(envelope).map(Self::Waiver),
            Scorecard::TYPE => predicate(envelope).map(Self::Scorecard),
            Rehearsal::TYPE => predicate(envelope).map(Self::Rehearsal),
            Attestation::TYPE => predicate(envelope).map(Self::Attestation),
            IncidentOpened::TYPE => predicate(envelope).map(Self::IncidentOpened),
            IncidentClosed::TYPE => predicate(envelope).map(Self::IncidentClosed),
            _ => return Ok(None),
        };
        body.map(Some)
    }

    /// Who is said to say it.
    #[must_use]
    pub fn actor(&self) -> &str {
        match self {
            Self::Authorship(Authorship { actor, .. })
            | Self::Approval(Approval { actor, .. })
            | Self::Waiver(Waiver { actor, .. })
            | Self::Scorecard(Scorecard { actor, .. })
            | Self::Rehearsal(Rehearsal { actor, .. })
            | Self::Attestation(Attestation { actor, .. })
            | Self::IncidentOpened(IncidentOpened { actor, .. })
            | Self::IncidentClosed(IncidentClosed { actor, .. }) => actor,
        }
    }

    /// When it was said.
    #[must_use]
    pub fn at(&self) -> Time {
        match self {
            Self::Authorship(Authorship { at, .. })
            | Self::Approval(Approval { at, .. })
            | Self::Waiver(Waiver { at, .. })
            | Self::Attestation(Attestation { at, .. })
            | Self::IncidentOpened(IncidentOpened { at, .. })
            | Self::IncidentClosed(IncidentClosed { at, .. }) => *at,
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
            Self::Attestation(_) => "attestation",
            Self::IncidentOpened(_) => "incident",
            Self::IncidentClosed(_) => "end of an incident",
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
