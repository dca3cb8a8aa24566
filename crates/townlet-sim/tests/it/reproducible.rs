use crate::{bytes, tick, town};

fn stream(seed: u64, agents: u32, ticks: usize) -> Vec<u8> {
    let mut world = town(seed, agents);
    (0..ticks).flat_map(|_| bytes(&tick(&mut world).1)).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_500_ticks() {
    assert!(stream(42, 6, 500) == stream(42, 6, 500));
}

#[test]
fn different_seeds_differ_within_the_first_tick() {
    assert_ne!(stream(1, 3, 1), stream(2, 3, 1));
}

#[test]
fn a_clone_goes_on_to_the_same_bytes() {
    let mut world = town(9, 8);
    (0..200).for_each(|_| drop(world.step()));
    let mut clone = world.clone();
    for _ in 0..100 {
        assert!(bytes(&tick(&mut world).1) == bytes(&tick(&mut clone).1));
    }
}

#[test]
fn looking_changes_nothing() {
    let (mut watched, mut unwatched) = (town(3, 5), town(3, 5));
    for _ in 0..200 {
        let outcome = watched.step();
        let _ = (watched.snapshot(&outcome), watched.global_context(&outcome), watched.stability_update());
        unwatched.step();
    }
    assert!(bytes(&tick(&mut watched).1) == bytes(&tick(&mut unwatched).1));
}

#[test]
fn a_town_without_agents_steps_and_encodes() {
    let mut world = town(1, 0);
    for _ in 0..2500 {
        world.step();
    }
    let (_, snapshot) = tick(&mut world);
    assert!(snapshot.jobs.is_empty() && snapshot.economy.is_empty());
    assert!(!bytes(&snapshot).is_empty());
}
