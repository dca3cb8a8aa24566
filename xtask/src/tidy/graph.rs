//! Checks of the dependency graph: who may know whom.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Member, Workspace};

/// The longest chain of normal dependencies that stays easy to hold in mind.
const MAX_HEIGHT: usize = 5;

/// Crates that may know only these of ours: (name, or name and `*`; normal; in tests).
const CLOSED: &[(&str, &[&str], &[&str])] = &[
    (
        "townlet-transport-*",
        &["townlet-transport", "townlet-tls", "townlet-http", "townlet-nats", "townlet-fields"],
        &["townlet-testkit"],
    ),
    ("townlet-http", &["townlet-transport", "townlet-tls"], &["townlet-testkit"]),
    ("townlet-nats", &["townlet-transport", "townlet-tls"], &["townlet-testkit"]),
    ("townlet-worker", &["townlet-transport", "townlet-spill"], &["townlet-testkit"]),
    ("xtask", &[], &[]),
];

/// What the crates of floors 0 and 1 may use from outside, and which of them. Everything above inherits it, so each
/// entry is a decision. Hosts pay for these in build time, audits and version conflicts.
const FOUNDATION: &[(&str, &[&str])] = &[
    ("bytes", &["*"]),
    (
        "serde",
        &[
            "townlet-schema",
            "townlet-transform",
            "townlet-transport-prometheus",
            "townlet-registry",
            "townlet-fields",
            "townlet-transport-otlp",
        ],
    ),
    (
        "serde_json",
        &[
            "townlet-schema",
            "townlet-transform",
            "townlet-transport-prometheus",
            "townlet-registry",
            "townlet-fields",
            "townlet-transport-otlp",
            "townlet-nats",
        ],
    ),
    ("thiserror", &["*"]),
    ("tracing", &["*"]),
    ("crc32fast", &["townlet-spill", "townlet-registry"]),
    ("itoa", &["townlet-schema"]),
    ("schemars", &["townlet-schema"]),
    ("jsonschema", &["townlet-transform"]),
    ("memchr", &["townlet-transform"]),
    ("granit-parser", &["townlet-policy"]),
    ("sha2", &["townlet-transform", "townlet-transport-http", "townlet-registry", "townlet-transport-otlp"]),
    ("hmac", &["townlet-transform"]),
    ("rustix", &["townlet-transport-file"]),
    ("socket2", &["townlet-transport-tcp", "townlet-transport-websocket", "townlet-testkit"]),
    ("httparse", &["townlet-transport-websocket"]),
    ("tungstenite", &["townlet-transport-websocket"]),
    ("rustls", &["townlet-tls", "townlet-transport-tcp", "townlet-http", "townlet-nats", "townlet-testkit"]),
    ("reqwest", &["townlet-http"]),
    ("flate2", &["townlet-http", "townlet-transport-tcp", "townlet-transport-file", "townlet-testkit"]),
    ("zstd", &["townlet-http"]),
    ("httpdate", &["townlet-http"]),
    ("percent-encoding", &["townlet-http"]),
    ("nkeys", &["townlet-nats", "townlet-testkit"]),
    ("zeroize", &["townlet-http", "townlet-nats", "townlet-registry"]),
    ("async-nats", &["townlet-nats"]),
    ("futures-util", &["townlet-nats"]),
    ("tokio", &["townlet-http", "townlet-nats"]),
    ("prometheus", &["townlet-transport-prometheus"]),
    ("opentelemetry-proto", &["townlet-transport-otlp"]),
    ("prost", &["townlet-transport-otlp"]),
    ("subtle", &["townlet-transport-prometheus"]),
    ("rustls-pki-types", &["townlet-tls", "townlet-testkit"]),
    ("rustls-platform-verifier", &["townlet-tls"]),
    ("x509-parser", &["townlet-tls"]),
    ("base64", &["townlet-registry", "townlet-nats", "townlet-testkit"]),
    ("ed25519-dalek", &["townlet-registry"]),
    ("getrandom", &["townlet-registry"]),
    ("jiff", &["townlet-registry"]),
    ("rusqlite", &["townlet-registry"]),
    ("ryu-js", &["townlet-registry"]),
    // Of the tests only: hosts never link the testkit.
    ("rcgen", &["townlet-testkit"]),
    ("tempfile", &["townlet-testkit"]),
    ("tracing-subscriber", &["townlet-testkit"]),
];

/// What may stand among development dependencies only, so that no host pays for it.
const TESTS_ONLY: &str = "townlet-testkit";

/// Is never published, and its programs are tests: it may build on what is for tests only.
const LAB: &str = "townlet-lab";

/// Runtimes that a host chooses for itself; floors 0 and 1 bring none, not even through somebody else.
const RUNTIMES: &[&str] = &["tokio", "async-std", "smol", "async-executor"];

/// Leaves that hide a runtime, with what for. Nothing of it shows in their API, and they run it on a thread of their
/// own, so that hosts with and without a runtime may use them.
const HIDES_RUNTIME: &[(&str, &str)] = &[
    ("townlet-http", "reqwest, on the thread of its courier"),
    ("townlet-transport-http", "that of townlet-http"),
    ("townlet-transport-otlp", "that of townlet-http"),
    ("townlet-nats", "the client of NATS, on the thread of its engine"),
    ("townlet-transport-nats", "that of townlet-nats"),
];

