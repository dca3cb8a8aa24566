//! `buffer.spill`: where a sink keeps on disk what memory does not hold.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use townlet_pipeline::FsyncPolicy;

use crate::block::Block;
use crate::config::{Backpressure, BufferConfig, SinkConfig, SpillConfig};
use crate::context::Context;
use crate::correct::Fix;
use crate::diagnostic::{Code, quote};
use crate::origin::{Given, Place};
use crate::paths::resolve;
use crate::rules::Type;

/// Below this a log would be all segment headers.
const LEAST_BYTES: u64 = 1 << 20;
const DEFAULT_BYTES: u64 = 1 << 30;
const DEFAULT_INTERVAL: f64 = 1.0;

#[derive(Clone, Copy)]
enum Sync {
    Commit,
    Interval,
    Never,
}

/// The keys as given, before they are held against the sink.
pub(crate) struct Raw {
    path: Option<Given<String>>,
    keys: SpillConfig,
    /// The block, where there is anything in it.
    place: Option<Place>,
    /// `path` stands in the text, whether or not its value is any good.
    has_path: bool,
}

/// Reads the block within `buffer`.
pub(crate) fn read(ctx: &mut Context<'_>, buffer: &mut Block<'_>) -> Raw {
    let mut block = buffer.block(ctx, "spill");
    let path = block.opt_text(ctx, "path", "a path; a folder of its own");
    let max_bytes = block.int(ctx, "max_bytes", DEFAULT_BYTES, LEAST_BYTES..=1 << 44);
    let words = [("commit", Sync::Commit), ("interval", Sync::Interval), ("never", Sync::Never)];
    let fsync = block.choice(ctx, "fsync", ("commit", Sync::Commit), &words);
    let interval = block.seconds(ctx, "fsync_interval_seconds", DEFAULT_INTERVAL, 0.01..=60.0);
    if let Some(entry) = block.entry("fsync_interval_seconds").filter(|_| !matches!(fsync, Sync::Interval)) {
        let (key, place) = (block.key("fsync_interval_seconds"), entry.place.clone());
        let message = format!("{key} has no effect without 'fsync: interval'");
        ctx.warn(Code::NoEffect, &place, &key, message).help("set 'fsync: interval', or remove it");
    }
    let write_ahead = block.bool(ctx, "write_ahead", false);
    let max_age = block.opt_int(ctx, "max_age_seconds", None, 1..=31_536_000);
    let keys = SpillConfig {
        path: PathBuf::new(),
        max_bytes,
        fsync: match fsync {
            Sync::Commit => FsyncPolicy::EachCommit,
            Sync::Interval => FsyncPolicy::Every(interval),
            Sync::Never => FsyncPolicy::Never,
        },
        write_ahead,
        max_age: max_age.map(|given| Duration::from_secs(given.value)),
    };
    let place = (!block.entries().is_empty()).then(|| block.place().clone());
    let has_path = block.has("path");
    block.close(ctx);
    Raw { path, keys, place, has_path }
}

/// The sink that a spill is for, as far as it is known by now.
pub(crate) struct Of<'s> {
    /// The dotted block of its transport keys, and of its worker keys.
    pub(crate) block: &'s str,
    pub(crate) worker: &'s str,
    /// None where the type is wrong.
    pub(crate) kind: Option<(Type, &'s str)>,
    pub(crate) policy: Option<&'s Given<Backpressure>>,
    pub(crate) buffer: &'s BufferConfig,
}

/// Holds the keys against the sink and the folder against the disk. `None` where
/// nothing is spilled, and where a finding says why it cannot be.
pub(crate) fn apply(ctx: &mut Context<'_>, raw: Raw, sink: &Of<'_>) -> Option<SpillConfig> {
    let key = |name: &str| format!("{}.buffer.spill{name}", sink.block);
    let policy_key = format!("{}.backpressure", sink.worker);
    let policy = sink.policy.filter(|given| given.value == Backpressure::Spill);
    let merges = sink.policy.is_some_and(|given| given.value == Backpressure::Coalesce);
    if let Some((Type::Stdout | Type::Prometheus, name)) = sink.kind {
        let why = format!("type '{name}' has nothing to catch up with");
        if let Some(given) = policy {
            let message = format!("{policy_key}: 'spill' is not for this sink: {why}");
            ctx.error(Code::NotForType, &given.place, &policy_key, message).help("use 'drop_oldest' or 'block'");
        }
        if let Some(place) = &raw.place {
            let message = format!("{} is not for this sink: {why}", key(""));
            ctx.error(Code::NotForType, place, &key(""), message).help("remove it").fix(Fix::Remove);
        }
        return None;
    }
    let Some(given) = raw.path else {
        // A path of the wrong type has been reported already.
        if let Some(place) = policy.map(|given| &given.place).or(raw.place.as_ref()).filter(|_| !raw.has_path) {
            let key = key(".path");
            let message = match policy {
                Some(_) => format!("{key} is required when {policy_key} is 'spill'"),
                None => format!("{key} is required in a spill block"),
            };
            ctx.error(Code::Missing, place, &key, message).help("name a folder of its own, as in 'path: spool/main'");
        }
        return None;
    };
    if merges && raw.keys.write_ahead {
        let key = key(".write_ahead");
        let place = ctx.places.get(&key).cloned().unwrap_or_else(|| given.place.clone());
        let message = format!("{key}: under 'coalesce' nothing could merge, the log would have each state already");
        let help = format!("set {policy_key} to 'spill', or remove it");
        ctx.error(Code::Conflict, &place, &key, message).help(help);
    }
    if policy.is_none() && !merges {
        let message = format!("{} has no effect unless {policy_key} is 'spill' or 'coalesce'", key(""));
        let help = format!("set {policy_key} to 'spill', or remove the block");
        ctx.error(Code::Conflict, &given.place, &key(""), message).help(help);
    }
    if given.value.trim().is_empty() {
        let key = key(".path");
        ctx.error(Code::Missing, &given.place, &key, format!("{key} must not be blank"));
        return None;
    }
    let path = resolve(ctx, &key(".path"), &given.place, &given.value)?;
    check_folder(ctx, &key(".path"), &given.place, &path, "a spill");
    let least = sink.buffer.max_buffer_bytes as u64;
    if raw.keys.max_bytes < least {
        let key = key(".max_bytes");
        let place = ctx.places.get(&key).cloned().unwrap_or(given.place);
        let message = format!("{key} must be at least {}.buffer.max_buffer_bytes, {least}", sink.block);
        ctx.error(Code::Conflict, &place, &key, message).help("what memory holds goes there when the program ends");
    }
    Some(SpillConfig { path, ..raw.keys })
}

