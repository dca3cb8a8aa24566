//! The ground plan: blocks of six households, each with its fixtures, on a 48 by 48 grid.
//!
//! Agents use the fixtures of their own block and meet the agents of their own district (four blocks), so the work
//! of a tick grows with the number of agents and not with its square.

/// Side of the grid in cells.
pub(crate) const GRID: u16 = 48;
/// Households, and so agents, in one block.
pub(crate) const BLOCK: usize = 6;
/// Households in one district: who works and meets together.
pub(crate) const DISTRICT: usize = 4 * BLOCK;
/// Ticks in a day; the nightly reset falls on every multiple.
pub const TICKS_PER_DAY: u64 = 1440;

const BLOCK_SIDE: u16 = 8;
const BLOCKS_PER_ROW: usize = (GRID / BLOCK_SIDE) as usize;

/// A cell of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell {
    /// Column, `0..48`.
    pub x: u16,
    /// Row, `0..48`.
    pub y: u16,
}

impl Cell {
    /// One step (also diagonal) towards `target`.
    pub(crate) fn step_towards(self, target: Self) -> Self {
        let step = |from: u16, to: u16| match from.cmp(&to) {
            std::cmp::Ordering::Less => from + 1,
            std::cmp::Ordering::Equal => from,
            std::cmp::Ordering::Greater => from - 1,
        };
        Self { x: step(self.x, target.x), y: step(self.y, target.y) }
    }
}

/// One life of one household: `alice`, then after a faint `alice#1`, then `alice#2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentRef {
    /// The household, `0..agents`.
    pub slot: u32,
    /// How many lives this household had before.
    pub life: u32,
}

/// Names of the first households; later ones are numbered.
const NAMES: [&str; 26] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "karl", "laura", "mallory",
    "niaj", "olivia", "peggy", "quinn", "rupert", "sybil", "trent", "ursula", "victor", "walter", "xena", "yvonne",
    "zoe",
];

impl AgentRef {
    /// The id on the wire: `alice`, `alice#1`, `agent_27`, `agent_27#3`.
    pub fn id(self) -> String {
        let base = Self::base_id(self.slot);
        if self.life == 0 { base } else { format!("{base}#{}", self.life) }
    }

    /// The household's name, without the number of the life.
    pub fn base_id(slot: u32) -> String {
        match NAMES.get(slot as usize) {
            Some(name) => (*name).to_owned(),
            None => format!("agent_{}", slot + 1),
        }
    }

    pub(crate) fn index(self) -> usize {
        self.slot as usize
    }

    pub(crate) fn block(self) -> usize {
        self.index() / BLOCK
    }

    pub(crate) fn district(self) -> usize {
        self.index() / DISTRICT
    }
}

/// What stands in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fixture {
    /// Washes one agent at a time.
    Shower = 0,
    /// Sleeps half of its block.
    Bed = 1,
    /// Feeds half of its block at a time.
    Fridge = 2,
    /// Cooks for one agent at a time.
    Stove = 3,
}

impl Fixture {
    /// Every fixture, in the order in which a block lists them.
    pub(crate) const ALL: [Self; 4] = [Self::Shower, Self::Bed, Self::Fridge, Self::Stove];

    /// The type on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shower => "shower",
            Self::Bed => "bed",
            Self::Fridge => "fridge",
            Self::Stove => "stove",
        }
    }

    fn offset(self) -> (u16, u16) {
        match self {
            Self::Shower => (1, 1),
            Self::Bed => (6, 1),
            Self::Fridge => (1, 6),
            Self::Stove => (3, 6),
        }
    }
}

/// One fixture of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectId(pub(crate) u32);

impl ObjectId {
    pub(crate) fn of(block: usize, fixture: Fixture) -> Self {
        Self((block * Fixture::ALL.len() + fixture as usize) as u32)
    }

    /// What kind of fixture it is.
    pub fn fixture(self) -> Fixture {
        Fixture::ALL[self.0 as usize % Fixture::ALL.len()]
    }

    /// The id on the wire, for example `fridge_1`.
    pub fn id(self) -> String {
        format!("{}_{}", self.fixture().name(), self.block() + 1)
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn block(self) -> usize {
        self.index() / Fixture::ALL.len()
    }

    pub(crate) fn cell(self) -> Cell {
        in_block(self.block(), self.fixture().offset())
    }
}

/// Blocks that `agents` households need.
pub(crate) fn blocks(agents: usize) -> usize {
    agents.div_ceil(BLOCK)
}

/// The households of `block`, as a range of slots.
pub(crate) fn block_slots(block: usize, agents: usize) -> std::ops::Range<usize> {
    (block * BLOCK).min(agents)..((block + 1) * BLOCK).min(agents)
}

/// The households of the district that `slot` lives in, as a range of slots.
pub(crate) fn district_slots(slot: usize, agents: usize) -> std::ops::Range<usize> {
    let first = slot - slot % DISTRICT;
    first..(first + DISTRICT).min(agents)
}

/// Where the household `slot` sleeps off the night.
pub(crate) fn home(slot: usize) -> Cell {
    in_block(slot / BLOCK, (1 + (slot % BLOCK) as u16, 3))
}

/// Where the agents of a block meet.
pub(crate) fn plaza(block: usize) -> Cell {
    in_block(block, (4, 4))
}

/// A cell of `block` at `offset`; blocks beyond the 36 that fit share the ground of earlier ones.
pub(crate) fn in_block(block: usize, offset: (u16, u16)) -> Cell {
    let column = (block % BLOCKS_PER_ROW) as u16;
    let row = (block / BLOCKS_PER_ROW % BLOCKS_PER_ROW) as u16;
    Cell { x: column * BLOCK_SIDE + offset.0, y: row * BLOCK_SIDE + offset.1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_lies_on_the_grid_and_in_its_own_cell() {
        for slot in 0..300 {
            let home = home(slot);
            assert!(home.x < GRID && home.y < GRID);
            for fixture in Fixture::ALL {
                let object = ObjectId::of(slot / BLOCK, fixture);
                assert_eq!((object.block(), object.fixture()), (slot / BLOCK, fixture));
                assert!(object.cell().x < GRID && object.cell().y < GRID);
                assert_ne!(object.cell(), home);
            }
        }
    }

    #[test]
    fn a_walk_ends_where_it_should_in_at_most_a_block_side() {
        let (mut at, target) = (home(5), ObjectId::of(0, Fixture::Stove).cell());
        for _ in 0..BLOCK_SIDE {
            at = at.step_towards(target);
        }
        assert_eq!(at, target);
    }

    #[test]
    fn ids_follow_the_predecessors_pattern() {
        assert_eq!(AgentRef { slot: 0, life: 2 }.id(), "alice#2");
        assert_eq!(AgentRef { slot: 26, life: 0 }.id(), "agent_27");
        assert_eq!(ObjectId::of(0, Fixture::Fridge).id(), "fridge_1");
    }
}
