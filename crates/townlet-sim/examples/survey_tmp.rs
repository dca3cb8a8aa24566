use std::collections::BTreeMap;
use townlet_sim::{World, WorldOptions};
fn main() {
    let a: Vec<u64> = std::env::args().skip(1).map(|s| s.parse().unwrap()).collect();
    let mut w = World::new(WorldOptions { seed: a[0], agents: a[1] as u32, ..Default::default() });
    let mut names: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut cats: BTreeMap<String, u64> = BTreeMap::new();
    let mut alerts: BTreeMap<String, u64> = BTreeMap::new();
    let (mut bytes, mut max, mut ev, mut minb) = (0usize, 0usize, 0usize, usize::MAX);
    let mut sect: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..a[2] {
        let o = w.step();
        for e in &o.events {
            *names.entry(e.name()).or_default() += 1;
        }
        for n in &o.narrations {
            *cats.entry(n.category.to_string()).or_default() += 1;
            if a.len() > 3 {
                println!("{} {}", n.tick, n.message);
            }
        }
        ev += o.events.len();
        let s = w.snapshot(&o);
        for x in &s.stability.alerts {
            *alerts.entry(x.to_string()).or_default() += 1;
        }
        let mut out = Vec::new();
        townlet_schema::encode_into(&s, &mut out).unwrap();
        bytes += out.len();
        max = max.max(out.len());
        minb = minb.min(out.len());
        if a.len() > 4 {
            println!("{}", String::from_utf8(out.clone()).unwrap());
        }
        if let townlet_schema::Json::Object(ob) = townlet_schema::Json::parse(&out).unwrap() {
            for (k, v) in ob.iter() {
                *sect.entry(k.to_owned()).or_default() += v.to_string().len();
            }
        }
    }
    println!("{names:#?}\n{cats:#?}\n{alerts:#?}");
    for (k, v) in sect {
        println!("{k:24} {}", v / a[2] as usize);
    }
    println!("events/tick {:.2} bytes mean {} min {minb} max {max}", ev as f64 / a[2] as f64, bytes / a[2] as usize);
    println!("{:?}", w.census());
}
