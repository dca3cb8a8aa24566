//! Where a loaded configuration came from, and until when it is good.

use std::path::PathBuf;
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;

use crate::error::{TlsError, TlsErrorKind as Kind};
use crate::files::{Seen, Source};
use crate::inspect::{CertificateInfo, days_between, inspect_chain};

/// The configuration key of our own chain, on both sides.
pub(crate) const CERT_FILE: &str = "cert_file";
/// The configuration key of its private key.
pub(crate) const KEY_FILE: &str = "key_file";

/// The files of a configuration, as they were when it was built from them.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) sources: Vec<Source>,
    pub(crate) seen: Seen,
    pub(crate) own: Option<OwnChain>,
}

impl Origin {
    /// Whole days until our own certificate expires, negative once it has;
    /// `None` where there is none or its dates cannot be read.
    pub(crate) fn days_to_expiry(&self, now: SystemTime) -> Option<i64> {
        Some(days_between(now, self.good_until()?))
    }

    /// When the first certificate of our own chain ends.
    pub(crate) fn good_until(&self) -> Option<SystemTime> {
        Some(self.own.as_ref()?.validity.as_ref()?.not_after)
    }
}

/// The chain that we show.
#[derive(Debug)]
pub(crate) struct OwnChain {
    pub(crate) path: PathBuf,
    validity: Option<Validity>,
}

/// The time in which a whole chain is valid.
#[derive(Debug)]
struct Validity {
    not_before: SystemTime,
    not_after: SystemTime,
}

impl OwnChain {
    pub(crate) fn new(path: PathBuf, chain: &[CertificateDer<'_>]) -> Self {
        let validity = inspect_chain(chain, SystemTime::UNIX_EPOCH).ok().and_then(|chain| Validity::of(&chain));
        Self { path, validity }
    }

    /// Whether peers would accept it at `now`, as far as its dates go.
    pub(crate) fn check(&self, now: SystemTime) -> Result<(), TlsError> {
        let shown = self.path.display();
        let Some(validity) = &self.validity else {
            let message = format!("the dates of a certificate in {CERT_FILE} {shown} cannot be read");
            return Err(TlsError::new(Kind::BadCertificate, message));
        };
        if now > validity.not_after {
            let days = -days_between(now, validity.not_after);
            let message =
                format!("the certificate in {CERT_FILE} {shown} expired (day {days} after its end): renew it");
            return Err(TlsError::new(Kind::Expired, message));
        }
        if now < validity.not_before {
            let message = format!("the certificate in {CERT_FILE} {shown} is not valid yet: check the clock here");
            return Err(TlsError::new(Kind::NotYetValid, message));
        }
        Ok(())
    }
}

impl Validity {
    /// A root that stands at the end of a chain is ignored by peers, so its
    /// dates do not count; the leaf's always do.
    fn of(chain: &[CertificateInfo]) -> Option<Self> {
        let counted = || chain.iter().enumerate().filter(|(at, c)| *at == 0 || !c.self_issued).map(|(_, c)| c);
        Some(Self {
            not_before: counted().map(|c| c.not_before).max()?,
            not_after: counted().map(|c| c.not_after).min()?,
        })
    }
}
