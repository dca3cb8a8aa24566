//! What is written for a workspace, and whether those who read it take it.

use townlet_gate::gate::{Approvals, Board, Policies, read_policy};
use townlet_gate::manifest::{self, Files};
use townlet_policy::Findings;
use townlet_registry::{Digest, Time};
use townlet_release::setup::{CargoWorkspace, File, MOST_LINES, MOST_PRODUCTS};

fn target(name: &str, kind: &str, more: &str) -> String {
    format!(r#"{{ "name": "{name}", "kind": ["{kind}"], "crate_types": ["{kind}"] {more} }}"#)
}

/// Packages `p0`, `p1`, … with these targets.
fn workspace(default: &[usize], packages: &[Vec<String>]) -> CargoWorkspace {
    let id = |n: &usize| format!("\"path+file:///w#p{n}\"");
    let all: Vec<usize> = (0..packages.len()).collect();
    let list = |of: &[usize]| of.iter().map(id).collect::<Vec<_>>().join(",");
    let packages = packages.iter().enumerate().map(|(n, targets)| {
        format!(r#"{{ "id": {}, "name": "p{n}", "version": "0.1.0", "targets": [{}] }}"#, id(&n), targets.join(","))
    });
    let packages = packages.collect::<Vec<_>>().join(",");
    let json = format!(
        r#"{{ "packages": [{packages}], "workspace_members": [{}], "workspace_default_members": [{}],
            "resolve": null, "target_directory": "/w/target", "version": 1, "workspace_root": "/w", "metadata": null }}"#,
        list(&all),
        list(default)
    );
    CargoWorkspace::from_metadata(json.as_bytes()).unwrap()
}

fn paths(workspace: &CargoWorkspace) -> Vec<&str> {
    workspace.products.iter().map(|product| product.path.as_str()).collect()
}

#[test]
fn what_is_shipped_are_the_programs_of_the_default_members_and_without_one_their_libraries() {
    let packages = [
        vec![target("hello_app", "lib", ""), target("hello-app", "bin", ""), target("it", "test", "")],
        vec![target("extra", "bin", r#", "required-features": ["gui"]"#)],
        vec![target("xtask", "bin", "")],
    ];
    assert_eq!(paths(&workspace(&[0, 1], &packages)), ["target/release/hello-app"]);
    assert_eq!(paths(&workspace(&[], &packages)), ["target/release/hello-app", "target/release/xtask"]);
    let foreign = vec![target("to-c", "cdylib", ""), target("to_static", "staticlib", "")];
    let ending = if cfg!(target_os = "macos") { "dylib" } else { "so" };
    let wanted = [format!("target/release/libto_c.{ending}"), "target/release/libto_static.a".to_owned()];
    assert_eq!(paths(&workspace(&[0], &[foreign])), wanted);
    let libraries = [vec![target("one-two", "lib", "")], vec![target("derive", "proc-macro", "")]];
    assert_eq!(paths(&workspace(&[0, 1], &libraries)), ["target/release/libone_two.rlib"]);
    assert!(workspace(&[0], &[vec![target("derive", "proc-macro", "")]]).products.is_empty());
}

#[test]
fn what_is_no_metadata_is_refused() {
    for json in ["", "{}", "[]", r#"{ "packages": 7 }"#] {
        assert!(CargoWorkspace::from_metadata(json.as_bytes()).is_err(), "{json}");
    }
}

/// Every file is as long as it says.
struct Everything;

impl Files for Everything {
    fn digest(&self, path: &str) -> Result<(Digest, u64), String> {
        Ok((Digest::of(path.as_bytes()), path.len() as u64))
    }
}

fn text<'f>(files: &'f [File], name: &str) -> &'f str {
    &files.iter().find(|file| file.name == name).unwrap().text
}

#[test]
fn every_file_is_read_without_a_finding_however_many_programs_there_are_and_thirty_lines_do() {
    for count in [0, 1, 2, MOST_PRODUCTS, MOST_PRODUCTS + 1, 40] {
        let bins: Vec<String> = (0..count).map(|n| target(&format!("program-{n}"), "bin", "")).collect();
        let workspace = workspace(&[0], &[bins]);
        for locked in [true, false] {
            let files = workspace.files(locked);
            let lines: usize = files.iter().map(|file| file.text.lines().count()).sum();
            assert!(lines <= MOST_LINES, "{lines} lines for {count} programs");
            let longest = files.iter().flat_map(|file| file.text.lines()).map(|line| line.chars().count()).max();
            assert!(longest.unwrap() <= 120, "{longest:?}");

            let suites = text(&files, "readiness.yaml");
            let mut found = Findings::new("readiness.yaml", suites);
            let config = townlet_readiness::suite::Config::read(suites, &mut found).unwrap();
            assert!(found.is_empty(), "{found}");
            assert!(config.suites.iter().all(|suite| suite.blocking && suite.timeout.is_some()));
            assert_eq!(config.suites.iter().all(|suite| suite.command.contains(&"--locked".to_owned())), locked);

            let policies = text(&files, "policies.yaml");
            let policy = read_policy(policies, "policies.yaml").unwrap();
            let variables = |name: &str| match name {
                "RELEASE" | "AUTHOR" | "REVISION" | "RUN_ID" | "SCORECARD" => Some(name.to_lowercase()),
                _ => None,
            };
            let draft = text(&files, "release.yaml");
            let made = manifest::draft(draft, "release.yaml", Time::from_ms(0), &variables, &Everything).unwrap();
            assert_eq!(made.artifacts.len(), count.clamp(1, MOST_PRODUCTS));
            // The rules of the rollback are rules that there are.
            assert!(made.rollback_plan.rules.iter().all(|id| policy.rules.iter().any(|rule| rule.id == *id)));
        }
    }
}

#[test]
fn dev_and_staging_take_the_authors_word_and_production_takes_three_others() {
    let files = workspace(&[], &[]).files(false);
    let board = Board::read(text(&files, "change-board.yaml"), "change-board.yaml").unwrap();
    assert_eq!(board.environments.keys().collect::<Vec<_>>(), ["dev", "production", "staging"]);
    for (name, demands) in &board.environments {
        assert!(demands.readiness.is_some() && demands.policies == Policies::All, "{name}");
        match &demands.approvals {
            Approvals::Automatic => assert_ne!(name, "production"),
            Approvals::Roles { roles, .. } => assert_eq!((name.as_str(), roles.len()), ("production", 3)),
        }
    }
    assert!(board.environments["production"].rehearsal.is_some());
    let ignored = text(&files, ".gitignore");
    assert!(["/keys/", "/out/", "/townlet-registry.db*"].iter().all(|line| ignored.lines().any(|of| of == *line)));
}
