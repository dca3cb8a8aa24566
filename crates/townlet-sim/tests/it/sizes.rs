use townlet_schema::HeapSize;

use crate::{bytes, tick, town};

/// Mean bytes of a snapshot between ticks 100 and 400.
fn mean(agents: u32) -> usize {
    let mut world = town(7, agents);
    let sizes: Vec<usize> = (0..400).map(|_| bytes(&tick(&mut world).1).len()).skip(100).collect();
    sizes.iter().sum::<usize>() / sizes.len()
}

/// The predecessor's 12 KB at 2 agents, 19 KB at 10 and 49 KB at 50 lacked the jobs (1.4 KB an agent) and the ties.
#[test]
fn snapshots_have_the_predecessors_order_of_size() {
    for (agents, from, to) in [(2, 8_000, 16_000), (10, 19_000, 38_000), (50, 49_000, 150_000)] {
        let size = mean(agents);
        assert!((from..=to).contains(&size), "{size} bytes at {agents} agents");
    }
}

#[test]
fn the_declared_heap_size_grows_with_the_town() {
    let heap = |agents| tick(&mut town(7, agents)).1.heap_size();
    assert!(heap(50) > 4 * heap(5));
}
