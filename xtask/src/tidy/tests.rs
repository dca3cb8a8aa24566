//! Each rule on an input that breaks it, and on the smallest one that does not.

use std::collections::BTreeSet;

use super::model::{External, File, Member, Workspace};
use super::{CHECKS, findings};

const DENY: &str = r#"
[licenses]
allow = [
    "MIT", # the most common one
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "Unicode-3.0",
]
[bans]
deny = [
    # { crate = "commented-out" },
    { crate = "openssl-sys", reason = "one TLS stack" },
]
"#;

fn names(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

fn member(name: &str, floor: u64, uses: &[&str], tests_with: &[&str]) -> Member {
    Member {
        uses: names(uses),
        tests_with: names(tests_with),
        version: "0.1.0".into(),
        ..Member::named(name, Some(floor))
    }
}

/// A test file that names every weakness.
fn all_weaknesses() -> String {
    super::regressions::WEAKNESSES.map(|number| format!("fn w{number}_is_held() {{}}\n")).concat()
}

/// A workspace that breaks no rule, apart from what `change` does to it.
fn workspace(change: impl FnOnce(&mut Workspace)) -> Workspace {
    let mut workspace = Workspace {
        members: vec![
            member("townlet-transport", 0, &["bytes"], &[]),
            member("townlet-testkit", 1, &["townlet-transport"], &[]),
            member("townlet-worker", 1, &["townlet-transport", "tracing"], &["townlet-testkit", "proptest"]),
            Member { folder: "xtask".into(), ..Member::named("xtask", None) },
        ],
        ..Workspace::default()
    };
    change(&mut workspace);
    let tree: Vec<&Member> = workspace.members.iter().filter(|m| m.name != "xtask").collect();
    let rows: String = tree.iter().map(|m| format!("| `{}` | x |\n", m.name)).collect();
    let mut files = vec![
        ("Cargo.toml".to_owned(), "unsafe_code = \"forbid\"".to_owned()),
        ("deny.toml".to_owned(), DENY.to_owned()),
        ("docs/ARCHITECTURE.md".to_owned(), rows.clone()),
        ("README.md".to_owned(), rows),
        ("crates/townlet-worker/tests/it/regressions.rs".to_owned(), all_weaknesses()),
    ];
    files.extend(
        workspace.members.iter().map(|m| (format!("{}/Cargo.toml", m.folder), "[lints]\nworkspace = true".into())),
    );
    // A file that the test wrote itself takes the place of the default one.
    files.retain(|(path, _)| workspace.files.iter().all(|own| own.path != *path));
    workspace.files.extend(files.into_iter().map(|(path, text)| File { path, text }));
    workspace
}

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

/// Asserts that `change` breaks exactly `rule`, with a finding that says `words`.
#[track_caller]
fn breaks(rule: &str, words: &str, change: impl FnOnce(&mut Workspace)) {
    let found = findings(&workspace(change));
    assert!(!found.is_empty(), "nothing was found");
    assert!(found.iter().all(|(broken, _)| *broken == rule), "{found:?}");
    assert!(found.iter().any(|(_, text)| text.contains(words)), "{found:?}");
}

#[track_caller]
fn holds(change: impl FnOnce(&mut Workspace)) {
    assert_eq!(findings(&workspace(change)), []);
}

#[test]
fn a_sound_workspace_has_no_findings() {
    holds(|_| {});
    let distinct: BTreeSet<&str> = CHECKS.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(distinct.len(), CHECKS.len());
}

#[test]
fn a_dependency_on_the_same_floor_is_found() {
    breaks("floors", "townlet-sim (floor 1) depends on townlet-worker", |w| {
        w.members.push(member("townlet-sim", 1, &["townlet-worker"], &[]));
    });
    breaks("floors", "townlet-sim states no floor", |w| w.members.push(Member::named("townlet-sim", None)));
}

#[test]
fn a_tower_of_seven_crates_is_found() {
    let tower = |height: u64| {
        move |w: &mut Workspace| {
            for floor in 2..=height {
                let below = format!("townlet-f{}", floor - 1);
                let below = if floor == 2 { "townlet-worker" } else { below.as_str() };
                w.members.push(member(&format!("townlet-f{floor}"), floor, &[below], &[]));
            }
        }
    };
    holds(tower(5));
    breaks("height", "townlet-f6 stands 6 crates above the ground", tower(6));
}

#[test]
fn a_cycle_through_a_test_dependency_is_found() {
    breaks("cycles", "townlet-transport reaches itself", |w| w.members[0].tests_with = names(&["townlet-testkit"]));
}

#[test]
fn a_transport_that_knows_more_than_the_contract_is_found() {
    holds(|w| w.members.push(member("townlet-transport-x", 1, &["townlet-transport"], &["townlet-testkit"])));
    breaks("isolation", "townlet-transport-x must not know townlet-schema", |w| {
        w.members.push(member("townlet-schema", 0, &[], &[]));
        w.members.push(member("townlet-transport-x", 1, &["townlet-schema"], &[]));
    });
    breaks("isolation", "the tests of townlet-transport-x must not know townlet-worker", |w| {
        w.members.push(member("townlet-transport-x", 1, &[], &["townlet-worker"]));
    });
    breaks("isolation", "townlet-sim uses townlet-testkit outside its tests", |w| {
        w.members.push(member("townlet-sim", 3, &["townlet-testkit"], &[]));
    });
    breaks("isolation", "xtask must not know townlet-transport", |w| w.members[3].uses = names(&["townlet-transport"]));
}

#[test]
fn an_unlisted_crate_in_a_foundation_is_found() {
    breaks("foundation", "townlet-worker uses regex", |w| w.members[2].uses.extend(["regex".into()]));
    // Listed, but not for this crate.
    breaks("foundation", "townlet-worker uses rustls", |w| w.members[2].uses.extend(["rustls".into()]));
    holds(|w| w.members.push(member("townlet-cli", 5, &["regex"], &[])));
}

#[test]
fn a_runtime_that_comes_in_through_somebody_else_is_found() {
    breaks("runtime", "townlet-worker brings the async runtime tokio 1.0.0", |w| {
        w.needs.insert("townlet-worker 0.1.0".into(), names(&["flume 0.12.0"]));
        w.needs.insert("flume 0.12.0".into(), names(&["tokio 1.0.0"]));
    });
}

#[test]
fn a_crate_that_outgrows_the_others_is_found() {
    let code = |lines: usize| "x\n".repeat(lines);
    let spread = |count: usize, lines: usize| {
        move |w: &mut Workspace| {
            for index in 0..count {
                let name = format!("townlet-c{index}");
                w.members.push(member(&name, 1, &[], &[]));
                let parts = (0..lines / 400).map(|part| file(&format!("crates/{name}/src/p{part}.rs"), &code(400)));
                w.files.extend(parts);
            }
        }
    };
    holds(spread(6, 2000));
    breaks("share", "holds 4000 of 16000 lines", spread(4, 4000));
    // A small workspace may still be uneven.
    holds(spread(2, 2000));
}

#[test]
fn a_banned_crate_is_found_wherever_it_comes_from() {
    let external = |name: &str, licence: Option<&str>| External {
        name: name.into(),
        version: "1.0.0".into(),
        licence: licence.map(str::to_owned),
    };
    breaks("banned", "openssl-sys 1.0.0", |w| w.externals.push(external("openssl-sys", Some("MIT"))));
    breaks("licences", "`GPL-3.0`", |w| w.externals.push(external("x", Some("GPL-3.0"))));
    breaks("licences", "states no licence", |w| w.externals.push(external("x", None)));
    breaks("licences", "`(MIT OR Apache-2.0) AND GPL-3.0`", |w| {
        w.externals.push(external("x", Some("(MIT OR Apache-2.0) AND GPL-3.0")));
    });
    breaks("licences", "`MIT WITH Some-exception`", |w| {
        w.externals.push(external("x", Some("MIT WITH Some-exception")))
    });
    breaks("licences", "`(MIT`", |w| w.externals.push(external("x", Some("(MIT"))));
    let good = ["MIT", "GPL-3.0 OR MIT", "GPL-2.0/MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"];
    for expression in good.into_iter().chain(["Apache-2.0 WITH LLVM-exception OR GPL-3.0"]) {
        holds(|w| w.externals.push(external("x", Some(expression))));
    }
    let found = findings(&workspace(|w| w.files.push(file("deny.toml", "allow = [\"MIT\"]"))));
    assert!(found.iter().any(|(rule, text)| *rule == "banned" && text.contains("bans nothing")), "{found:?}");
}

#[test]
fn a_name_that_admits_anything_is_found() {
    breaks("names", "a crate named townlet-common", |w| w.members.push(member("townlet-common", 1, &[], &[])));
    for path in ["src/util.rs", "src/utils/a.rs", "src/queue_manager.rs", "tests/it/common.rs"] {
        breaks("names", path, |w| w.files.push(file(&format!("crates/townlet-worker/{path}"), "")));
    }
    holds(|w| w.files.push(file("crates/townlet-worker/src/commons.rs", "")));
}

#[test]
fn a_file_that_nobody_can_hold_in_mind_is_found() {
    breaks("length", "has 801 lines", |w| w.files.push(file("crates/townlet-worker/src/a.rs", &"x\n".repeat(801))));
    let long = workspace(|w| w.files.push(file("crates/townlet-worker/src/a.rs", &"x\n".repeat(451))));
    assert_eq!(findings(&long), []);
    assert_eq!(super::source::files_to_watch(&long).len(), 1);
}

#[test]
fn a_path_of_one_machine_is_found_and_a_web_address_is_not() {
    let folder = ["/ho", "me/"].concat();
    breaks("paths", "notes.md:2", |w| w.files.push(file("notes.md", &format!("fine\nsee `{folder}someone/x`"))));
    holds(|w| w.files.push(file("notes.md", &format!("https://example.org{folder}x and docs{folder}y"))));
}

#[test]
fn what_tests_and_code_must_not_hold_is_found() {
    let code = |path: &str, parts: &[&str]| file(&format!("crates/townlet-worker/{path}"), &parts.concat());
    breaks("unsafe", "src/a.rs:1 uses unsafe", |w| w.files.push(code("src/a.rs", &["let x = uns", "afe { y };"])));
    holds(|w| w.files.push(code("src/a.rs", &["// no uns", "afe { } here"])));
    breaks("tests", "ignores a test", |w| w.files.push(code("src/a.rs", &["    #[ign", "ore = \"slow\"]"])));
    breaks("tests", "sleeps in a test", |w| w.files.push(code("tests/it/a.rs", &["std::thread::", "sleep(x);"])));
    holds(|w| w.files.push(code("src/a.rs", &["std::thread::", "sleep(x);"])));
    breaks("unfinished", "src/a.rs:1", |w| w.files.push(code("src/a.rs", &["// TO", "DO: later"])));
    breaks("regressions", "W22", |w| {
        let text = all_weaknesses().replace("w22_", "x22_");
        w.files.push(file("crates/townlet-worker/tests/it/regressions.rs", &text));
    });
    breaks("lints", "townlet-worker does not take", |w| w.files.push(code("Cargo.toml", &["[lints.rust]\n"])));
    breaks("lints", "does not forbid", |w| w.files.push(file("Cargo.toml", "[workspace]")));
}

#[test]
fn a_document_that_left_the_tree_behind_is_found() {
    let rows = "| `townlet-transport` |\n| `townlet-testkit` |\n";
    breaks("rooms", "README.md has no row for townlet-worker", |w| {
        w.files.push(file("README.md", &format!("{rows}The `townlet-worker` outside a table is no row.")));
    });
    breaks("rooms", "docs/ARCHITECTURE.md names townlet-spill", |w| {
        w.files.push(file("docs/ARCHITECTURE.md", &format!("{rows}| `townlet-worker` |\nsee `townlet-spill`")));
    });
    breaks("citations", "notes.md cites tidy:nothing", |w| w.files.push(file("notes.md", "held by `tidy:nothing`")));
    breaks("versions", "no row for 1.1.0", |w| {
        w.files.push(file("samples/1.1.0/MANIFEST.toml", ""));
        w.files.push(file("docs/schema/CHANGELOG.md", "| 1.0.0 | first |"));
    });
}

#[test]
fn cargo_metadata_is_read_as_cargo_writes_it() {
    let json = br#"{"packages":[
        {"id":"a","name":"townlet-a","version":"0.1.0","license":"MIT","manifest_path":"/w/crates/townlet-a/Cargo.toml",
         "features":{"default":[]},"metadata":{"townlet":{"floor":2}},"dependencies":[
            {"name":"bytes","kind":null},{"name":"cc","kind":"build"},{"name":"insta","kind":"dev"}]},
        {"id":"b","name":"bytes","version":"1.0.0","license":null,"manifest_path":"/r/bytes/Cargo.toml","features":{},
         "metadata":null,"dependencies":[]},
        {"id":"i","name":"insta","version":"1.0.0","license":"MIT","manifest_path":"/r/insta/Cargo.toml","features":{},
         "metadata":null,"dependencies":[]}],
      "workspace_members":["a"],"workspace_root":"/w","resolve":{"nodes":[{"id":"a","deps":[
         {"pkg":"b","dep_kinds":[{"kind":null},{"kind":"dev"}]},{"pkg":"i","dep_kinds":[{"kind":"dev"}]}]}]}}"#;
    let workspace = Workspace::from_metadata(json).unwrap();
    let [a] = workspace.members.as_slice() else { panic!("one member") };
    assert_eq!((a.floor, a.folder.as_str()), (Some(2), "crates/townlet-a"));
    assert_eq!((&a.uses, &a.tests_with), (&names(&["bytes", "cc"]), &names(&["insta"])));
    assert_eq!(workspace.needs["townlet-a 0.1.0"], names(&["bytes 1.0.0"]));
    assert_eq!(workspace.externals.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["bytes", "insta"]);
}

#[test]
fn this_repository_is_tidy() {
    let found = findings(&Workspace::load(crate::root()).unwrap());
    let lines: String = found.iter().map(|(rule, text)| format!("\ntidy:{rule}: {text}")).collect();
    assert!(found.is_empty(), "{lines}");
}
