//! A file of whole lines with a bound.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::DeadLetterSettings;

/// Shared by the workers of its sinks.
pub(super) struct LetterFile {
    pub(super) settings: DeadLetterSettings,
    open: Mutex<Option<File>>,
}

impl LetterFile {
    pub(super) fn new(settings: DeadLetterSettings) -> Self {
        Self { settings, open: Mutex::default() }
    }

    /// Appends the line that `render` makes of each item, or nothing of it, and tells
    /// `done` of each how many bytes it is there; none where there is no room for it.
    ///
    /// What stands at the path is looked at once, and not for each line.
    pub(super) fn append<T>(
        &self,
        items: &[T],
        mut render: impl FnMut(&T, &mut Vec<u8>) -> io::Result<()>,
        mut done: impl FnMut(io::Result<Option<u64>>),
    ) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known: Option<(File, u64)> = None;
        let mut line = Vec::new();
        for item in items {
            line.clear();
            done(render(item, &mut line).and_then(|()| {
                let (mut file, size) = match known.take() {
                    Some(known) => known,
                    None => stands(open.take(), &self.settings.path)?,
                };
                let after = size.saturating_add(line.len() as u64);
                if after > self.settings.max_bytes {
                    known = Some((file, size));
                    return Ok(None);
                }
                if let Err(error) = file.write_all(&line) {
                    // Half a line would spoil the next one, too. The file is opened anew for it.
                    let _ = file.set_len(size);
                    return Err(error);
                }
                known = Some((file, after));
                Ok(Some(line.len() as u64))
            }));
        }
        if let Some((file, _)) = known {
            *open = Some(file);
        }
    }
}

/// The file at this path, and its size. Whoever moves it away gets a new one made.
fn stands(open: Option<File>, path: &Path) -> io::Result<(File, u64)> {
    let same = |one: &Metadata, other: &Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    if let Some(file) = open
        && let Ok(there) = fs::metadata(path)
        && same(&file.metadata()?, &there)
    {
        return Ok((file, there.len()));
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}
