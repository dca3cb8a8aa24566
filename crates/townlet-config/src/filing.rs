//! The keys of a sink that writes files: when one is finished, what becomes of it
//! then, and how eagerly it is synced.

use std::time::Duration;

use townlet_transport::{Compression, Fsync, Settings};

use crate::block::Block;
use crate::context::Context;
use crate::diagnostic::Code;
use crate::origin::{Given, Place};
use crate::rules::Type;

/// The keys of this module, in the order of the reference.
const KEYS: [&str; 7] =
    ["fsync", "fsync_interval_seconds", "rotate_bytes", "rotate_seconds", "keep_files", "keep_bytes", "keep_seconds"];

/// What stands in for the interval until it is known.
const INTERVAL: Fsync = Fsync::Interval(Duration::from_secs(1));

/// The keys as given.
pub(crate) struct Raw {
    fsync: Option<Given<Fsync>>,
    fsync_interval: Option<Given<Duration>>,
    rotate_bytes: Option<Given<u64>>,
    rotate_seconds: Option<Given<u64>>,
    keep_files: Option<Given<u64>>,
    keep_bytes: Option<Given<u64>>,
    keep_seconds: Option<Given<u64>>,
}

pub(crate) fn read(ctx: &mut Context<'_>, block: &mut Block<'_>) -> Raw {
    let syncs = [
        ("never", Fsync::Never),
        ("on_rotation", Fsync::OnRotation),
        ("on_flush", Fsync::OnFlush),
        ("interval", INTERVAL),
        ("each_batch", Fsync::EachBatch),
    ];
    Raw {
        fsync: block.opt_choice(ctx, "fsync", "never", &syncs),
        fsync_interval: {
            let value = block.seconds(ctx, "fsync_interval_seconds", 1.0, 0.01..=60.0);
            let entry = block.entry("fsync_interval_seconds");
            entry.map(|entry| Given { value, place: entry.place.clone() })
        },
        rotate_bytes: block.opt_int(ctx, "rotate_bytes", None, 1024..=1 << 40),
        rotate_seconds: block.opt_int(ctx, "rotate_seconds", None, 1..=31_536_000),
        keep_files: block.opt_int(ctx, "keep_files", None, 1..=100_000),
        keep_bytes: block.opt_int(ctx, "keep_bytes", None, 1024..=1 << 50),
        keep_seconds: block.opt_int(ctx, "keep_seconds", None, 60..=3_153_600_000),
    }
}

impl Raw {
    /// The keys that were given, with their places.
    pub(crate) fn given(&self) -> [(&'static str, Option<&Place>); 7] {
        fn place<T>(given: &Option<Given<T>>) -> Option<&Place> {
            given.as_ref().map(|given| &given.place)
        }
        let [fsync, interval, bytes, seconds, keep_files, keep_bytes, keep_seconds] = KEYS;
        [
            (fsync, place(&self.fsync)),
            (interval, place(&self.fsync_interval)),
            (bytes, place(&self.rotate_bytes)),
            (seconds, place(&self.rotate_seconds)),
            (keep_files, place(&self.keep_files)),
            (keep_bytes, place(&self.keep_bytes)),
            (keep_seconds, place(&self.keep_seconds)),
        ]
    }
}

/// The types that read a key of this module.
pub(crate) fn readers(key: &str) -> &'static [Type] {
    if KEYS.contains(&key) { &[Type::File] } else { &[] }
}

/// Puts the keys among the settings for the factory, and points out those without
/// effect. `path` is the path as it was written.
pub(crate) fn apply(
    ctx: &mut Context<'_>,
    block: &Block<'_>,
    raw: &Raw,
    compression: &Option<Given<Compression>>,
    path: &str,
    settings: &mut Settings,
) {
    let number = |given: &Option<Given<u64>>| given.as_ref().map(|given| given.value);
    settings.fsync = raw.fsync.as_ref().map_or(Fsync::Never, |given| given.value);
    settings.rotate_bytes = number(&raw.rotate_bytes);
    settings.rotate_after = number(&raw.rotate_seconds).map(Duration::from_secs);
    settings.keep_files = number(&raw.keep_files).map(|keep| usize::try_from(keep).unwrap_or(usize::MAX));
    settings.keep_bytes = number(&raw.keep_bytes);
    settings.keep_for = number(&raw.keep_seconds).map(Duration::from_secs);
    match (&raw.fsync_interval, settings.fsync) {
        (Some(given), Fsync::Interval(_)) => settings.fsync = Fsync::Interval(given.value),
        (Some(given), _) => {
            let key = block.key("fsync_interval_seconds");
            let message = format!("{key} has no effect without 'fsync: interval'");
            ctx.warn(Code::NoEffect, &given.place, &key, message).help("set 'fsync: interval', or remove it");
        }
        (None, _) => {}
    }
    let names_a_time = path.replace("%%", "").contains('%');
    if raw.rotate_bytes.is_some() || raw.rotate_seconds.is_some() || names_a_time {
        return;
    }
    let gzip = compression.as_ref().filter(|given| given.value == Compression::Gzip).map(|given| &given.place);
    let given = raw.given();
    let idle = given.into_iter().filter(|(name, _)| name.starts_with("keep_")).chain([("compression", gzip)]);
    for (name, place) in idle {
        let Some(place) = place else { continue };
        let key = block.key(name);
        let message = format!("{key} has no effect: the file is never rotated");
        let help = "set rotate_bytes or rotate_seconds too, or name the day in file_path, as in logs/%F/town.jsonl";
        ctx.warn(Code::NoEffect, place, &key, message).help(help);
    }
}
