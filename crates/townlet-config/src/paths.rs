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

/// Warns where others on this machine may read a file that is as good as an identity. No
/// error: some platforms mount secrets so, and keep everybody else off the machine.
pub(crate) fn warn_of_readers(ctx: &mut Context<'_>, key: &str, place: &Place, path: &Path) {
    if ctx.check_files && others_may_read(path) {
        let message = format!("{key}: everybody on this machine may read {}", quote(&path.to_string_lossy()));
        ctx.warn(Code::File, place, key, message).help("chmod 600, and chown it to the user that runs this");
    }
}

#[cfg(unix)]
fn others_may_read(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn others_may_read(_: &Path) -> bool {
    false
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