/// A folder that a process can keep `what` in, or make. Nothing is left in it.
pub(crate) fn check_folder(ctx: &mut Context<'_>, key: &str, place: &Place, path: &Path, what: &str) {
    if !ctx.check_files {
        return;
    }
    // The nearest part that exists decides whether the rest can be made.
    let standing = path.ancestors().find(|at| at.as_os_str().is_empty() || fs::symlink_metadata(at).is_ok());
    let standing = match standing {
        Some(at) if !at.as_os_str().is_empty() => at,
        _ => Path::new("."),
    };
    let problem = match fs::metadata(standing) {
        Err(error) => Some(error.to_string()),
        Ok(meta) if !meta.is_dir() => Some(format!("{} is not a folder", quote(&standing.to_string_lossy()))),
        Ok(_) => try_to_write(standing).err().map(|error| error.to_string()),
    };
    if let Some(problem) = problem {
        let message = format!("{key}: cannot keep {what} in {}: {problem}", quote(&path.to_string_lossy()));
        let help = "name a folder that this program may write to; it is made where it is missing";
        ctx.error(Code::File, place, key, message).help(help);
    }
}

/// Permissions say less than an attempt: a read-only mount, a quota.
fn try_to_write(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!(".townlet-probe-{}", std::process::id()));
    let made = fs::OpenOptions::new().write(true).create_new(true).open(&probe);
    match made {
        Ok(_) => fs::remove_file(&probe),
        // Another check of this process is at it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Spills and files of different sinks, and of the same, stay out of each other's way.
pub(crate) fn check_folders(ctx: &mut Context<'_>, sinks: &[SinkConfig]) {
    let all: Vec<_> = sinks.iter().filter_map(|sink| Some((sink, sink.buffer.spill.as_ref()?))).collect();
    for (n, (sink, spill)) in all.iter().enumerate() {
        let block = format!("{}.buffer.spill", sink.block());
        let key = format!("{block}.path");
        for writer in sinks {
            let Some(file) = &writer.settings.file_path else { continue };
            if file.starts_with(&spill.path) || spill.path.starts_with(file) {
                let message =
                    format!("{key}: the sink {} writes {} there", quote(&writer.name), quote(&file.to_string_lossy()));
                conflict(ctx, &key, message).help("give the spill a folder of its own");
            }
        }
        for (earlier, other) in &all[..n] {
            let name = quote(&earlier.name);
            if other.path == spill.path {
                for (word, same) in [
                    ("max_bytes", other.max_bytes == spill.max_bytes),
                    ("fsync", other.fsync == spill.fsync),
                    ("max_age_seconds", other.max_age == spill.max_age),
                ] {
                    if !same {
                        let key = format!("{block}.{word}");
                        let message = format!("{key}: the sink {name} shares this folder and says otherwise");
                        conflict(ctx, &key, message).help("sinks that share a folder share its limits");
                    }
                }
            } else if other.path.starts_with(&spill.path) || spill.path.starts_with(&other.path) {
                let message = format!("{key}: one folder lies within the other, of the sink {name}");
                conflict(ctx, &key, message).help("use the same folder, or two beside each other");
            }
        }
    }
}

fn conflict<'c>(ctx: &'c mut Context<'_>, key: &str, message: String) -> crate::context::Report<'c> {
    let parent = key.rsplit_once('.').map_or(key, |(parent, _)| parent);
    let place = ctx.places.get(key).or_else(|| ctx.places.get(parent)).cloned().unwrap_or_else(Place::top);
    ctx.error(Code::Conflict, &place, key, message)
}
