//! The committed streams: `samples/<schema version>/*.jsonl`, each with its origin and digest in `MANIFEST.toml`.
//!
//! A sample of ours names the seed and the configuration that made it, so anybody can make it again; one of somebody
//! else's names where it came from. Every reader must read every version for ever.

mod manifest;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use self::manifest::{Manifest, Origin, Sample};
use crate::townlet::{Frames, Run, Townlet, exit};

/// The run of the sample that the smoke suite compares itself with.
pub(crate) const TOWN: Run = Run { ticks: 40, agents: 4, seed: 11 };

/// What `--capture` records: a name and the length of the run.
const RECIPES: &[(&str, Run)] = &[("town", TOWN)];

/// Writes the samples of the current schema version.
pub(crate) fn capture(root: &Path, townlet: &Path, replace: bool) -> Result<()> {
    let townlet = Townlet::at(townlet);
    let scratch = Scratch::new("capture")?;
    let mut samples = Vec::new();
    for (name, run) in RECIPES {
        let (file, config) = (format!("{name}.jsonl"), format!("{name}.yaml"));
        std::fs::write(scratch.0.join(&config), configuration(&file))?;
        let bytes = record(&townlet, &scratch.0.join(&config), *run, &scratch.0.join(&file))?;
        samples.push(Sample {
            file,
            lines: lines(&bytes),
            sha256: digest(&bytes),
            origin: Origin::Seeded { config, run: *run },
        });
    }
    let schema_version = version(&scratch.0, &samples)?;
    let folder = root.join("samples").join(&schema_version);
    if folder.exists() && !replace {
        bail!("samples/{schema_version} exists; a released version is frozen, an unreleased one needs --replace");
    }
    std::fs::create_dir_all(&folder)?;
    for sample in &samples {
        let Origin::Seeded { config, .. } = &sample.origin else { continue };
        for name in [&sample.file, config] {
            std::fs::copy(scratch.0.join(name), folder.join(name)).with_context(|| format!("cannot write {name}"))?;
        }
        println!("samples/{schema_version}/{}: {} lines, sha256 {}", sample.file, sample.lines, sample.sha256);
    }
    std::fs::write(folder.join("MANIFEST.toml"), Manifest { schema_version, samples }.to_text())?;
    Ok(())
}

/// Checks every version's samples, and that the seeded ones of the current version can be made again.
pub(crate) fn check(root: &Path, townlet: &Path) -> Result<()> {
    let townlet = Townlet::at(townlet);
    let manifests = manifests(root)?;
    ensure!(!manifests.is_empty(), "no samples/*/MANIFEST.toml: run `cargo xtask samples --capture`");
    let mut repeated = 0;
    for (folder, manifest) in &manifests {
        intact(folder, manifest)?;
        for sample in &manifest.samples {
            let file = folder.join(&sample.file);
            readable(&townlet, &file, sample, &manifest.schema_version).with_context(|| file.display().to_string())?;
        }
        repeated += repeat(&townlet, folder, manifest)?;
    }
    ensure!(repeated > 0, "the producer writes a schema version without samples: run `cargo xtask samples --capture`");
    let samples: usize = manifests.iter().map(|(_, manifest)| manifest.samples.len()).sum();
    println!("samples: {samples} in {} versions read, {repeated} made again byte for byte", manifests.len());
    Ok(())
}

/// The manifests below `samples/`, in the order of their folders.
fn manifests(root: &Path) -> Result<Vec<(PathBuf, Manifest)>> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root.join("samples"))
        .context("no samples/ folder")?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    folders.sort();
    let with_manifest = folders.into_iter().filter(|folder| folder.join("MANIFEST.toml").is_file());
    with_manifest
        .map(|folder| Manifest::read(&folder.join("MANIFEST.toml")).map(|manifest| (folder, manifest)))
        .collect()
}

/// Fails unless the folder holds exactly the bytes that its manifest lists.
fn intact(folder: &Path, manifest: &Manifest) -> Result<()> {
    for sample in &manifest.samples {
        let path = folder.join(&sample.file);
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let found = (lines(&bytes), digest(&bytes));
        ensure!(
            found.0 == sample.lines,
            "{} has {} lines, its manifest says {}",
            path.display(),
            found.0,
            sample.lines
        );
        ensure!(
            found.1 == sample.sha256,
            "{} has sha256 {}, its manifest says {}",
            path.display(),
            found.1,
            sample.sha256
        );
    }
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let listed = manifest.samples.iter().any(|sample| sample.file == name);
        ensure!(listed || !name.ends_with(".jsonl"), "{}/{name} is not in MANIFEST.toml", folder.display());
    }
    Ok(())
}

