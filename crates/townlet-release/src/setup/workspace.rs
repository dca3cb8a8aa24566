//! What `cargo metadata` says of a workspace.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;

/// A Cargo workspace, as far as its releases need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CargoWorkspace {
    /// Its folder.
    pub root: PathBuf,
    /// What `cargo build --release` makes there, in the order of the packages.
    pub products: Vec<Product>,
}

/// A file that a build makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Of the target, and unique among the products.
    pub name: String,
    /// Seen from the folder of the workspace, where the target folder is `target`.
    pub path: String,
}

/// An answer of cargo that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cargo metadata wrote what this program cannot read: {0}")]
pub struct MetadataError(#[from] serde_json::Error);

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    /// Not before cargo 1.71.
    #[serde(default)]
    workspace_default_members: Vec<String>,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    #[serde(default, rename = "required-features")]
    required_features: Vec<String>,
}

impl CargoWorkspace {
    /// Reads the output of `cargo metadata --format-version 1 --no-deps`.
    ///
    /// What is shipped are the programs and foreign libraries of the default members; where there are none, their Rust
    /// libraries. A target that needs features is left out: the build does not make it.
    ///
    /// # Errors
    /// For anything that is no such output.
    pub fn from_metadata(json: &[u8]) -> Result<Self, MetadataError> {
        let read: Metadata = serde_json::from_slice(json)?;
        let default = &read.workspace_default_members;
        let built = if default.is_empty() { &read.workspace_members } else { default };
        let targets = || {
            let packages = read.packages.iter().filter(|package| built.contains(&package.id));
            packages.flat_map(|package| &package.targets).filter(|target| target.required_features.is_empty())
        };
        let mut products: Vec<Product> = targets().filter_map(shipped).collect();
        if products.is_empty() {
            products = targets().filter_map(linked).collect();
        }
        let mut names = BTreeSet::new();
        products.retain(|product| names.insert(product.name.clone()));
        Ok(Self { root: read.workspace_root, products })
    }
}

fn product(target: &Target, file: &str) -> Product {
    Product { name: target.name.clone(), path: format!("target/release/{file}") }
}

/// What runs, or is linked by others than cargo.
fn shipped(target: &Target) -> Option<Product> {
    let (library, is) = (target.name.replace('-', "_"), |kind: &str| target.kind.iter().any(|of| of == kind));
    if is("bin") {
        Some(product(target, &target.name))
    } else if is("cdylib") {
        let ending = if cfg!(target_os = "macos") { "dylib" } else { "so" };
        Some(product(target, &format!("lib{library}.{ending}")))
    } else if is("staticlib") {
        Some(product(target, &format!("lib{library}.a")))
    } else {
        None
    }
}

/// A library for Rust programs.
fn linked(target: &Target) -> Option<Product> {
    let rust = target.kind.iter().any(|kind| kind == "lib" || kind == "rlib");
    rust.then(|| product(target, &format!("lib{}.rlib", target.name.replace('-', "_"))))
}
