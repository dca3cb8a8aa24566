//! Where and how to write.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use townlet_transport::{ErrorKind, Fsync, TransportError};

/// The settings of a [`FileTransport`](crate::FileTransport).
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// The file. A leading `~` stands for the home folder. `%Y`, `%m`, `%d`, `%H` and
    /// `%F` stand for the time of writing in UTC, as in `strftime`, so that
    /// `logs/%F/town.jsonl` is a folder a day; `%%` is a percent sign.
    pub path: PathBuf,
    /// When to sync.
    pub fsync: Fsync,
    /// Start a new file once this many bytes are reached.
    pub rotate_bytes: Option<u64>,
    /// Start a new file at this age.
    pub rotate_after: Option<Duration>,
    /// Finished files to keep; absent keeps all.
    pub keep_files: Option<usize>,
    /// Bytes that finished files may take together; absent sets no bound.
    pub keep_bytes: Option<u64>,
    /// How long a finished file is kept after its last line; absent keeps it for ever.
    pub keep_for: Option<Duration>,
    /// Compress finished files with gzip (RFC 1952).
    pub gzip: bool,
    /// A line that begins each stretch of a file.
    pub run_marker: Option<Bytes>,
}

impl FileOptions {
    /// Appends for ever, syncs never, marks nothing.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            fsync: Fsync::Never,
            rotate_bytes: None,
            rotate_after: None,
            keep_files: None,
            keep_bytes: None,
            keep_for: None,
            gzip: false,
            run_marker: None,
        }
    }
}

/// The path with the home folder of this process for a leading `~`.
pub(crate) fn expanded(path: &Path) -> Result<PathBuf, TransportError> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    expand(path, home.as_deref())
}

/// Replaces a leading `~` by `home`.
fn expand(path: &Path, home: Option<&Path>) -> Result<PathBuf, TransportError> {
    let wrong = |what: String| TransportError::new(ErrorKind::Misconfigured, format!("file_path {what}"));
    if path.to_string_lossy().trim().is_empty() {
        return Err(wrong("is empty: name a file".into()));
    }
    let mut parts = path.components();
    let first = parts.next().map(|part| part.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
    if first == "~" {
        let home = home.ok_or_else(|| wrong(format!("{} needs a home folder: HOME is not set", path.display())))?;
        return Ok(home.join(parts.as_path()));
    }
    if first.starts_with('~') {
        let message = format!("{} names another user's home: write the folder out, or ./{first}", path.display());
        return Err(wrong(message));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_tilde_is_the_home_folder_and_any_other_is_not() {
        let home = Path::new("/homes/town");
        let ok = |path: &str| expand(Path::new(path), Some(home)).unwrap();
        assert_eq!(ok("~/a/b.jsonl"), Path::new("/homes/town/a/b.jsonl"));
        assert_eq!(ok("~"), home);
        assert_eq!(ok("a/~/b"), Path::new("a/~/b"));
        assert_eq!(ok("./~x"), Path::new("./~x"));
        for (path, home, says) in
            [("~other/b", Some(home), "another user"), ("~/b", None, "HOME"), (" ", Some(home), "empty")]
        {
            let error = expand(Path::new(path), home).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
