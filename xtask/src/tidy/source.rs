//! Checks of the files themselves: names, sizes, and what must not stand in them.

use super::model::{File, Workspace};

/// Below this many lines a share says nothing yet.
const SHARE_FROM: usize = 10_000;
/// A file longer than this is named, so that somebody looks at it.
const WATCH_LINES: usize = 450;
/// A file longer than this fails, unless `LONG_FILES` says why it may be.
const MAX_LINES: usize = 800;
/// Files that may be longer, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];
/// Crates that may use `unsafe`, each with the reason. They need a lint table of their own.
const UNSAFE_CRATES: &[(&str, &str)] = &[];
/// Names that admit anything, so that everything ends up there.
const VAGUE: &[&str] = &["core", "common", "util", "utils", "helper", "helpers", "manager"];
/// Folders in which the people and machines that build this have their copy.
const MACHINE_FOLDERS: &[&str] = &[concat!("/wor", "k/"), concat!("/roo", "t/"), concat!("/hom", "e/")];

pub(super) fn no_crate_holds_a_fifth_of_the_lines(workspace: &Workspace) -> Vec<String> {
    let sizes: Vec<(&str, usize)> =
        workspace.members.iter().map(|member| (member.name.as_str(), lines_under(workspace, &member.folder))).collect();
    let total: usize = sizes.iter().map(|(_, lines)| lines).sum();
    if total < SHARE_FROM {
        return Vec::new();
    }
    let large = sizes.iter().filter(|(_, lines)| lines * 5 > total);
    large.map(|(name, lines)| format!("{name} holds {lines} of {total} lines; at most a fifth")).collect()
}

pub(super) fn no_name_that_admits_anything(workspace: &Workspace) -> Vec<String> {
    let vague = |name: &str| VAGUE.iter().any(|word| name.rsplit(['-', '_']).next() == Some(*word));
    let crates = workspace.members.iter().map(|member| member.name.as_str()).filter(|name| vague(name));
    let mut found: Vec<String> = crates.map(|name| format!("a crate named {name}")).collect();
    for file in workspace.rust_files() {
        let parts = file.path.trim_end_matches(".rs").split('/');
        // The folders above `src` and `tests` are crates, judged above.
        let modules = parts.skip_while(|part| !matches!(*part, "src" | "tests" | "benches" | "examples"));
        if modules.clone().any(vague) {
            found.push(format!("a module named like a drawer: {}", file.path));
        }
    }
    found
}

pub(super) fn no_file_is_too_long(workspace: &Workspace) -> Vec<String> {
    let long = sources(workspace).filter(|(_, lines)| *lines > MAX_LINES);
    let long = long.filter(|(file, _)| !LONG_FILES.iter().any(|(path, _)| *path == file.path));
    long.map(|(file, lines)| format!("{} has {lines} lines; at most {MAX_LINES}", file.path)).collect()
}

/// Files long enough to be looked at; no finding, a note.
pub(super) fn files_to_watch(workspace: &Workspace) -> Vec<String> {
    let long = sources(workspace).filter(|(_, lines)| (WATCH_LINES + 1..=MAX_LINES).contains(lines));
    long.map(|(file, lines)| format!("{} has {lines} lines: one reason to change?", file.path)).collect()
}

pub(super) fn no_path_of_one_machine(workspace: &Workspace) -> Vec<String> {
    fn names_a_machine(line: &str) -> bool {
        let starts_a_path = |at: usize| {
            let before = line[..at].chars().next_back();
            before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '.' | '_' | '-' | '}' | ')' | '*'))
        };
        MACHINE_FOLDERS.iter().any(|folder| line.match_indices(folder).any(|(at, _)| starts_a_path(at)))
    }
    lines_where(workspace.files.iter(), names_a_machine, "names a folder of one machine")
}

pub(super) fn no_unsafe_outside_listed_crates(workspace: &Workspace) -> Vec<String> {
    let word = concat!("uns", "afe ");
    let listed = |file: &&File| UNSAFE_CRATES.iter().any(|(name, _)| file.path.starts_with(&format!("crates/{name}/")));
    let uses = |line: &str| {
        let code = line.split_once("//").map_or(line, |(code, _)| code);
        ["{", "fn ", "impl ", "extern ", "trait "].iter().any(|next| code.contains(&format!("{word}{next}")))
    };
    lines_where(workspace.rust_files().filter(|file| !listed(file)), uses, "uses unsafe")
}

pub(super) fn every_crate_takes_the_workspace_lints(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    if !workspace.text("Cargo.toml").contains("unsafe_code = \"forbid\"") {
        found.push("the root Cargo.toml does not forbid unsafe code".to_owned());
    }
    for member in &workspace.members {
        let manifest = workspace.text(&format!("{}/Cargo.toml", member.folder));
        let takes_them =
            manifest.split_once("[lints]").is_some_and(|(_, rest)| rest.trim_start().starts_with("workspace = true"));
        if !takes_them && !UNSAFE_CRATES.iter().any(|(name, _)| *name == member.name) {
            found.push(format!("{} does not take the lints of the workspace", member.name));
        }
    }
    found
}

pub(super) fn no_ignored_or_sleeping_test(workspace: &Workspace) -> Vec<String> {
    let mut found =
        lines_where(workspace.rust_files(), |line| line.trim_start().starts_with("#[ignore"), "ignores a test");
    let in_tests = workspace.rust_files().filter(|file| file.path.contains("/tests/"));
    found.extend(lines_where(in_tests, |line| line.contains(concat!("thread::", "sleep")), "sleeps in a test"));
    found
}

pub(super) fn nothing_is_marked_unfinished(workspace: &Workspace) -> Vec<String> {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("unimpl", "emented!(")];
    lines_where(workspace.rust_files(), |line| marks.iter().any(|mark| line.contains(mark)), "is marked unfinished")
}

/// Our `src` files with their lengths.
fn sources(workspace: &Workspace) -> impl Iterator<Item = (&File, usize)> {
    let files = workspace.rust_files().filter(|file| file.path.contains("/src/"));
    files.map(|file| (file, file.text.lines().count()))
}

fn lines_under(workspace: &Workspace, folder: &str) -> usize {
    let prefix = format!("{folder}/src/");
    sources(workspace).filter(|(file, _)| file.path.starts_with(&prefix)).map(|(_, lines)| lines).sum()
}

fn lines_where<'a>(
    files: impl Iterator<Item = &'a File>,
    is_wrong: impl Fn(&str) -> bool + Copy,
    what: &str,
) -> Vec<String> {
    let wrong = files.flat_map(move |file| {
        let lines = file.text.lines().enumerate().filter(move |(_, line)| is_wrong(line));
        lines.map(move |(index, _)| (&file.path, index + 1))
    });
    wrong.map(|(path, line)| format!("{path}:{line} {what}")).collect()
}
