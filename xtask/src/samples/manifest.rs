//! `MANIFEST.toml` of a samples folder: flat keys and `[[sample]]` tables, the only TOML that is needed here.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::townlet::Run;

/// The samples of one schema version.
#[derive(Debug, PartialEq)]
pub(super) struct Manifest {
    pub(super) schema_version: String,
    pub(super) samples: Vec<Sample>,
}

/// One stream.
#[derive(Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) file: String,
    pub(super) lines: u64,
    pub(super) sha256: String,
    pub(super) origin: Origin,
}

/// Where a stream comes from.
#[derive(Debug, PartialEq)]
pub(super) enum Origin {
    /// Our own producer, with this configuration (a file beside the sample) and this run.
    Seeded { config: String, run: Run },
    /// Somebody else's, under the licence that the text names.
    Elsewhere(String),
}

impl Manifest {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let mut tables = vec![BTreeMap::new()];
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line == "[[sample]]" {
                tables.push(BTreeMap::new());
            } else if !line.is_empty() && !line.starts_with('#') {
                let Some((key, value)) = line.split_once('=') else {
                    bail!("line {}: neither table nor key", index + 1)
                };
                if let Some(table) = tables.last_mut() {
                    table.insert(key.trim(), value.trim().trim_matches('"'));
                }
            }
        }
        let mut tables = tables.into_iter();
        let head = tables.next().unwrap_or_default();
        let samples = tables.map(|table| Sample::from_table(&table)).collect::<Result<_>>()?;
        Ok(Self { schema_version: text_of(&head, "schema_version")?, samples })
    }

    pub(super) fn to_text(&self) -> String {
        let head = "# Written by `cargo xtask samples --capture`, held by `cargo xtask samples --check`.\n";
        let mut text = format!("{head}schema_version = \"{}\"\n", self.schema_version);
        for sample in &self.samples {
            let Sample { file, lines, sha256, origin } = sample;
            let origin = match origin {
                Origin::Seeded { config, run: Run { ticks, agents, seed } } => {
                    format!("config = \"{config}\"\nseed = {seed}\nticks = {ticks}\nagents = {agents}\n")
                }
                Origin::Elsewhere(origin) => format!("origin = \"{origin}\"\n"),
            };
            text.push_str(&format!(
                "\n[[sample]]\nfile = \"{file}\"\n{origin}lines = {lines}\nsha256 = \"{sha256}\"\n"
            ));
        }
        text
    }
}

impl Sample {
    fn from_table(table: &BTreeMap<&str, &str>) -> Result<Self> {
        let origin = match table.get("origin") {
            Some(origin) => Origin::Elsewhere((*origin).to_owned()),
            None => Origin::Seeded {
                config: text_of(table, "config")?,
                run: Run {
                    ticks: number(table, "ticks")?,
                    agents: number(table, "agents")?,
                    seed: number(table, "seed")?,
                },
            },
        };
        Ok(Self {
            file: text_of(table, "file")?,
            lines: number(table, "lines")?,
            sha256: text_of(table, "sha256")?,
            origin,
        })
    }
}

fn text_of(table: &BTreeMap<&str, &str>, key: &str) -> Result<String> {
    table.get(key).map(|value| (*value).to_owned()).with_context(|| format!("`{key}` is missing"))
}

fn number(table: &BTreeMap<&str, &str>, key: &str) -> Result<u64> {
    text_of(table, key)?.parse().with_context(|| format!("`{key}` is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_back_what_it_wrote() {
        let seeded = Origin::Seeded { config: "a.yaml".into(), run: Run { ticks: 3, agents: 2, seed: 9 } };
        let sample = |file: &str, origin| Sample { file: file.into(), lines: 4, sha256: "ab".into(), origin };
        let samples = vec![sample("a.jsonl", seeded), sample("b.jsonl", Origin::Elsewhere("townlet, MIT".into()))];
        let manifest = Manifest { schema_version: "1.0.0".into(), samples };
        assert_eq!(Manifest::parse(&manifest.to_text()).unwrap(), manifest);
    }

    #[test]
    fn a_manifest_with_a_hole_says_what_is_missing() {
        let error = |text: &str| Manifest::parse(text).unwrap_err().to_string();
        assert_eq!(error(""), "`schema_version` is missing");
        assert_eq!(error("schema_version = \"1.0.0\"\n[[sample]]\nfile = \"a\"\n"), "`config` is missing");
        assert_eq!(error("what"), "line 1: neither table nor key");
    }
}
