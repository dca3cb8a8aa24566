//! Who is there, and whose a partition is. Pure: it is told the time.

use std::time::{Duration, Instant};

use crate::nats::Member;

/// What one member knows of the others.
#[derive(Clone, Debug)]
pub(super) struct Roster {
    me: Member,
    patience: Duration,
    /// When each was heard last. Who was not heard yet may be there all the same: it counts
    /// as heard at the beginning.
    heard: Vec<Instant>,
    begun: Instant,
    /// Before this time others may still hold what is ours.
    settle: Duration,
}

impl Roster {
    pub(super) fn new(me: Member, heartbeat: Duration, patience: Duration, now: Instant) -> Self {
        let heard = vec![now; usize::try_from(me.of()).unwrap_or(usize::MAX)];
        // One beat until we are heard, one until what is ours is given back.
        let settle = if me.of() > 1 { heartbeat * 2 } else { Duration::ZERO };
        Self { me, patience, heard, begun: now, settle }
    }

    /// Member `index` said that it is there.
    pub(super) fn heard(&mut self, index: u32, now: Instant) {
        if let Some(heard) = usize::try_from(index).ok().and_then(|at| self.heard.get_mut(at)) {
            *heard = now;
        }
    }

    /// The partitions to pull now; none where it is we who are not heard, so that whatever
    /// is so stays so.
    pub(super) fn mine(&self, partitions: u32, now: Instant) -> Option<Vec<u32>> {
        if now.saturating_duration_since(self.begun) < self.settle {
            return Some(Vec::new());
        }
        if self.me.of() > 1 && !self.is_there(self.me.index(), now) {
            return None;
        }
        let there: Vec<u32> = (0..self.me.of()).filter(|index| self.is_there(*index, now)).collect();
        Some((0..partitions).filter(|partition| owner(*partition, self.me.of(), &there) == self.me.index()).collect())
    }

    fn is_there(&self, index: u32, now: Instant) -> bool {
        let heard = usize::try_from(index).ok().and_then(|at| self.heard.get(at));
        heard.is_some_and(|heard| now.saturating_duration_since(*heard) < self.patience)
    }
}

/// Whose a partition is, where `there`, ascending and not empty, are the members of `of`
/// that are. Its own member's; where that one is not there, those of it are shared out
/// among the others.
fn owner(partition: u32, of: u32, there: &[u32]) -> u32 {
    let own = partition % of;
    if there.contains(&own) {
        return own;
    }
    let round = usize::try_from(partition / of).unwrap_or_default();
    there.get(round % there.len().max(1)).copied().unwrap_or(own)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEAT: Duration = Duration::from_secs(1);
    const PATIENCE: Duration = Duration::from_secs(10);

    fn roster(number: u32, of: u32, now: Instant) -> Roster {
        Roster::new(Member::new(number, of).unwrap(), BEAT, PATIENCE, now)
    }

    #[test]
    fn a_member_that_falls_silent_is_taken_over_from_and_gets_its_own_back() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut one = roster(1, 2, start);
        assert_eq!(one.mine(5, at(1)), Some(vec![]), "another may still hold what is ours");
        one.heard(0, at(5));
        one.heard(1, at(5));
        assert_eq!(one.mine(5, at(6)), Some(vec![0, 2, 4]));
        one.heard(0, at(16));
        assert_eq!(one.mine(5, at(16)), Some(vec![0, 1, 2, 3, 4]));
        one.heard(1, at(17));
        assert_eq!(one.mine(5, at(17)), Some(vec![0, 2, 4]));
        assert_eq!(one.mine(5, at(26)), None, "we do not hear ourselves: nothing is known");
        one.heard(7, at(26));
        assert_eq!(one.mine(5, at(26)), None, "there is no such member");
    }

    #[test]
    fn who_is_alone_begins_at_once_with_everything() {
        let now = Instant::now();
        assert_eq!(roster(1, 1, now).mine(3, now), Some(vec![0, 1, 2]));
        // A user who may not speak to a group is enough for one.
        assert_eq!(roster(1, 1, now).mine(3, now + 2 * PATIENCE), Some(vec![0, 1, 2]), "and needs nobody to hear it");
    }

    proptest! {
        /// Whoever is there: each partition has one owner, who is there; and nobody's own
        /// partitions move while it is.
        #[test]
        fn partitions_have_one_owner_each(of in 1_u32..9, partitions in 1_u32..40, silent in 0_u32..512) {
            let now = Instant::now();
            let later = now + PATIENCE;
            let there: Vec<u32> = (0..of).filter(|index| silent & (1 << index) == 0).collect();
            prop_assume!(!there.is_empty());
            let mut owned = vec![0; partitions as usize];
            for me in &there {
                let mut roster = roster(me + 1, of, now);
                there.iter().for_each(|index| roster.heard(*index, later));
                for partition in roster.mine(partitions, later).unwrap() {
                    owned[partition as usize] += 1;
                    prop_assert!(partition % of == *me || !there.contains(&(partition % of)));
                }
            }
            prop_assert!(owned.iter().all(|owners| *owners == 1), "{owned:?}");
        }
    }
}
