//! A bounded number of open files.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Settle, StoreError};

/// Open files by path; the least recently used one is closed for a new one.
///
/// A file in use stays open through its `Arc` after it left the table, so the
/// number of open files is at most the limit plus the number of writers.
pub(super) struct Handles {
    limit: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    open: HashMap<PathBuf, (Arc<File>, u64)>,
    clock: u64,
}

impl Handles {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), table: Mutex::default() }
    }

    /// The file at `path`, opened for appending, made with its folder where it
    /// is missing.
    pub(super) fn get(&self, path: &Path, settle: Settle) -> Result<Arc<File>, StoreError> {
        {
            let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            table.clock += 1;
            let now = table.clock;
            if let Some((file, used)) = table.open.get_mut(path) {
                *used = now;
                if !is_deleted(file) {
                    return Ok(Arc::clone(file));
                }
            }
        }
        let file = Arc::new(open(path, settle).map_err(|error| StoreError::new("opening", path, error))?);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let now = table.clock;
        while table.open.len() >= self.limit {
            let Some(oldest) = table.open.iter().min_by_key(|(_, (_, used))| *used).map(|(path, _)| path.clone())
            else {
                break;
            };
            table.open.remove(&oldest);
        }
        table.open.insert(path.to_owned(), (Arc::clone(&file), now));
        Ok(file)
    }

    /// How many files the table holds open.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).open.len()
    }
}

fn open(path: &Path, settle: Settle) -> io::Result<File> {
    let append = |path: &Path| OpenOptions::new().append(true).create(true).open(path);
    let file = match append(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            append(path)?
        }
        other => other?,
    };
    if settle == Settle::Synced {
        // A synced file whose name is not on disk is lost with the power. Whoever made it may have ended before this.
        for folder in path.ancestors().skip(1).take(2) {
            sync_folder(folder)?;
        }
    }
    Ok(file)
}

/// True where the file has no name any more: lines that went there would be gone.
#[cfg(unix)]
fn is_deleted(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
}

#[cfg(not(unix))]
fn is_deleted(_file: &File) -> bool {
    false
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn no_more_files_stay_open_than_allowed_and_appending_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let handles = Handles::new(2);
        for round in 0..3 {
            for name in ["a", "b", "c"] {
                let file = handles.get(&dir.path().join("run").join(name), Settle::Synced).unwrap();
                writeln!(&*file, "{round}").unwrap();
                assert!(handles.len() <= 2);
            }
        }
        assert_eq!(fs::read_to_string(dir.path().join("run/b")).unwrap(), "0\n1\n2\n");
    }

    #[test]
    fn a_file_that_was_deleted_under_its_handle_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (handles, path) = (Handles::new(2), dir.path().join("run").join("a"));
        writeln!(&*handles.get(&path, Settle::Written).unwrap(), "gone with its run").unwrap();
        fs::remove_dir_all(dir.path().join("run")).unwrap();
        writeln!(&*handles.get(&path, Settle::Written).unwrap(), "kept").unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "kept\n");
    }
}
