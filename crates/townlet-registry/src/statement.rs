//! in-toto statements: a typed claim about things that are named by digest.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind};

/// `_type` of every statement (in-toto Statement v1).
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// What a statement claims. The type is a URI that names the shape of the predicate and its version; a change that
/// old readers would misread takes a new one.
pub trait Predicate: Serialize {
    /// `predicateType` of the statements.
    const TYPE: &'static str;
}

/// Says of which type the predicates of a crate are, in one place: a URI for each.
///
/// ```
/// #[derive(serde::Serialize)]
/// struct Approval {
///     role: String,
/// }
/// townlet_registry::predicates! {
///     Approval = "https://example.com/approval/v1",
/// }
/// # assert_eq!(<Approval as townlet_registry::Predicate>::TYPE, "https://example.com/approval/v1");
/// ```
#[macro_export]
macro_rules! predicates {
    ($($name:ty = $uri:literal),+ $(,)?) => {
        $(impl $crate::Predicate for $name {
            const TYPE: &'static str = $uri;
        })+
    };
}

/// What a statement is about: a name for people, and the digest that decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "WireSubject", try_from = "WireSubject")]
pub struct Subject {
    /// A file name, a release, whatever helps to find it. Not authoritative: two things may have one name.
    pub name: String,
    /// Of its bytes.
    pub digest: Digest,
}

impl Subject {
    /// `digest`, known as `name`.
    pub fn new(name: impl Into<String>, digest: Digest) -> Self {
        Self { name: name.into(), digest }
    }
}

/// As in-toto writes a subject.
#[derive(Serialize, Deserialize)]
struct WireSubject {
    #[serde(default)]
    name: String,
    digest: WireDigest,
}

/// Other digests than SHA-256 may stand beside it; they are not looked at. Two of them are refused: another reader
/// might believe the other one.
#[derive(Serialize, Deserialize)]
struct WireDigest {
    sha256: Option<String>,
}

impl From<Subject> for WireSubject {
    fn from(subject: Subject) -> Self {
        Self { name: subject.name, digest: WireDigest { sha256: Some(subject.digest.to_hex()) } }
    }
}

impl TryFrom<WireSubject> for Subject {
    type Error = Error;

    fn try_from(wire: WireSubject) -> Result<Self, Error> {
        let hex = wire.digest.sha256;
        let hex = hex.ok_or_else(|| Error::malformed(format!("subject `{}` has no sha256 digest", wire.name)))?;
        Ok(Self { name: wire.name, digest: Digest::from_hex(&hex)? })
    }
}

/// A predicate about subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<P> {
    /// What it is about; at least one.
    pub subjects: Vec<Subject>,
    /// What it claims.
    pub predicate: P,
}

/// What can be said about any statement without knowing its predicate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it is about.
    pub subjects: Vec<Subject>,
    /// The shape of its predicate.
    pub predicate_type: String,
}

#[derive(Serialize, Deserialize)]
struct Wire<S, T, P> {
    #[serde(rename = "_type")]
    kind: T,
    subject: S,
    #[serde(rename = "predicateType")]
    predicate_type: T,
    predicate: P,
}

impl<P: Predicate> Statement<P> {
    /// A statement about one thing.
    pub fn about(subject: Subject, predicate: P) -> Self {
        Self { subjects: vec![subject], predicate }
    }

    /// Its canonical JSON: what is signed.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] without a subject or with one twice; [`ErrorKind::Unrepresentable`] for a predicate
    /// that has no canonical text.
    pub fn to_payload(&self) -> Result<Vec<u8>, Error> {
        distinct(&self.subjects).map_err(|what| Error::new(ErrorKind::Conflict, what))?;
        let wire =
            Wire { kind: STATEMENT_TYPE, subject: &self.subjects, predicate_type: P::TYPE, predicate: &self.predicate };
        canonical::to_vec(&wire)
    }
}

impl<P: Predicate + DeserializeOwned> Statement<P> {
    /// Reads a payload whose predicate is a `P`. Its layout is free: signatures are over its bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for anything else, also for another predicate type.
    pub fn from_payload(payload: &[u8]) -> Result<Self, Error> {
        let head = Head::from_payload(payload)?;
        if head.predicate_type != P::TYPE {
            let found = head.predicate_type;
            return Err(Error::malformed(format!("a statement of type `{found}` where `{}` is wanted", P::TYPE)));
        }
        let wire: Wire<Vec<Subject>, String, P> = canonical::read(payload)?;
        Ok(Self { subjects: wire.subject, predicate: wire.predicate })
    }
}

impl Head {
    /// Reads a payload without its predicate.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for what is no in-toto statement v1 about at least one thing with a SHA-256 digest.
    pub fn from_payload(payload: &[u8]) -> Result<Self, Error> {
        let wire: Wire<Vec<Subject>, String, serde::de::IgnoredAny> = canonical::read(payload)?;
        if wire.kind != STATEMENT_TYPE {
            return Err(Error::malformed(format!("`_type` is `{}`; `{STATEMENT_TYPE}` is read", wire.kind)));
        }
        distinct(&wire.subject).map_err(Error::malformed)?;
        Ok(Self { subjects: wire.subject, predicate_type: wire.predicate_type })
    }
}

fn distinct(subjects: &[Subject]) -> Result<(), String> {
    if subjects.is_empty() {
        return Err("a statement about nothing: at least one subject is needed".to_owned());
    }
    for (at, subject) in subjects.iter().enumerate() {
        if subjects[..at].contains(subject) {
            return Err(format!("subject `{}` ({}) stands twice", subject.name, subject.digest));
        }
    }
    Ok(())
}