fn readable(townlet: &Townlet, file: &Path, sample: &Sample, version: &str) -> Result<()> {
    let inspection = townlet.inspect(file)?;
    match &sample.origin {
        Origin::Seeded { .. } => inspection.is_clean()?,
        Origin::Elsewhere(_) => inspection.is_readable()?,
    }
    ensure!(inspection.has_version(version), "inspect finds no record of schema version {version}");
    Ok(())
}

/// Makes the seeded samples again; how many, which is none when the producer has moved on to another version.
fn repeat(townlet: &Townlet, folder: &Path, manifest: &Manifest) -> Result<usize> {
    let scratch = Scratch::new("repeat")?;
    let mut repeated = 0;
    for sample in &manifest.samples {
        let Origin::Seeded { config, run } = &sample.origin else { continue };
        let fresh = record(townlet, &folder.join(config), *run, &scratch.0.join(&sample.file))?;
        if !Frames::count(&fresh)?.versions.contains(&manifest.schema_version) {
            return Ok(0);
        }
        let committed = std::fs::read(folder.join(&sample.file))?;
        if fresh != committed {
            let mut pairs = committed.split(|b| *b == b'\n').zip(fresh.split(|b| *b == b'\n'));
            let line = pairs
                .position(|(old, new)| old != new)
                .map_or_else(|| "the end".into(), |at| format!("line {}", at + 1));
            bail!("{}/{}: seed {} now gives other bytes, from {line} on", folder.display(), sample.file, run.seed);
        }
        repeated += 1;
    }
    Ok(repeated)
}

/// Runs the town into a file.
pub(crate) fn record(townlet: &Townlet, config: &Path, run: Run, to: &Path) -> Result<Vec<u8>> {
    townlet.simulate(config, run, None, Some(to))?.expect_code(exit::YES, "simulate")?;
    std::fs::read(to).with_context(|| format!("simulate wrote no {}", to.display()))
}

/// The one schema version of all captured samples.
fn version(folder: &Path, samples: &[Sample]) -> Result<String> {
    let mut versions = std::collections::BTreeSet::new();
    for sample in samples {
        versions.extend(Frames::count(&std::fs::read(folder.join(&sample.file))?)?.versions);
    }
    ensure!(versions.len() == 1, "the capture holds schema versions {versions:?}, not one");
    versions.pop_first().context("the capture holds no schema version")
}

/// `block` makes the run lossless however slow the disk is; the bytes must not depend on it.
fn configuration(file: &str) -> String {
    format!(
        "telemetry:\n  transport:\n    type: file\n    file_path: {file}\n  worker:\n    \
         backpressure: block\n    block_timeout_seconds: 5.0\n"
    )
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// A folder that is gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(purpose: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("xtask-samples-{purpose}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind in the temporary folder harms nobody.
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(bytes: &[u8]) -> Sample {
        Sample {
            file: "a.jsonl".into(),
            lines: lines(bytes),
            sha256: digest(bytes),
            origin: Origin::Elsewhere("x".into()),
        }
    }

    #[test]
    fn a_changed_a_missing_and_an_unlisted_file_are_found() {
        let scratch = Scratch::new("intact").unwrap();
        let manifest = |samples| Manifest { schema_version: "1.0.0".into(), samples };
        let listed = manifest(vec![sample(b"{}\n")]);
        assert!(intact(&scratch.0, &listed).unwrap_err().to_string().contains("cannot read"));
        std::fs::write(scratch.0.join("a.jsonl"), "{}\n").unwrap();
        intact(&scratch.0, &listed).unwrap();
        let unlisted = intact(&scratch.0, &manifest(vec![])).unwrap_err().to_string();
        assert!(unlisted.contains("a.jsonl is not in MANIFEST.toml"), "{unlisted}");
        std::fs::write(scratch.0.join("a.jsonl"), "[]\n").unwrap();
        assert!(intact(&scratch.0, &listed).unwrap_err().to_string().contains("has sha256"));
        std::fs::write(scratch.0.join("a.jsonl"), "{}\n{}\n").unwrap();
        assert!(intact(&scratch.0, &listed).unwrap_err().to_string().contains("has 2 lines"));
    }

    #[test]
    fn the_digest_is_the_one_that_sha256sum_prints() {
        assert_eq!(digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
