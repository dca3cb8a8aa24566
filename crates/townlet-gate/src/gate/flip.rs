//! The fewest changes that approve.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::change::Change;
use super::judge::Judgement;
use super::verdict::Verdict;

/// The fewest changes of a case under which it would be approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flip {
    /// What to do. Empty where nothing does, such as for an environment that the board does not know.
    pub changes: Vec<Change>,
    /// Whether it is known that fewer do not. Otherwise the search was given up after [`Flip::MOST`] cases.
    pub exact: bool,
}

impl Flip {
    /// How many cases are judged at most.
    pub const MOST: usize = 4096;
}

impl Case {
    /// The fewest changes under which this case would be approved; `None` for one that is. Of several smallest sets
    /// the one that does not wait, and leaves the manifest as it is.
    ///
    /// Two changes can undo others: a revised manifest voids what was signed about the old one, and with a later
    /// moment samples grow old. All other changes only ever help. So the search takes each choice of these two on its
    /// own; there, what cannot be missing is found by leaving it out, and only the rest is tried in every combination.
    #[must_use]
    pub fn flip(&self) -> Option<Flip> {
        let mut search = Search { case: self, left: Flip::MOST, gave_up: false };
        if search.approves(&BTreeSet::new()) {
            return None;
        }
        let all = self.changes();
        let (upsetting, mut helping): (Vec<_>, Vec<_>) = all.clone().into_iter().partition(upsets);
        // Where evidence does as much at the same price, nobody should look for a waiver.
        helping.retain(|change| match change {
            Change::Waived { policy } if policy == "rehearsal" => !all.contains(&Change::Rehearsed),
            Change::Waived { policy } => !all.contains(&Change::PolicyHolds { policy: policy.clone() }),
            _ => true,
        });
        // The manifest stays as it is, if anything else does as well.
        let upsetting: Vec<Change> = upsetting.into_iter().rev().collect();
        let mut best: Option<BTreeSet<Change>> = None;
        for base in subsets(&upsetting) {
            let most = best.as_ref().map_or(usize::MAX, BTreeSet::len);
            if let Some(found) = search.fewest(&base, &helping, most) {
                best = Some(found);
            }
        }
        let changes = best.map(|best| best.into_iter().collect()).unwrap_or_default();
        Some(Flip { changes, exact: !search.gave_up })
    }
}

fn upsets(change: &Change) -> bool {
    matches!(change, Change::ManifestRevised | Change::AskedLater { .. })
}

/// All subsets, small ones first.
fn subsets(of: &[Change]) -> Vec<BTreeSet<Change>> {
    let count = 1_u32 << of.len().min(8);
    let chosen = |bits: u32| of.iter().enumerate().filter(move |(at, _)| bits & (1 << at) != 0);
    let mut all: Vec<BTreeSet<Change>> =
        (0..count).map(|bits| chosen(bits).map(|(_, change)| change.clone()).collect()).collect();
    all.sort_by_key(BTreeSet::len);
    all
}

struct Search<'c> {
    case: &'c Case,
    left: usize,
    gave_up: bool,
}

impl Search<'_> {
    fn approves(&mut self, changes: &BTreeSet<Change>) -> bool {
        if self.left == 0 {
            self.gave_up = true;
            return false;
        }
        self.left -= 1;
        self.case.with(changes).judge().verdict == Verdict::Approve
    }

    /// The fewest of `helping` that approve together with `base`, if they are less than `most` in all.
    fn fewest(&mut self, base: &BTreeSet<Change>, helping: &[Change], most: usize) -> Option<BTreeSet<Change>> {
        let mut all = base.clone();
        all.extend(helping.iter().cloned());
        if base.len() >= most || !self.approves(&all) {
            return None;
        }
        // What cannot be missing, because everything else together does not do.
        let mut forced = base.clone();
        let mut rest = Vec::new();
        for change in helping {
            if forced.len() >= most {
                return None;
            }
            all.remove(change);
            if self.approves(&all) {
                rest.push(change)
            } else {
                forced.insert(change.clone());
            }
            all.insert(change.clone());
        }
        // What has nothing to mend in any combination does not have to be tried.
        let judged = self.case.with(&forced).judge();
        if judged.verdict == Verdict::Approve {
            return (forced.len() < most).then_some(forced);
        }
        let useful: Vec<&Change> = rest.into_iter().filter(|change| mends(&judged, change)).collect();
        for size in 1..=useful.len() {
            if forced.len() + size >= most {
                return None;
            }
            let mut places: Vec<usize> = (0..size).collect();
            loop {
                let mut tried = forced.clone();
                tried.extend(places.iter().filter_map(|at| useful.get(*at)).map(|change| (*change).clone()));
                if self.approves(&tried) {
                    return Some(tried);
                }
                if self.gave_up || !advance(&mut places, useful.len()) {
                    break;
                }
            }
        }
        // The search was given up: everything does, and more than that is not known.
        all.retain(|change| forced.contains(change) || useful.contains(&change));
        (all.len() < most).then_some(all)
    }
}

/// Whether a change could matter: the condition that it is about does not hold.
fn mends(judged: &Judgement, change: &Change) -> bool {
    let blocks = |id: &str| judged.condition(id).is_some_and(|condition| condition.standing.blocks());
    let any = |which: &str| judged.conditions.iter().any(|one| one.id.starts_with(which) && one.standing.blocks());
    match change {
        Change::ManifestSigned => blocks("author"),
        Change::Approved { .. } => any("approval:"),
        Change::SuitesPassed | Change::ScorecardSigned => any(""),
        Change::Rehearsed => blocks("rehearsal"),
        Change::Attested { .. } => any("attestation:") || any("approval:"),
        Change::IncidentsClosed => any(""),
        Change::PolicyHolds { policy } | Change::Waived { policy } => blocks(policy),
        Change::ManifestRevised | Change::AskedLater { .. } => true,
    }
}

/// The next combination of the same size, in order.
fn advance(places: &mut [usize], of: usize) -> bool {
    let size = places.len();
    let Some(at) = (0..size).rev().find(|at| places[*at] < of - size + at) else { return false };
    places[at] += 1;
    for next in at + 1..size {
        places[next] = places[next - 1] + 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::advance;

    #[test]
    fn every_combination_comes_once() {
        let (mut places, mut seen) = (vec![0, 1, 2], vec![vec![0, 1, 2]]);
        while advance(&mut places, 5) {
            seen.push(places.clone());
        }
        let mut once = seen.clone();
        once.dedup();
        assert_eq!((seen.len(), once.len(), seen.last()), (10, 10, Some(&vec![2, 3, 4])));
        assert!(!advance(&mut [], 3));
    }
}
