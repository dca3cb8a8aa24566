//! Names of files that were set aside, and which of them stay.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Renames `path` to a name that carries `now`, and returns that name. Names
/// only go up, also where the clock was set back or older ones were deleted, so
/// that their order is the order of the content.
pub(crate) fn set_aside(path: &Path, now: SystemTime) -> io::Result<PathBuf> {
    let newest = set_aside_files(path)?.into_iter().map(|(order, _)| order).max();
    let (stamp, counter) = match (stamp(now), newest) {
        (now, Some((stamp, counter))) if stamp >= now => (stamp, counter.saturating_add(1)),
        (now, _) => (now, 0),
    };
    let target = aside(path, &format!("{stamp}-{counter:03}"));
    // Never replaces a file: only whoever holds the lock on `path` comes here.
    if target.symlink_metadata().is_ok() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the name for the old file is taken"));
    }
    std::fs::rename(path, &target)?;
    Ok(target)
}

/// Deletes all but the newest `keep` files that were set aside from `path`.
pub(crate) fn prune(path: &Path, keep: usize) -> io::Result<usize> {
    let mut found = set_aside_files(path)?;
    found.sort();
    let excess = found.len().saturating_sub(keep);
    for (_, file) in &found[..excess] {
        std::fs::remove_file(file)?;
    }
    Ok(excess)
}

/// Those files with what orders them: stamp and counter.
fn set_aside_files(path: &Path) -> io::Result<Vec<((String, u32), PathBuf)>> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(order) = order_of(path, &entry.file_name()) {
            found.push((order, entry.path()));
        }
    }
    Ok(found)
}

/// `name.jsonl` and a mark to `name.<mark>.jsonl`.
fn aside(path: &Path, mark: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(".");
    name.push(mark);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Stamp and counter, where `name` is one that [`set_aside`] gives.
fn order_of(path: &Path, name: &OsStr) -> Option<(String, u32)> {
    let name = name.to_str()?;
    let rest = name.strip_prefix(path.file_stem()?.to_str()?)?.strip_prefix('.')?;
    let mark = match path.extension() {
        Some(extension) => rest.strip_suffix(extension.to_str()?)?.strip_suffix('.')?,
        None => rest,
    };
    let (stamp, counter) = mark.split_once('-')?;
    let is_stamp = stamp.len() == 16
        && stamp.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    let is_counter = counter.len() >= 3 && counter.bytes().all(|b| b.is_ascii_digit());
    (is_stamp && is_counter).then(|| counter.parse().ok().map(|counter| (stamp.to_owned(), counter)))?
}

/// `20261121T065501Z`: ISO 8601 basic format, UTC.
fn stamp(now: SystemTime) -> String {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Days since 1970-01-01 to year, month, day in the Gregorian calendar, by
/// counting from 1 March of year 0, so that the leap day ends a year (H. Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn stamps_are_utc_and_know_leap_years() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_709_164_800, "20240229T000000Z"),
            (1_795_244_101, "20261121T065501Z"),
            (4_107_542_400, "21000301T000000Z"),
            (4_107_456_000, "21000228T000000Z"),
        ] {
            assert_eq!(stamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn only_our_own_names_are_recognised() {
        let path = Path::new("logs/town.jsonl");
        let order = |name: &str| order_of(path, OsStr::new(name));
        let given = aside(path, "20261121T065501Z-012");
        assert_eq!(given, Path::new("logs/town.20261121T065501Z-012.jsonl"));
        assert_eq!(order("town.20261121T065501Z-012.jsonl"), Some(("20261121T065501Z".into(), 12)));
        for name in [
            "town.jsonl",
            "town.backup.jsonl",
            "town.20261121T065501Z.jsonl",
            "town.20261121T065501Z-12.jsonl",
            "town.20261121T06550xZ-012.jsonl",
            "other.20261121T065501Z-012.jsonl",
            "town.20261121T065501Z-012.json",
            "town.20261121T065501Z-012.jsonl.gz",
        ] {
            assert_eq!(order(name), None, "{name}");
        }
        let bare = Path::new("town");
        assert_eq!(aside(bare, "20261121T065501Z-000"), Path::new("town.20261121T065501Z-000"));
        assert!(order_of(bare, OsStr::new("town.20261121T065501Z-1000")).is_some());
    }
}
