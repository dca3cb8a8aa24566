//! `dead_letters`: the file in which a sink keeps what its peer refuses for good.

use crate::block::Block;
use crate::config::{DeadLettersConfig, SinkConfig};
use crate::context::Context;
use crate::correct::Fix;
use crate::diagnostic::{Code, quote};
use crate::origin::{Given, Place};
use crate::paths::resolve;
use crate::rules::Type;
use crate::spill::check_folder;

const DEFAULT_BYTES: u64 = 64 << 20;
/// A line of usual size has room.
const LEAST_BYTES: u64 = 4096;

/// The keys as given, before they are held against the type of the sink.
pub(crate) struct Raw {
    path: Option<Given<String>>,
    max_bytes: u64,
    /// The block, where there is anything in it.
    place: Option<Place>,
    /// `path` stands in the text, whether or not its value is any good.
    has_path: bool,
}

/// Reads the block within those of a sink.
pub(crate) fn read(ctx: &mut Context<'_>, sink: &mut Block<'_>) -> Raw {
    let mut block = sink.block(ctx, "dead_letters");
    let path = block.opt_text(ctx, "path", "a path; a file of its own");
    let max_bytes = block.int(ctx, "max_bytes", DEFAULT_BYTES, LEAST_BYTES..=1 << 40);
    let place = (!block.entries().is_empty()).then(|| block.place().clone());
    let has_path = block.has("path");
    block.close(ctx);
    Raw { path, max_bytes, place, has_path }
}

/// Holds the keys against the type, and the folder of the file against the disk.
pub(crate) fn apply(
    ctx: &mut Context<'_>,
    raw: Raw,
    block: &str,
    kind: Option<&(Type, String)>,
) -> Option<DeadLettersConfig> {
    let place = raw.place?;
    let key = format!("{block}.dead_letters");
    if let Some((Type::Stdout | Type::File | Type::Prometheus, name)) = kind {
        let message = format!("{key} is not for this sink: type '{name}' has no peer that refuses anything");
        ctx.error(Code::NotForType, &place, &key, message).help("remove it").fix(Fix::Remove);
        return None;
    }
    let path_key = format!("{key}.path");
    let Some(given) = raw.path else {
        // A path of the wrong type has been reported already.
        if !raw.has_path {
            let message = format!("{path_key} is required in this block");
            ctx.error(Code::Missing, &place, &path_key, message).help("name a file, as in 'path: refused.jsonl'");
        }
        return None;
    };
    if given.value.trim().is_empty() {
        ctx.error(Code::Missing, &given.place, &path_key, format!("{path_key} must not be blank"));
        return None;
    }
    let path = resolve(ctx, &path_key, &given.place, &given.value)?;
    if let Some(folder) = path.parent() {
        check_folder(ctx, &path_key, &given.place, folder, "dead letters");
    }
    Some(DeadLettersConfig { path, max_bytes: raw.max_bytes })
}

/// Dead letters stay out of the way of what sinks write, and those that share a file
/// share its limit.
pub(crate) fn check_files(ctx: &mut Context<'_>, sinks: &[SinkConfig]) {
    let all: Vec<_> = sinks.iter().filter_map(|sink| Some((sink, sink.dead_letters.as_ref()?))).collect();
    for (n, (sink, letters)) in all.iter().enumerate() {
        let key = format!("{}.dead_letters.path", sink.block());
        let place = ctx.places.get(&key).cloned().unwrap_or_else(Place::top);
        for other in sinks {
            let writes = other.settings.file_path.as_ref() == Some(&letters.path);
            let spills = other.buffer.spill.as_ref().is_some_and(|spill| letters.path.starts_with(&spill.path));
            if writes || spills {
                let what = if writes { "writes its lines" } else { "keeps its spill" };
                let message = format!("{key}: the sink {} {what} there", quote(&other.name));
                ctx.error(Code::Conflict, &place, &key, message).help("give dead letters a file of their own");
            }
        }
        for (earlier, other) in &all[..n] {
            if other.path == letters.path && other.max_bytes != letters.max_bytes {
                let key = format!("{}.dead_letters.max_bytes", sink.block());
                let place = ctx.places.get(&key).cloned().unwrap_or_else(|| place.clone());
                let message = format!("{key}: the sink {} shares this file and says otherwise", quote(&earlier.name));
                ctx.error(Code::Conflict, &place, &key, message).help("sinks that share a file share its limit");
            }
        }
    }
}
