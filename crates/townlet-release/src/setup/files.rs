//! The files that a first release needs.

use super::workspace::{CargoWorkspace, Product};

/// No workspace gets more lines, all files together.
pub const MOST_LINES: usize = 30;

/// So many products are written into the draft; with more of them the lines would not do.
pub const MOST_PRODUCTS: usize = 5;

/// A file to write, below the folder for releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// What stands in it.
    pub text: String,
}

/// Two environments that take the author's word, and one that takes three people who are not the author.
const BOARD: &str = "\
environments: # every key is needed: what is not demanded, it says
  dev: { authors: [release-engineer], approvals: automatic, policies: all, window: not required,
    readiness: { signed_by: [ci], max_age: 24h }, rehearsal: not required, waivers: none }
  staging: { authors: [release-engineer], approvals: automatic, policies: all, window: not required,
    readiness: { signed_by: [ci], max_age: 24h }, rehearsal: not required, waivers: none }
  production: { authors: [release-engineer], policies: all, window: not required, waivers: none,
    approvals: { roles: [change-board, sre-on-call, product-owner], max_age: 7d },
    readiness: { signed_by: [ci], max_age: 24h },
    rehearsal: { signed_by: [sre-on-call], in: [staging], max_age: 30d, within: 15m } }
";

const POLICIES: &str = "policies: { readiness_passed: true } # limits on what is measured too: error_rate: < 0.01\n";

/// Secret keys, evidence and the registry stay where they are made.
const IGNORED: &str = "/keys/\n/out/\n/townlet-registry.db*\n";

impl CargoWorkspace {
    /// What to write into the folder `release` of the workspace. `locked` says whether it has a `Cargo.lock`, which
    /// builds then keep to. Of more than [`MOST_PRODUCTS`] products the first ones are taken.
    #[must_use]
    pub fn files(&self, locked: bool) -> Vec<File> {
        vec![
            File { name: "readiness.yaml", text: readiness(locked) },
            File { name: "change-board.yaml", text: BOARD.to_owned() },
            File { name: "policies.yaml", text: POLICIES.to_owned() },
            File { name: "release.yaml", text: draft(&self.products) },
            File { name: ".gitignore", text: IGNORED.to_owned() },
        ]
    }
}

/// The target folder is that of the draft, whatever the caller's environment says.
fn readiness(locked: bool) -> String {
    let locked = if locked { ", --locked" } else { "" };
    format!(
        "\
pass_env: [PATH, HOME, CARGO_HOME, RUSTUP_HOME, RUSTUP_TOOLCHAIN]
tools: {{ rustc: [rustc, --version], cargo: [cargo, --version] }}
suites: # what has to pass before a release goes anywhere
  - {{ name: tests, kind: unit, directory: .., env: {{ CARGO_TARGET_DIR: target }}, timeout: 30m,
      command: [cargo, test, --workspace{locked}] }}
  - {{ name: build, kind: integration, directory: .., env: {{ CARGO_TARGET_DIR: target }}, timeout: 30m,
      command: [cargo, build, --release{locked}] }}
"
    )
}

fn draft(products: &[Product]) -> String {
    let mut artifacts: Vec<(&str, &str)> =
        products.iter().take(MOST_PRODUCTS).map(|product| (product.name.as_str(), product.path.as_str())).collect();
    if artifacts.is_empty() {
        // Nothing is built; what pins everything is shipped.
        artifacts.push(("Cargo.lock", "Cargo.lock"));
    }
    let artifacts: Vec<String> = artifacts
        .into_iter()
        .map(|(name, path)| {
            format!("{{ name: {}, version: \"{{{{REVISION}}}}\", path: {} }}", quoted(name), quoted(path))
        })
        .collect();
    format!(
        "\
release: \"{{{{RELEASE}}}}\" # `townlet release` fills in what stands in braces, and the digests of the files
author: \"{{{{AUTHOR}}}}\"
environments: [dev, staging, production]
artifacts: [{}]
readiness: {{ run_id: \"{{{{RUN_ID}}}}\", scorecard: \"{{{{SCORECARD}}}}\" }}
rollback_plan: {{ policy: release/policies.yaml, rules: [readiness_passed], steps: [reinstall-previous] }}
",
        artifacts.join(",\n  ")
    )
}

/// A text that no name can break out of: a JSON string is a YAML string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
