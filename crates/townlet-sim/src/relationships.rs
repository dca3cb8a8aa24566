//! Ties between agents: directed trust and familiarity in `-1..=1`, rivalry in `0..=1`, at most six per agent.

use std::collections::{BTreeMap, VecDeque};

use crate::conflict::push_bounded;
use crate::events::named;
use crate::town::{self, AgentRef};

/// Ties that one agent can keep; a seventh evicts the weakest.
pub const MAX_TIES: usize = 6;
/// Rivalry from which an agent keeps away from the other.
pub(crate) const AVOID_RIVALRY: f64 = 0.7;
/// Length of a churn window in ticks.
pub const CHURN_WINDOW_TICKS: u64 = 600;

const RIVALRY_DECAY: f64 = 0.005;
const RIVALRY_FORGOTTEN: f64 = 0.05;
const CHURN_HISTORY: usize = 8;
/// A smaller change of a tie is no update.
const CHANGE: f64 = 1e-6;

/// What one agent feels about another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tie {
    pub(crate) other: AgentRef,
    pub(crate) trust: f64,
    pub(crate) familiarity: f64,
    pub(crate) rivalry: f64,
}

impl Tie {
    fn strength(&self) -> f64 {
        self.trust.abs() + self.familiarity.abs() + self.rivalry
    }
}

/// The ties of one agent, newest last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ties {
    len: u8,
    edges: [Option<Tie>; MAX_TIES],
}

impl Ties {
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Tie> {
        self.edges[..usize::from(self.len)].iter().flatten()
    }

    pub(crate) fn get(&self, other: AgentRef) -> Option<&Tie> {
        self.iter().find(|tie| tie.other == other)
    }

    pub(crate) fn rivalry(&self, other: AgentRef) -> f64 {
        self.get(other).map_or(0.0, |tie| tie.rivalry)
    }

    pub(crate) fn trust(&self, other: AgentRef) -> f64 {
        self.get(other).map_or(0.0, |tie| tie.trust)
    }

    fn retain(&mut self, mut keep: impl FnMut(&mut Tie) -> bool) {
        let mut kept = 0;
        for index in 0..usize::from(self.len) {
            if let Some(mut tie) = self.edges[index].take()
                && keep(&mut tie)
            {
                self.edges[kept] = Some(tie);
                kept += 1;
            }
        }
        self.len = kept as u8;
    }

    /// Appends; a seventh tie is left out, `adjust` makes room first.
    fn push(&mut self, tie: Tie) {
        let at = usize::from(self.len);
        if at < MAX_TIES {
            self.edges[at] = Some(tie);
            self.len += 1;
        }
    }
}

/// One household's ties now and at the end of the last tick, each with the life that has or had them.
#[derive(Debug, Clone, Copy)]
struct Book {
    owner: AgentRef,
    now: Ties,
    owner_before: AgentRef,
    before: Ties,
    changed: bool,
}

impl Book {
    fn new(owner: AgentRef) -> Self {
        Self { owner, now: Ties::default(), owner_before: owner, before: Ties::default(), changed: false }
    }

    fn touch(&mut self) -> &mut Ties {
        self.changed = true;
        &mut self.now
    }
}

named! {
    /// What happened to a tie in one tick.
    pub TieStatus {
        /// It is new.
        Added = "added",
        /// It changed.
        Updated = "updated",
        /// It is gone; its values are zero and its deltas negative.
        Removed = "removed",
    }
}

named! {
    /// Why a tie went.
    pub(crate) ChurnReason {
        /// Six others were stronger.
        Capacity = "capacity",
        /// Nothing was left of it.
        Decay = "decay",
        /// The other agent left the town.
        Removed = "removed",
    }
}

/// A change of one tie in one tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TieUpdate {
    /// Whose tie.
    pub owner: AgentRef,
    /// To whom.
    pub other: AgentRef,
    /// What happened.
    pub status: TieStatus,
    /// `[trust, familiarity, rivalry]` now.
    pub now: [f64; 3],
    /// The same, minus what it was at the end of the last tick.
    pub delta: [f64; 3],
}

/// Evictions in one window of [`CHURN_WINDOW_TICKS`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Churn {
    pub(crate) window_start: u64,
    pub(crate) total: u32,
    pub(crate) owners: BTreeMap<AgentRef, u32>,
    pub(crate) reasons: BTreeMap<ChurnReason, u32>,
}

impl Churn {
    fn count(&mut self, owner: AgentRef, reason: ChurnReason) {
        self.total += 1;
        *self.owners.entry(owner).or_default() += 1;
        *self.reasons.entry(reason).or_default() += 1;
    }
}

/// All ties of the town.
#[derive(Debug, Clone, Default)]
pub(crate) struct Relationships {
    books: Vec<Book>,
    pub(crate) churn: Churn,
    pub(crate) churn_history: VecDeque<Churn>,
}

impl Relationships {
    pub(crate) fn new(agents: u32) -> Self {
        Self { books: (0..agents).map(|slot| Book::new(AgentRef { slot, life: 0 })).collect(), ..Self::default() }
    }