pub(super) fn dependencies_go_strictly_down(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for member in workspace.members.iter().filter(|member| !member.is_xtask()) {
        let Some(floor) = member.floor else {
            found.push(format!("{} states no floor ([package.metadata.townlet] floor = N)", member.name));
            continue;
        };
        for used in ours(workspace, &member.uses) {
            let below = used.floor.unwrap_or(u64::MAX);
            if below >= floor {
                found.push(format!("{} (floor {floor}) depends on {}, which is not lower", member.name, used.name));
            }
        }
    }
    found
}

pub(super) fn the_graph_is_at_most_five_high(workspace: &Workspace) -> Vec<String> {
    fn height(workspace: &Workspace, member: &Member, above: &[&str]) -> usize {
        // A cycle is the finding of another check; here it only must not run for ever.
        let lower = ours(workspace, &member.uses).filter(|used| !above.contains(&used.name.as_str()));
        let path: Vec<&str> = above.iter().copied().chain([member.name.as_str()]).collect();
        lower.map(|used| 1 + height(workspace, used, &path)).max().unwrap_or(0)
    }
    let high = workspace.members.iter().map(|member| (height(workspace, member, &[]), &member.name));
    let high = high.filter(|(height, _)| *height > MAX_HEIGHT);
    high.map(|(height, name)| format!("{name} stands {height} crates above the ground; at most {MAX_HEIGHT}")).collect()
}

pub(super) fn no_cycle_through_any_kind_of_edge(workspace: &Workspace) -> Vec<String> {
    let edges: BTreeMap<&str, BTreeSet<&str>> = workspace
        .members
        .iter()
        .map(|member| {
            let all = ours(workspace, &member.uses).chain(ours(workspace, &member.tests_with));
            (member.name.as_str(), all.map(|used| used.name.as_str()).collect())
        })
        .collect();
    let through = |name: &&str| reachable(&edges, name).contains(*name);
    edges
        .keys()
        .filter(|name| through(name))
        .map(|name| format!("{name} reaches itself through its dependencies"))
        .collect()
}

pub(super) fn closed_crates_know_only_what_they_may(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for member in &workspace.members {
        if member.uses.contains(TESTS_ONLY) && member.name != LAB {
            found.push(format!("{} uses {TESTS_ONLY} outside its tests", member.name));
        }
        for (_, normal, tests) in CLOSED.iter().filter(|(pattern, _, _)| matches(pattern, &member.name)) {
            let wrong = ours(workspace, &member.uses).filter(|used| !normal.contains(&used.name.as_str()));
            let in_tests = ours(workspace, &member.tests_with)
                .filter(|used| !normal.contains(&used.name.as_str()) && !tests.contains(&used.name.as_str()));
            found.extend(wrong.map(|used| format!("{} must not know {}", member.name, used.name)));
            found.extend(in_tests.map(|used| format!("the tests of {} must not know {}", member.name, used.name)));
        }
    }
    found
}

pub(super) fn foundations_use_listed_crates_only(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for member in workspace.members.iter().filter(|member| is_low(member)) {
        for used in member.uses.iter().filter(|name| workspace.member(name).is_none()) {
            let listed =
                FOUNDATION.iter().any(|(name, users)| name == used && users.iter().any(|u| matches(u, &member.name)));
            if !listed {
                found.push(format!("{} uses {used}, which FOUNDATION in xtask does not grant it", member.name));
            }
        }
    }
    found
}

pub(super) fn no_async_runtime_below_floor_two(workspace: &Workspace) -> Vec<String> {
    let edges: BTreeMap<&str, BTreeSet<&str>> = workspace
        .needs
        .iter()
        .map(|(name, needed)| (name.as_str(), needed.iter().map(String::as_str).collect()))
        .collect();
    let mut found = Vec::new();
    let low = workspace.members.iter().filter(|member| is_low(member));
    for member in low.filter(|member| HIDES_RUNTIME.iter().all(|(name, _)| *name != member.name)) {
        for needed in reachable(&edges, &format!("{} {}", member.name, member.version)) {
            if RUNTIMES.contains(&needed.split(' ').next().unwrap_or_default()) {
                found.push(format!("{} brings the async runtime {needed}", member.name));
            }
        }
    }
    found
}

/// Floors 0 and 1, and the transports that stand on floor 2 because they share a crate of floor 1.
fn is_low(member: &Member) -> bool {
    member.floor.is_some_and(|floor| floor <= 1) || matches("townlet-transport-*", &member.name)
}

/// Those of `names` that are crates of this workspace.
fn ours<'a>(workspace: &'a Workspace, names: &'a BTreeSet<String>) -> impl Iterator<Item = &'a Member> {
    names.iter().filter_map(|name| workspace.member(name))
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// Everything that a walk along the edges meets, the start itself only if the walk comes back to it.
fn reachable<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>, start: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = edges.get(start).into_iter().flatten().copied().collect();
    while let Some(name) = open.pop() {
        if seen.insert(name) {
            open.extend(edges.get(name).into_iter().flatten());
        }
    }
    seen
}
