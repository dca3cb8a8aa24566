//! Files that keys name.

use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::diagnostic::{Code, quote};
use crate::origin::Place;

/// A path as the process will use it: `~` expanded, and relative to the
/// configuration's folder, not to wherever the process was started.
pub(crate) fn resolve(ctx: &mut Context<'_>, key: &str, place: &Place, text: &str) -> Option<PathBuf> {
    let path = match (text.strip_prefix('~'), ctx.home) {
        (Some(""), Some(home)) => home.to_owned(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        (Some(rest), None) if rest.is_empty() || rest.starts_with('/') => {
            let message = format!("{key}: '~' cannot be expanded, no home directory is known");
            ctx.error(Code::File, place, key, message).help("write the path out");
            return None;
        }
        _ => PathBuf::from(text),
    };
    Some(match ctx.base_dir {
        Some(base) => base.join(path),
        None => path,
    })
}

/// Opens a file that a key names. Pipes and devices are left alone: opening one
/// can wait for ever or swallow what the transport should read.
pub(crate) fn check_readable(ctx: &mut Context<'_>, key: &str, place: &Place, path: &Path) {
    if !ctx.check_files {
        return;
    }
    let shown = quote(&path.to_string_lossy());
    let problem = match std::fs::metadata(path) {
        Err(error) => Some(error.to_string()),
        Ok(meta) if meta.is_dir() => Some("it is a directory".to_owned()),
        Ok(meta) if meta.is_file() => std::fs::File::open(path).err().map(|error| error.to_string()),
        Ok(_) => None,
    };
    if let Some(problem) = problem {
        let help = "relative paths start at the folder of the configuration file";
        let message = format!("{key}: cannot read {shown}: {problem}");
        ctx.error(Code::File, place, key, message).help(help);
    }
}
