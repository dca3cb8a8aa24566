//! The catalogue of keys, and what an unknown one was meant to be.

use crate::correct::Fix;
use crate::origin::Place;

/// A key of the configuration, as the reference lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// The dotted key.
    pub key: String,
    /// What it takes: `true or false`, `whole number`, `seconds`, a list of words, …
    pub takes: String,
    /// The default, as it would be written; empty where there is none.
    pub default: String,
}

impl KeyInfo {
    fn parent(&self) -> &str {
        self.key.rsplit_once('.').map_or("", |(parent, _)| parent)
    }

    fn name(&self) -> &str {
        self.key.rsplit_once('.').map_or(&*self.key, |(_, name)| name)
    }
}

/// A key that its block does not know.
pub(crate) struct Unknown {
    pub(crate) block: String,
    pub(crate) key: String,
    pub(crate) place: Place,
    /// The names that the block knows.
    pub(crate) known: Vec<String>,
}

/// What to say about an unknown key.
pub(crate) enum Verdict {
    /// It is a dotted key where a nested one belongs.
    Dotted { key: String },
    /// It is spelled right and stands in the wrong block.
    Misplaced { belongs: String },
    /// It resembles a key of its block.
    Similar { name: String },
    /// It resembles a key of another block.
    SimilarElsewhere { key: String },
    /// It resembles nothing.
    Strange,
}

pub(crate) fn judge(unknown: &Unknown, catalogue: &[KeyInfo]) -> Verdict {
    let related = |info: &&KeyInfo| info.parent() != unknown.block && is_related(&unknown.block, info.parent());
    if unknown.key.contains('.')
        && let Some(info) = catalogue.iter().find(|info| info.key == unknown.full())
    {
        return Verdict::Dotted { key: info.key.clone() };
    }
    let exact = catalogue.iter().filter(related).filter(|info| info.name() == unknown.key);
    if let Some(best) = exact.max_by_key(|info| closeness(&unknown.block, &info.key)) {
        return Verdict::Misplaced { belongs: best.key.clone() };
    }
    if let Some(name) = nearest(&unknown.key, unknown.known.iter().map(String::as_str)) {
        return Verdict::Similar { name: name.to_owned() };
    }
    let elsewhere = nearest(&unknown.key, catalogue.iter().filter(related).map(KeyInfo::name));
    match elsewhere.and_then(|name| {
        let same = catalogue.iter().filter(related).filter(|info| info.name() == name);
        same.max_by_key(|info| closeness(&unknown.block, &info.key))
    }) {
        Some(info) => Verdict::SimilarElsewhere { key: info.key.clone() },
        None => Verdict::Strange,
    }
}

impl Unknown {
    pub(crate) fn full(&self) -> String {
        join(&self.block, &self.key)
    }

    pub(crate) fn fix(&self, verdict: &Verdict) -> Option<Fix> {
        match verdict {
            Verdict::Dotted { key } | Verdict::Misplaced { belongs: key } => Some(Fix::Move(key.clone())),
            Verdict::Similar { name } => Some(Fix::Rename(name.clone())),
            Verdict::SimilarElsewhere { .. } | Verdict::Strange => None,
        }
    }
}

pub(crate) fn join(block: &str, key: &str) -> String {
    if block.is_empty() { key.to_owned() } else { format!("{block}.{key}") }
}

/// Keys wander among the blocks that describe sinks, or within their own block;
/// `enabled` under `transport` was not meant for `personality_narration`.
fn is_related(block: &str, other: &str) -> bool {
    let group = |path: &str| match path.split('.').nth(1) {
        None => None,
        Some("transport" | "worker" | "sinks") => Some("sink".to_owned()),
        Some(name) => Some(name.to_owned()),
    };
    match (group(block), group(other)) {
        (None, _) | (_, None) => true,
        (a, b) => a == b,
    }
}

/// Shared leading segments first, then the shorter key.
fn closeness(block: &str, key: &str) -> (usize, std::cmp::Reverse<usize>) {
    let shared = block.split('.').zip(key.split('.')).take_while(|(a, b)| a == b).count();
    (shared, std::cmp::Reverse(key.split('.').count()))
}

/// The candidate that `word` was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    let plain = |w: &str| w.trim().to_ascii_lowercase().replace('-', "_");
    let word = plain(word);
    let allowed = (word.chars().count() / 3).max(1);
    let candidates: Vec<&str> = candidates.collect();
    let by_edits = candidates
        .iter()
        .map(|candidate| (distance(&word, &plain(candidate)), candidate))
        // `a` is not a misspelt `id`.
        .filter(|(d, candidate)| *d <= allowed && *d < candidate.len())
        .min_by_key(|(d, _)| *d)
        .map(|(_, candidate)| *candidate);
    // `backoff` was meant to be `backoff_seconds`, if nothing else starts so.
    let mut longer = candidates.iter().filter(|candidate| word.len() >= 4 && candidate.starts_with(&word));
    by_edits.or_else(|| longer.next().filter(|_| longer.next().is_none()).copied())
}

/// Edits between two words: insert, delete, replace, swap of neighbours
/// (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn distances_count_edits_and_swaps() {
        for (a, b, edits) in [
            ("buffer", "buffer", 0),
            ("bufffer", "buffer", 1),
            ("bfufer", "buffer", 1),
            ("", "abc", 3),
            ("endpoint", "", 8),
            ("retires", "retry", 3),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn a_word_far_from_everything_has_no_neighbour() {
        assert_eq!(nearest("wombat", ["endpoint", "type"].into_iter()), None);
        assert_eq!(nearest("Enable-TLS", ["endpoint", "enable_tls"].into_iter()), Some("enable_tls"));
    }
}
