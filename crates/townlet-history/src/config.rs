//! Configurations of releases: `configs/<env>/<release>.toml`, known by digest.

use std::path::{Component, Path};

use townlet_registry::Digest;

use crate::history::{History, Told};
use crate::statement::ConfigVersion;

/// A path that does not say which configuration it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path} is not configs/<env>/<release>.toml, which says where a configuration is for and of which release it is"
)]
pub struct PlaceError {
    /// The path.
    pub path: String,
}

/// The environment and the release of a configuration, by where its file is kept: the last three parts of its path are
/// `configs`, the environment and the release with `.toml`.
///
/// # Errors
/// [`PlaceError`] for any other path.
pub fn place(path: &str) -> Result<(String, String), PlaceError> {
    let wrong = || PlaceError { path: path.to_owned() };
    let mut parts = Path::new(path).components().rev().map(|part| match part {
        Component::Normal(part) => part.to_str(),
        _ => None,
    });
    let mut next = || parts.next().flatten().ok_or_else(wrong);
    let (file, environment, folder) = (next()?, next()?, next()?);
    match file.strip_suffix(".toml") {
        Some(release) if folder == "configs" && !release.is_empty() => Ok((environment.to_owned(), release.to_owned())),
        _ => Err(wrong()),
    }
}

impl Told<ConfigVersion> {
    /// Of the bytes of the file.
    #[must_use]
    pub fn file(&self) -> Option<Digest> {
        self.subjects.first().copied()
    }
}

impl History {
    /// The versions that were recorded for a release in an environment, oldest first.
    #[must_use]
    pub fn configs_of(&self, environment: &str, release: &str) -> Vec<&Told<ConfigVersion>> {
        let of = |told: &&Told<ConfigVersion>| told.said.environment == environment && told.said.release == release;
        self.configs.iter().filter(of).collect()
    }
}
