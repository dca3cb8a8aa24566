use std::time::Duration;

use townlet_testkit::SimClock;

#[test]
fn time_stands_still_until_it_is_moved() {
    let clock = SimClock::new();
    let start = clock.now();
    assert_eq!(clock.now(), start);
    clock.clone().advance(Duration::from_secs(3));
    assert_eq!(clock.now() - start, Duration::from_secs(3));
    clock.advance_to(start);
    assert_eq!(clock.elapsed(), Duration::from_secs(3), "the monotonic hand never goes back");
}

#[test]
fn the_wall_clock_can_be_stepped_back_alone() {
    let clock = SimClock::new();
    let (start, wall) = (clock.now(), clock.wall());
    clock.advance(Duration::from_secs(10));
    clock.set_wall(wall - Duration::from_secs(60));
    assert_eq!(clock.now() - start, Duration::from_secs(10));
    assert_eq!(clock.wall(), wall - Duration::from_secs(60));
}
