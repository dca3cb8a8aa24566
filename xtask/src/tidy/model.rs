//! A picture of the repository: what `cargo metadata` says, and the text of every file that git would commit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process;

/// The repository, as the checks see it.
#[derive(Default)]
pub(crate) struct Workspace {
    pub(crate) members: Vec<Member>,
    /// Every package of the resolved graph that is not ours, on every platform.
    pub(crate) externals: Vec<External>,
    /// Who needs whom at run or build time, by `name version`, in the whole resolved graph.
    pub(crate) needs: BTreeMap<String, BTreeSet<String>>,
    /// Every text file that git knows or would add.
    pub(crate) files: Vec<File>,
}

/// One of our crates.
#[derive(Default)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) floor: Option<u64>,
    /// The folder below the root, with `/` between its parts.
    pub(crate) folder: String,
    pub(crate) features: Vec<String>,
    /// Dependencies of a normal or build kind, ours and others'.
    pub(crate) uses: BTreeSet<String>,
    /// Development dependencies.
    pub(crate) tests_with: BTreeSet<String>,
}

/// A package from a registry.
pub(crate) struct External {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The SPDX expression of its manifest.
    pub(crate) licence: Option<String>,
}

/// A text file, its path relative to the root.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Member {
    /// A crate of that name on that floor, for tests.
    #[cfg(test)]
    pub(crate) fn named(name: &str, floor: Option<u64>) -> Self {
        Self { name: name.to_owned(), floor, folder: format!("crates/{name}"), ..Self::default() }
    }

    /// Whether it is this task runner, which links nothing of ours and so has no floor.
    pub(crate) fn is_xtask(&self) -> bool {
        self.name == "xtask"
    }
}

impl Workspace {
    /// Reads the repository. Works offline when the registry is already at hand, which after any build it is.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let metadata = |extra: &[&str]| {
            let mut command = process::cargo(root);
            command.args(["metadata", "--format-version", "1", "--locked"]).args(extra);
            command.output().context("cannot start `cargo metadata`")
        };
        let mut answer = metadata(&["--offline"])?;
        if !answer.status.success() {
            answer = metadata(&[])?;
        }
        if !answer.status.success() {
            bail!("`cargo metadata --locked` failed: {}", process::tail(&String::from_utf8_lossy(&answer.stderr)));
        }
        let mut workspace = Self::from_metadata(&answer.stdout)?;
        workspace.files = committed_files(root)?;
        Ok(workspace)
    }

    pub(crate) fn from_metadata(json: &[u8]) -> Result<Self> {
        let metadata: Metadata = serde_json::from_slice(json).context("cannot read what `cargo metadata` wrote")?;
        let label: BTreeMap<&str, String> =
            metadata.packages.iter().map(|p| (p.id.as_str(), format!("{} {}", p.name, p.version))).collect();
        let mut workspace = Self::default();
        for node in metadata.resolve.iter().flat_map(|resolve| &resolve.nodes) {
            let needed =
                node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev")));
            let needed = needed.filter_map(|dep| label.get(dep.pkg.as_str()).cloned()).collect();
            if let Some(name) = label.get(node.id.as_str()) {
                workspace.needs.insert(name.clone(), needed);
            }
        }
        for package in &metadata.packages {
            if metadata.workspace_members.contains(&package.id) {
                workspace.members.push(package.member(&metadata.workspace_root));
            } else {
                let Package { name, version, license, .. } = package;
                let (name, version, licence) = (name.clone(), version.clone(), license.clone());
                workspace.externals.push(External { name, version, licence });
            }
        }
        Ok(workspace)
    }

    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// The text of a file, or nothing where it does not exist.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.files.iter().find(|file| file.path == path).map_or("", |file| &file.text)
    }

    /// Our Rust files.
    pub(crate) fn rust_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    workspace_root: String,
    resolve: Option<Resolve>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: String,
    dependencies: Vec<Dependency>,
    features: BTreeMap<String, Vec<String>>,
    metadata: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
}

#[derive(Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

impl Package {
    fn member(&self, workspace_root: &str) -> Member {
        let of_kind = |dev: bool| {
            let matching = self.dependencies.iter().filter(move |d| (d.kind.as_deref() == Some("dev")) == dev);
            matching.map(|dependency| dependency.name.clone()).collect()
        };
        let folder = self.manifest_path.strip_prefix(workspace_root).unwrap_or(&self.manifest_path).replace('\\', "/");
        let folder = folder.trim_start_matches('/').trim_end_matches("Cargo.toml").trim_end_matches('/').to_owned();
        Member {
            name: self.name.clone(),
            version: self.version.clone(),
            floor: self.metadata.as_ref().and_then(|table| table.pointer("/townlet/floor")?.as_u64()),
            folder,
            features: self.features.keys().cloned().collect(),
            uses: of_kind(false),
            tests_with: of_kind(true),
        }
    }
}

/// The files that git tracks or would add, as far as they are text.
fn committed_files(root: &Path) -> Result<Vec<File>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = git.output().context("cannot start `git`, which tells which files are ours")?;
    if !listed.status.success() {
        bail!("`git ls-files` failed: {}", process::tail(&String::from_utf8_lossy(&listed.stderr)));
    }
    let mut files = Vec::new();
    for path in String::from_utf8_lossy(&listed.stdout).split_terminator('\0') {
        // A tracked file that was deleted, and a file that is not text, are none of ours.
        if let Ok(text) = std::fs::read_to_string(root.join(path)) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    Ok(files)
}
