//! Random lives against a model of a few lines: a list of records and, per
//! sink, how many are read and settled.

use crate::disk::{Dice, SimDisk};
use crate::life::{Life, Told, each_policy, small};

/// What a sink should see next, and its figures, without a crash in between.
fn agrees(life: &mut Life, context: &str) {
    for sink in 0..2 {
        let bit = life.slots[sink].bit();
        let told = &life.told;
        let mine: Vec<u64> = told.appended.iter().filter(|(_, t)| **t & bit != 0).map(|(id, _)| *id).collect();
        let settled = told.settled[sink].len();
        assert!(told.settled[sink].iter().eq(&mine[..settled]), "{context}: settled in order");
        let hand: Vec<u64> = life.hand[sink].iter().map(|(_, id)| *id).collect();
        assert_eq!(hand, mine[settled..settled + hand.len()], "{context}: read in order, without a gap");
        let backlog = life.spill.backlog(life.slots[sink]);
        assert!(backlog.exact);
        assert_eq!(backlog.records, (mine.len() - settled) as u64, "{context}: backlog of sink {sink}");
        assert_eq!(backlog.held, hand.len() as u64, "{context}");
        let bytes = mine[settled..].iter().map(|id| life.told.bytes[id]);
        assert_eq!(backlog.bytes, bytes.sum::<u64>(), "{context}");
    }
}

#[test]
fn a_random_life_does_what_the_model_does() {
    for seed in 0..45 {
        let policy = each_policy()[seed as usize % 3];
        let options = townlet_spill::SpillOptions { fsync: policy, ..small() };
        let disk = SimDisk::new(seed);
        disk.short_transfers(if seed % 2 == 0 { 3 } else { 0 });
        let mut dice = Dice::new(seed);
        let mut life = Life::open(&disk, options.clone(), Told::default()).unwrap();
        for step in 0..300 {
            let context = format!("seed {seed}, step {step}, {policy:?}");
            if dice.below(40) == 0 {
                // A clean end and a new start: what was read and not settled comes again.
                life.checkpoint().unwrap();
                let told = life.told.clone();
                drop(life);
                life = Life::open(&disk, options.clone(), told).unwrap();
                assert!(life.recovery.is_clean(), "{context}: {:?}", life.recovery);
                assert_eq!(life.recovery.extra.as_deref(), Some(life.told.next_id.to_string().as_bytes()));
                assert_eq!(life.recovery.tail_records, 0);
            } else {
                life.random_step(&mut dice).unwrap();
            }
            agrees(&mut life, &context);
        }
        life.commit().unwrap();
        for sink in 0..2 {
            while life.read(sink, 5).unwrap() > 0 {}
            life.settle(sink, usize::MAX);
        }
        life.checkpoint().unwrap();
        agrees(&mut life, "at the end");
        assert!(life.spill.status().segments <= 1, "what is settled by all is removed");
        assert!(life.spill.take_damage().is_empty());
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_committed_whatever_the_policy() {
    for seed in 0..40 {
        let policy = each_policy()[seed as usize % 3];
        let options = townlet_spill::SpillOptions { fsync: policy, ..small() };
        let disk = SimDisk::new(seed);
        let mut dice = Dice::new(seed);
        let mut life = Life::open(&disk, options.clone(), Told::default()).unwrap();
        for _ in 0..150 {
            life.random_step(&mut dice).unwrap();
        }
        life.commit().unwrap();
        let mut told = life.told.clone();
        told.durable.extend(told.waiting.drain(..).map(|(_, id)| id));
        drop(life);
        disk.crash();
        crate::life::judge(&disk.reboot(seed, crate::disk::Survival::All), &options, &told, &format!("seed {seed}"));
    }
}
