//! `cargo xtask tidy`: the rules of the house that neither rustc nor clippy checks.
//!
//! Every check is a pure function over [`Workspace`], a parsed picture of the repository, and returns what it found in
//! words that name the crate or file. `tests.rs` shows for each one a bad input on which it fails.

mod documents;
mod graph;
pub(crate) mod model;
mod regressions;
mod source;
mod supply;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Result, ensure};

use self::model::Workspace;

type Check = fn(&Workspace) -> Vec<String>;

/// The name of each rule, as documents cite it (`tidy:floors`), and the check that holds it.
const CHECKS: &[(&str, Check)] = &[
    ("floors", graph::dependencies_go_strictly_down),
    ("height", graph::the_graph_is_at_most_five_high),
    ("cycles", graph::no_cycle_through_any_kind_of_edge),
    ("isolation", graph::closed_crates_know_only_what_they_may),
    ("foundation", graph::foundations_use_listed_crates_only),
    ("runtime", graph::no_async_runtime_below_floor_two),
    ("share", source::no_crate_holds_a_fifth_of_the_lines),
    ("banned", supply::no_banned_crate_in_the_graph),
    ("licences", supply::every_licence_is_allowed),
    ("names", source::no_name_that_admits_anything),
    ("length", source::no_file_is_too_long),
    ("paths", source::no_path_of_one_machine),
    ("unsafe", source::no_unsafe_outside_listed_crates),
    ("lints", source::every_crate_takes_the_workspace_lints),
    ("tests", source::no_ignored_or_sleeping_test),
    ("unfinished", source::nothing_is_marked_unfinished),
    ("regressions", regressions::every_weakness_has_a_named_test),
    ("rooms", documents::every_crate_is_in_the_documents),
    ("versions", documents::every_sample_version_is_in_the_changelog),
    ("citations", documents::every_cited_check_exists),
];

/// Runs every check and prints what each found.
pub(crate) fn run(root: &Path) -> Result<()> {
    let workspace = Workspace::load(root)?;
    for note in source::files_to_watch(&workspace) {
        println!("tidy: note: {note}");
    }
    let found = findings(&workspace);
    for (rule, text) in &found {
        println!("tidy:{rule}: {text}");
    }
    let crates = workspace.members.len();
    println!("tidy: {} checks over {crates} crates, {} findings", CHECKS.len(), found.len());
    ensure!(found.is_empty(), "tidy has {} findings", found.len());
    Ok(())
}

fn findings(workspace: &Workspace) -> Vec<(&'static str, String)> {
    let of_check = |(rule, check): &(&'static str, Check)| {
        let rule = *rule;
        check(workspace).into_iter().map(move |text| (rule, text)).collect::<Vec<_>>()
    };
    CHECKS.iter().flat_map(of_check).collect()
}
