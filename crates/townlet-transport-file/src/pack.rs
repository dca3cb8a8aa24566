//! Compressing a finished file so that a kill at any moment loses nothing and
//! leaves nothing that is taken for whole.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use flate2::{Compression, GzBuilder, bufread::MultiGzDecoder};

/// What a compressed file is called beyond the name of the original.
pub(crate) const PACKED: &str = ".gz";

/// What follows [`PACKED`] in the name of one that is not complete, after a number.
pub(crate) const PART: &str = ".part";

/// Bytes between two looks at whether to stop.
const STEP: usize = 256 * 1024;

/// Tells the parts of this process apart, so that no rename takes another's.
static PARTS: AtomicU64 = AtomicU64::new(0);

/// Where the part of a file that is being compressed goes.
fn part(packed: &Path, number: u64) -> PathBuf {
    let mut name = packed.as_os_str().to_owned();
    name.push(format!(".{number}{PART}"));
    name.into()
}

/// Where the compressed form of a file goes.
pub(crate) fn packed(plain: &Path) -> PathBuf {
    let mut name = plain.as_os_str().to_owned();
    name.push(PACKED);
    name.into()
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// The file is there compressed, and no longer as it was. Bytes before and after.
    Done(u64, u64),
    /// Stopped half way; the file is as it was.
    Stopped,
}

/// Compresses `plain` to `plain.gz` and removes it: a part is written, synced and
/// renamed, the folder synced, and only then the original goes. Where a whole
/// `plain.gz` of a killed process is there already, only the original goes.
pub(crate) fn pack(plain: &Path, stop: &dyn Fn() -> bool) -> io::Result<Packing> {
    let target = packed(plain);
    let source = File::open(plain)?;
    let found = source.metadata()?;
    if target.symlink_metadata().is_ok() {
        return match same(&source, &target, stop)? {
            None => Ok(Packing::Stopped),
            Some(true) => remove(plain, found.len(), &target),
            Some(false) => {
                let message = "a compressed file of that name holds something else: move one of the two away";
                Err(io::Error::new(io::ErrorKind::AlreadyExists, message))
            }
        };
    }
    let number = (u64::from(std::process::id()) << 32) | PARTS.fetch_add(1, Ordering::Relaxed);
    let part = part(&target, number);
    match write(&source, plain, &part, stop) {
        Ok(true) => {}
        stopped_or_failed => {
            // What cannot be removed now is found at the next start.
            let _ = std::fs::remove_file(&part);
            return stopped_or_failed.map(|_| Packing::Stopped);
        }
    }
    std::fs::rename(&part, &target)?;
    sync_folder(&target)?;
    remove(plain, found.len(), &target)
}

fn remove(plain: &Path, before: u64, target: &Path) -> io::Result<Packing> {
    std::fs::remove_file(plain)?;
    Ok(Packing::Done(before, target.metadata()?.len()))
}

/// False where it was told to stop.
fn write(mut source: &File, plain: &Path, part: &Path, stop: &dyn Fn() -> bool) -> io::Result<bool> {
    let found = source.metadata()?;
    let file = OpenOptions::new().write(true).create_new(true).open(part)?;
    file.set_permissions(found.permissions())?;
    let modified = found.modified()?;
    let seconds = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let name = plain.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut header = GzBuilder::new().mtime(u32::try_from(seconds).unwrap_or(0));
    if !name.contains('\0') {
        header = header.filename(name);
    }
    let mut packer = header.write(BufWriter::with_capacity(STEP, file), Compression::default());
    let mut buffer = vec![0; STEP];
    loop {
        if stop() {
            return Ok(false);
        }
        match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => packer.write_all(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let file = packer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    // Whoever sorts by time of change sees when it was written, not when it was compressed.
    file.set_modified(modified)?;
    file.sync_all()?;
    Ok(true)
}

/// Whether the compressed file holds exactly these bytes; none where told to stop.
fn same(source: &File, target: &Path, stop: &dyn Fn() -> bool) -> io::Result<Option<bool>> {
    let mut left = BufReader::with_capacity(STEP, source);
    let mut right = MultiGzDecoder::new(BufReader::new(File::open(target)?));
    let (mut a, mut b) = (vec![0; STEP], vec![0; STEP]);
    loop {
        if stop() {
            return Ok(None);
        }
        let read = fill(&mut left, &mut a)?;
        // What cannot be unpacked is not the same.
        let Ok(unpacked) = fill(&mut right, &mut b) else { return Ok(Some(false)) };
        if a[..read] != b[..unpacked] {
            return Ok(Some(false));
        }
        if read == 0 {
            return Ok(Some(true));
        }
    }
}

/// Reads until the buffer is full or the source ends.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some systems sync no folders.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}
