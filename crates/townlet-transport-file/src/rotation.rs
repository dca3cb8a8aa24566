//! Setting a file aside.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::calendar::Moment;
use crate::names::{Mark, Names, Period};
use crate::pack::packed;

/// Renames the file of a period to a name that carries `now`, and returns that
/// name. Names only go up, also where the clock was set back or older ones were
/// deleted, so that their order is the order of the content.
///
/// A symbolic link stays, and so does the file that it leads to: what came next would
/// go elsewhere than whoever made it wanted.
pub(crate) fn set_aside(names: &Names, period: &Period, now: SystemTime) -> io::Result<PathBuf> {
    let path = names.path(period);
    if path.symlink_metadata()?.is_symlink() {
        let message = "it is a symbolic link, which alone would be renamed: write the path that it leads to";
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    let newest = names.scan_period(period)?.into_iter().filter_map(|member| member.key.mark).max();
    let mark = match (Moment::of(now), newest) {
        (now, Some(newest)) if newest.at >= now => Mark { at: newest.at, counter: newest.counter.saturating_add(1) },
        (now, _) => Mark { at: now, counter: 0 },
    };
    let target = names.aside(period, &mark);
    // Never replaces a file: only whoever holds the lock on the path comes here.
    if target.symlink_metadata().is_ok() || packed(&target).symlink_metadata().is_ok() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the name for the old file is taken"));
    }
    std::fs::rename(path, &target)?;
    Ok(target)
}
