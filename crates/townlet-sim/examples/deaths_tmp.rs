use townlet_sim::*;
fn main() {
    let mut w = World::new(WorldOptions { seed: 7, agents: 6, ..Default::default() });
    let mut prev: Vec<townlet_schema::Snapshot> = vec![];
    for _ in 0..3000 {
        let o = w.step();
        let s = w.snapshot(&o);
        for e in &o.events {
            if let TownEvent::AgentRemoved { agent, .. } = e {
                let id = agent.id();
                let h: Vec<String> = prev
                    .iter()
                    .rev()
                    .step_by(6)
                    .take(12)
                    .map(|s| {
                        s.jobs.get(&id).map_or("-".into(), |j| {
                            format!(
                                "{:.2}/{:.2}{}",
                                j.needs.hunger,
                                j.needs.energy,
                                &s.policy_snapshot[&id].selected_action[..3]
                            )
                        })
                    })
                    .collect();
                println!(
                    "{} {id} wallet {:.2} {:?} meals {:?}",
                    o.tick, s.jobs[&id].wallet, h, s.economy["fridge_1"].stock["meals"]
                );
            }
        }
        prev.push(s);
    }
}
