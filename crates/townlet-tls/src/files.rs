//! The files of a configuration: read once, recognised later.

use std::fmt;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustls::SupportedCipherSuite;
use rustls::crypto::hash::Hash;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;

use crate::error::{TlsError, TlsErrorKind as Kind};
use crate::pem::Pem;

/// How old a change must be before the times of a file can tell it from the
/// next one. A file system stamps with the granularity of its clock: a few
/// milliseconds on most, two seconds on FAT.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Where one file of a configuration stands.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The configuration key.
    pub(crate) role: &'static str,
    pub(crate) path: PathBuf,
}

impl Source {
    /// The sources whose path is given.
    pub(crate) fn list<'a>(paths: impl IntoIterator<Item = (&'static str, Option<&'a Path>)>) -> Vec<Self> {
        let given = |(role, path): (_, Option<&Path>)| path.map(|path| Self { role, path: path.to_owned() });
        paths.into_iter().filter_map(given).collect()
    }
}

/// The files of a configuration as they were read, to build it from.
pub(crate) struct Files {
    read: Vec<(&'static str, Result<Pem, TlsError>)>,
    seen: Seen,
}

impl Files {
    /// Reads every file; what cannot be read is an error where it is taken.
    pub(crate) fn read(sources: &[Source]) -> Self {
        let mut files = Self { read: Vec::new(), seen: Seen(Vec::new()) };
        for source in sources {
            // The stamp first: a change that comes between the two is found by the next look.
            let stamp = Stamp::of(&source.path);
            let pem = Pem::read(source.role, &source.path);
            let digest = pem.as_ref().ok().map(|pem| digest(pem.content()));
            // A read that failed may succeed the next time although nothing changed.
            let settled = digest.is_some() && stamp.is_some_and(|stamp| stamp.is_settled(SystemTime::now()));
            files.read.push((source.role, pem));
            files.seen.0.push(SeenFile { role: source.role, stamp, settled, digest });
        }
        files
    }

    /// The file under this key, once; `None` where the configuration names none.
    pub(crate) fn take(&mut self, role: &str) -> Option<Result<Pem, TlsError>> {
        let at = self.read.iter().position(|(of, _)| *of == role)?;
        Some(self.read.swap_remove(at).1)
    }

    /// As [`take`](Self::take), for a file that there must be.
    pub(crate) fn need(&mut self, role: &str) -> Result<Pem, TlsError> {
        self.take(role).unwrap_or_else(|| Err(TlsError::new(Kind::FileMissing, format!("{role} is not set"))))
    }

    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }
}

/// How files looked when they were read.
#[derive(Clone)]
pub(crate) struct Seen(Vec<SeenFile>);

#[derive(Clone)]
struct SeenFile {
    role: &'static str,
    stamp: Option<Stamp>,
    /// True where an equal stamp means equal content.
    settled: bool,
    digest: Option<Digest>,
}

type Digest = [u8; 32];

impl Seen {
    /// True where a look at the files' stamps alone proves that nothing changed.
    pub(crate) fn is_certainly_current(&self, sources: &[Source]) -> bool {
        let current = |(seen, source): (&SeenFile, &Source)| seen.settled && seen.stamp == Stamp::of(&source.path);
        self.0.iter().zip(sources).all(current)
    }

    /// True where every file has the same content as in `other`.
    pub(crate) fn has_content_of(&self, other: &Self) -> bool {
        self.0.iter().map(|file| file.digest).eq(other.0.iter().map(|file| file.digest))
    }

    /// True where this file has the same content as in `other`.
    pub(crate) fn has_file_of(&self, other: &Self, role: &str) -> bool {
        let of = |seen: &Self| seen.0.iter().find(|file| file.role == role).and_then(|file| file.digest);
        of(self) == of(other)
    }
}

impl fmt::Debug for Seen {
    /// Digests of keys belong into no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|file| file.role)).finish()
    }
}

/// What changes whenever a file does: in place, by rename, or by another
/// target of a symbolic link on the way (as Kubernetes swaps `..data`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    /// Device and inode.
    identity: (u64, u64),
    len: u64,
    modified: Option<SystemTime>,
    /// When the kernel last changed the inode; unlike `modified` nobody sets it.
    changed: Option<SystemTime>,
}

impl Stamp {
    /// The stamp of what `path` leads to.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let (identity, changed) = inode(&metadata);
        Some(Self { identity, len: metadata.len(), modified: metadata.modified().ok(), changed })
    }

    fn is_settled(&self, now: SystemTime) -> bool {
        let last = self.changed.or(self.modified);
        last.is_some_and(|last| now.duration_since(last).is_ok_and(|age| age >= SETTLED_AFTER))
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> ((u64, u64), Option<SystemTime>) {
    use std::os::unix::fs::MetadataExt;
    let since = u64::try_from(metadata.ctime()).ok().zip(u32::try_from(metadata.ctime_nsec()).ok());
    let changed = since.and_then(|(s, ns)| SystemTime::UNIX_EPOCH.checked_add(Duration::new(s, ns)));
    ((metadata.dev(), metadata.ino()), changed)
}

#[cfg(not(unix))]
fn inode(_metadata: &Metadata) -> ((u64, u64), Option<SystemTime>) {
    ((0, 0), None)
}

/// SHA-256, by the provider that is there for TLS anyway.
fn digest(content: &[u8]) -> Digest {
    let hash: &dyn Hash = match TLS13_AES_128_GCM_SHA256 {
        SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
        SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
    };
    let mut digest = [0; 32];
    let output = hash.hash(content);
    for (to, from) in digest.iter_mut().zip(output.as_ref()) {
        *to = *from;
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_sha_256() {
        // FIPS 180-4, appendix B.1: the digest of "abc".
        let hex: String = digest(b"abc").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_stamp_younger_than_the_clock_of_a_file_system_proves_nothing() {
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let stamp = Stamp { identity: (0, 0), len: 1, modified: None, changed: Some(changed) };
        assert!(!stamp.is_settled(changed));
        assert!(!stamp.is_settled(changed - Duration::from_secs(60)), "a change from the future");
        assert!(stamp.is_settled(changed + SETTLED_AFTER));
    }
}