    pub(crate) fn of(&self, slot: usize) -> &Ties {
        &self.books[slot].now
    }

    /// What a tie gained since the end of the last tick: `[trust, familiarity, rivalry]`.
    pub(crate) fn delta(&self, slot: usize, tie: &Tie) -> [f64; 3] {
        let book = &self.books[slot];
        if !book.changed {
            return [0.0; 3];
        }
        let known = book.owner == book.owner_before;
        difference(Some(tie), book.before.get(tie.other).filter(|_| known))
    }

    /// What was current at the end of the last tick becomes the base of this tick's updates.
    pub(crate) fn begin_tick(&mut self, tick: u64) {
        for book in self.books.iter_mut().filter(|book| book.changed) {
            book.owner_before = book.owner;
            book.before = book.now;
            book.changed = false;
        }
        if tick >= self.churn.window_start + CHURN_WINDOW_TICKS {
            let next = Churn { window_start: self.churn.window_start + CHURN_WINDOW_TICKS, ..Churn::default() };
            let full = std::mem::replace(&mut self.churn, next);
            push_bounded(&mut self.churn_history, full, CHURN_HISTORY);
        }
    }

    /// Changes what `owner` feels about `other`; the sums are clamped to their ranges.
    pub(crate) fn adjust(&mut self, owner: AgentRef, other: AgentRef, trust: f64, familiarity: f64, rivalry: f64) {
        if owner == other {
            return;
        }
        let ties = self.books[owner.index()].touch();
        if ties.get(other).is_none() {
            if usize::from(ties.len) == MAX_TIES {
                let weakest = ties.iter().min_by(|a, b| a.strength().total_cmp(&b.strength())).map(|tie| tie.other);
                ties.retain(|tie| Some(tie.other) != weakest);
                self.churn.count(owner, ChurnReason::Capacity);
            }
            ties.push(Tie { other, trust: 0.0, familiarity: 0.0, rivalry: 0.0 });
        }
        if let Some(tie) = ties.edges.iter_mut().flatten().find(|tie| tie.other == other) {
            tie.trust = (tie.trust + trust).clamp(-1.0, 1.0);
            tie.familiarity = (tie.familiarity + familiarity).clamp(-1.0, 1.0);
            tie.rivalry = (tie.rivalry + rivalry).clamp(0.0, 1.0);
        }
    }

    /// Ends a life: its own ties go, and so do everybody's ties to it. Ties never leave a district.
    pub(crate) fn forget(&mut self, agent: AgentRef) {
        let agents = self.books.len();
        for slot in town::district_slots(agent.index(), agents) {
            let book = &mut self.books[slot];
            if slot == agent.index() {
                *book.touch() = Ties::default();
                book.owner = AgentRef { slot: agent.slot, life: agent.life + 1 };
            } else if book.now.get(agent).is_some() {
                book.touch().retain(|tie| tie.other != agent);
                self.churn.count(book.owner, ChurnReason::Removed);
            }
        }
    }

    /// Rivalry fades; a tie of which nothing is left goes.
    pub(crate) fn decay(&mut self) {
        for book in &mut self.books {
            if !book.now.iter().any(|tie| tie.rivalry > 0.0 || tie.strength() < CHANGE) {
                continue;
            }
            let (before, owner) = (book.now.len, book.owner);
            book.touch().retain(|tie| {
                tie.rivalry -= RIVALRY_DECAY;
                if tie.rivalry <= RIVALRY_FORGOTTEN {
                    tie.rivalry = 0.0;
                }
                tie.strength() >= CHANGE
            });
            for _ in book.now.len..before {
                self.churn.count(owner, ChurnReason::Decay);
            }
        }
    }

    /// What changed since the end of the last tick, by household and then in the order of the ties.
    pub(crate) fn updates(&self) -> Vec<TieUpdate> {
        let mut updates = Vec::new();
        for book in self.books.iter().filter(|book| book.changed) {
            let same = book.owner == book.owner_before;
            for tie in book.now.iter() {
                let before = book.before.get(tie.other).filter(|_| same);
                let delta = difference(Some(tie), before);
                let status = if before.is_none() { TieStatus::Added } else { TieStatus::Updated };
                if before.is_none() || delta.iter().any(|change| change.abs() > CHANGE) {
                    let now = [tie.trust, tie.familiarity, tie.rivalry];
                    updates.push(TieUpdate { owner: book.owner, other: tie.other, status, now, delta });
                }
            }
            for tie in book.before.iter().filter(|tie| !same || book.now.get(tie.other).is_none()) {
                let delta = difference(None, Some(tie));
                let (owner, other, status) = (book.owner_before, tie.other, TieStatus::Removed);
                updates.push(TieUpdate { owner, other, status, now: [0.0; 3], delta });
            }
        }
        updates
    }
}

fn difference(now: Option<&Tie>, before: Option<&Tie>) -> [f64; 3] {
    let values = |tie: Option<&Tie>| tie.map_or([0.0; 3], |tie| [tie.trust, tie.familiarity, tie.rivalry]);
    let (now, before) = (values(now), values(before));
    [now[0] - before[0], now[1] - before[1], now[2] - before[2]]
}
