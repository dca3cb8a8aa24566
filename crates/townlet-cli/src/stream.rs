//! A captured stream, as it stands in its file or as `compression: gzip` leaves a file that is finished.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context;
use flate2::bufread::MultiGzDecoder;

use crate::setup;

/// How a file in gzip begins (RFC 1952); no line of a stream does.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Opens it, with a bar that says how much of the file is read. What is appended from now on is not read: it may be what
/// comes of reading it, a dead letter for one, and would have no end.
pub(crate) fn open(path: &Path, doing: &'static str) -> anyhow::Result<Box<dyn Read>> {
    let opening = || format!("opening {}", path.display());
    let file = File::open(path).with_context(opening)?;
    let metadata = file.metadata().with_context(opening)?;
    let end = if metadata.is_file() { metadata.len() } else { u64::MAX };
    let file = setup::progress(metadata.len(), doing).wrap_read(file);
    let mut file = BufReader::with_capacity(1 << 16, file.take(end));
    let packed = file.fill_buf().with_context(|| format!("reading {}", path.display()))?.starts_with(&GZIP);
    Ok(if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}
