//! Checks that bind the documents to the tree, because duty does not.

use std::collections::BTreeSet;

use super::CHECKS;
use super::model::Workspace;

const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";
const SCHEMA_CHANGELOG: &str = "docs/schema/CHANGELOG.md";

pub(super) fn every_crate_is_in_the_documents(workspace: &Workspace) -> Vec<String> {
    let crates: BTreeSet<&str> =
        workspace.members.iter().filter(|m| m.folder.starts_with("crates/")).map(|m| m.name.as_str()).collect();
    let mut found = Vec::new();
    for path in [ARCHITECTURE, "README.md"] {
        let text = workspace.text(path);
        let in_tables: BTreeSet<&str> = text.lines().filter(|line| line.starts_with('|')).flat_map(quoted).collect();
        found.extend(
            crates.iter().filter(|name| !in_tables.contains(*name)).map(|name| format!("{path} has no row for {name}")),
        );
        let named = text.lines().flat_map(quoted).filter(|name| is_crate_name(name)).collect::<BTreeSet<_>>();
        found.extend(named.difference(&crates).map(|name| format!("{path} names {name}, which does not exist")));
    }
    found
}

pub(super) fn every_sample_version_is_in_the_changelog(workspace: &Workspace) -> Vec<String> {
    let manifests =
        workspace.files.iter().filter_map(|file| file.path.strip_prefix("samples/")?.strip_suffix("/MANIFEST.toml"));
    let rows = workspace.text(SCHEMA_CHANGELOG);
    let has_row = |version: &&str| rows.lines().any(|line| line.starts_with(&format!("| {version} |")));
    let missing = manifests.filter(|version| !has_row(version));
    missing.map(|version| format!("{SCHEMA_CHANGELOG} has no row for {version}, which has samples")).collect()
}

/// Documents say which check holds an invariant (`tidy:floors`); such a check must exist.
pub(super) fn every_cited_check_exists(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for file in workspace.files.iter().filter(|file| file.path.ends_with(".md")) {
        let cited = file.text.lines().flat_map(quoted).filter_map(|word| word.strip_prefix("tidy:"));
        let unknown = cited.filter(|name| !CHECKS.iter().any(|(rule, _)| rule == name));
        found.extend(unknown.map(|name| format!("{} cites tidy:{name}, which does not exist", file.path)));
    }
    found
}

/// What stands between backticks in a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_crate_name(word: &str) -> bool {
    let rest = word.strip_prefix("townlet-");
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
}
