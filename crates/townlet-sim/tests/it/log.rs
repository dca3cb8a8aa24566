//! What a run looks like, as text that a reviewer can read.

use townlet_schema::Json;

use crate::{bytes, tick, town};

#[test]
fn the_first_hundred_ticks_of_seed_seven() {
    let mut world = town(7, 3);
    let mut log = String::new();
    for _ in 0..100 {
        let outcome = world.step();
        let steps = |name: &str| matches!(name, "action.move" | "action.noop");
        for event in world.world_events(&outcome).into_iter().filter(|event| !steps(&event.event)) {
            let fields = Json::from(event.fields);
            log += &format!("{:>3} {} {fields}\n", event.tick, event.event);
        }
        for narration in &outcome.narrations {
            log += &format!("{:>3} \"{}\"\n", narration.tick, narration.message);
        }
    }
    insta::assert_snapshot!(log);
}

#[test]
fn the_hundredth_payload_of_seed_seven() {
    let mut world = town(7, 2);
    let last = (0..100).map(|_| tick(&mut world).1).last().unwrap();
    let json = Json::parse(&bytes(&last)).unwrap();
    insta::assert_snapshot!(json.to_pretty());
}
