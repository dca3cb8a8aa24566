//! Where the bytes of artifacts and evidence come from.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use townlet_registry::Digest;

/// Reads files by the paths that a draft gives.
pub trait Files {
    /// The digest of a file and its length in bytes.
    ///
    /// # Errors
    /// In words, when it cannot be read from end to end.
    fn digest(&self, path: &str) -> Result<(Digest, u64), String>;
}

/// Files below one folder.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Paths are relative to this folder, and do not lead out of it.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }
}

impl Files for Folder {
    fn digest(&self, path: &str) -> Result<(Digest, u64), String> {
        let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside {
            return Err(format!("{path} leads out of {}; a manifest is about what lies beside it", self.0.display()));
        }
        let whole = self.0.join(path);
        hash(&whole).map_err(|error| format!("{}: {error}", whole.display()))
    }
}

/// Without holding the file in memory.
fn hash(path: &Path) -> io::Result<(Digest, u64)> {
    let mut counted = Counted { inner: File::open(path)?, bytes: 0 };
    let digest = Digest::of_reader(&mut counted)?;
    Ok((digest, counted.bytes))
}

struct Counted {
    inner: File,
    bytes: u64,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.bytes += read as u64;
        Ok(read)
    }
}
