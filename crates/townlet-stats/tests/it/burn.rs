//! Burn rates against a small model, and what they say about what was not seen.

use townlet_stats::{Burn, BurnError, BurnRates, BurnWindow, Urgency, WORKBOOK};

const MINUTE: u64 = 60_000;

fn workbook() -> BurnRates {
    BurnRates::new(0.999, &WORKBOOK, MINUTE, 100).unwrap()
}

/// Feeds `minutes` samples of a thousand requests, `failed` of which fail, from minute `from` on.
fn feed(burning: &mut BurnRates, from: u64, minutes: u64, failed: u64) {
    (from..from + minutes).for_each(|minute| burning.push(minute * MINUTE, failed, 1000));
}

fn fires(state: Burn) -> bool {
    matches!(state, Burn::Firing { .. })
}

/// How many minutes of failures it takes until the first pair fires, after a clean three days.
fn delay(failed: u64, pair: usize) -> Option<u64> {
    let mut burning = workbook();
    feed(&mut burning, 0, 4320, 0);
    (1..=4320).find(|minute| {
        burning.push((4319 + minute) * MINUTE, failed, 1000);
        fires(burning.states()[pair])
    })
}

#[test]
fn pairs_fire_after_the_time_that_the_workbook_states() {
    // Everything fails: 14.4 × 0.1 % of an hour is 0.9 minutes, of which there are whole ones.
    assert_eq!(delay(1000, 0), Some(1));
    // 10 % fail: 0.0144 × 60 / 0.1 = 8.64 minutes.
    assert_eq!(delay(100, 0), Some(9));
    // 0.006 × 360 / 0.1 = 21.6; 0.003 × 1440 / 0.1 = 43.2; 0.001 × 4320 / 0.1 = 43.2.
    assert_eq!((delay(100, 1), delay(100, 2), delay(100, 3)), (Some(22), Some(44), Some(44)));
    // 1.1 % fails: too slow for the first pair, and 0.006 × 360 / 0.011 = 196.4 minutes for the second.
    assert_eq!((delay(11, 0), delay(11, 1)), (None, Some(197)));
    // 0.7 % fails: 0.001 × 4320 / 0.007 = 617.1 minutes for the last, and never for the second.
    assert_eq!((delay(7, 3), delay(5, 1)), (Some(618), None));
}

#[test]
fn the_short_window_ends_an_alert_that_is_over() {
    let mut burning = workbook();
    feed(&mut burning, 0, 4320, 0);
    feed(&mut burning, 4320, 20, 200);
    assert!(fires(burning.states()[0]));
    feed(&mut burning, 4340, 5, 0);
    assert_eq!(burning.states()[0], Burn::Quiet, "though the hour still has more than its share");
}

#[test]
fn what_was_not_seen_is_neither_good_nor_bad() {
    let mut burning = workbook();
    assert!(matches!(burning.states()[0], Burn::Unknown { events: 0, .. }));
    feed(&mut burning, 0, 10, 0);
    assert_eq!(burning.states()[0], Burn::Quiet, "the short window is seen, and clean");
    let mut burning = workbook();
    feed(&mut burning, 0, 10, 20);
    assert!(matches!(burning.states()[0], Burn::Unknown { events: 10_000, seen } if (seen - 1.0 / 6.0).abs() < 1e-9));
    feed(&mut burning, 10, 33, 20);
    assert!(!fires(burning.states()[0]));
    feed(&mut burning, 43, 1, 20);
    assert!(fires(burning.states()[0]), "44 of 60 minutes at 20 times the rate are enough, whatever comes");
    // A day without samples: not quiet.
    let mut burning = workbook();
    feed(&mut burning, 0, 4320, 0);
    feed(&mut burning, 5760, 1, 0);
    assert!(matches!(burning.states()[0], Burn::Unknown { .. }), "{:?}", burning.states());
}

#[test]
fn a_handful_of_requests_is_unknown_and_not_an_alert() {
    let mut burning = workbook();
    for minute in 0..4320 {
        burning.push(minute * MINUTE, u64::from(minute % 60 == 0), u64::from(minute % 10 == 0));
    }
    assert!(matches!(burning.states()[0], Burn::Unknown { events: 6, .. }), "{:?}", burning.states());
    assert!(fires(burning.states()[3]), "432 requests in three days are enough to tell: {:?}", burning.states());
}

#[test]
fn running_sums_agree_with_adding_up() {
    let windows = [
        BurnWindow { long_ms: 30 * MINUTE, short_ms: 5 * MINUTE, factor: 2.0, urgency: Urgency::Page },
        BurnWindow { long_ms: 7 * MINUTE, short_ms: 7 * MINUTE, factor: 1.0, urgency: Urgency::Ticket },
    ];
    let mut burning = BurnRates::new(0.9, &windows, MINUTE, 20).unwrap();
    let mut all: Vec<(u64, u64, u64)> = Vec::new();
    let (mut dice, mut at) = (1_u64, 0);
    let mut kinds = [0; 3];
    for _ in 0..5000 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = |bits: u32, of: u64| (dice >> bits) % of;
        at += MINUTE * if draw(20, 40) == 0 { 1 + draw(30, 20) } else { 1 };
        let total = draw(33, 10);
        let failed = if draw(45, 3) == 0 { draw(50, 12) } else { 0 };
        burning.push(at, failed, total);
        all.push((at, failed.min(total), total));
        for (window, state) in windows.iter().zip(burning.states()) {
            let sum = |length: u64| {
                let inside = all.iter().rev().take_while(|(then, ..)| at - then < length);
                inside.fold((0, 0, 0), |sum, (_, failed, total)| (sum.0 + failed, sum.1 + total, sum.2 + 1))
            };
            let (long, short) = (sum(window.long_ms), sum(window.short_ms));
            let rate = |sum: (u64, u64, u64)| if sum.1 == 0 { 0.0 } else { sum.0 as f64 / sum.1 as f64 / (1.0 - 0.9) };
            let seen = |sum: (u64, u64, u64), length: u64| sum.2 as f64 / (length / MINUTE) as f64;
            match state {
                Burn::Firing { long: l, short: s } => {
                    kinds[0] += 1;
                    assert!((l - rate(long)).abs() < 1e-9 && (s - rate(short)).abs() < 1e-9);
                    assert!(l * seen(long, window.long_ms) > window.factor - 1e-9);
                }
                Burn::Unknown { events, .. } => {
                    kinds[1] += 1;
                    assert_eq!(events, long.1);
                }
                Burn::Quiet => {
                    kinds[2] += 1;
                    assert!(rate(long) < window.factor || rate(short) < window.factor);
                }
            }
        }
    }
    assert!(kinds.iter().all(|&count| count > 100), "{kinds:?}");
}

#[test]
fn what_comes_again_changes_nothing_and_what_cannot_be_is_an_error() {
    let mut burning = workbook();
    feed(&mut burning, 0, 100, 0);
    let before = burning.states();
    burning.push(99 * MINUTE, 1000, 1000);
    burning.push(5 * MINUTE, 1000, 1000);
    assert_eq!(burning.states(), before);
    burning.push(100 * MINUTE, u64::MAX, u64::MAX);
    burning.push(101 * MINUTE, u64::MAX, 3);
    assert!(fires(burning.states()[0]));

    for objective in [0.0, 1.0, -1.0, f64::NAN] {
        assert!(matches!(BurnRates::new(objective, &WORKBOOK, MINUTE, 1), Err(BurnError::Objective(_))));
    }
    assert_eq!(BurnRates::new(0.99, &WORKBOOK, 0, 1).err(), Some(BurnError::NoInterval));
    // Nothing burns more than everything: at 90 % a factor of 14.4 can never be reached.
    assert_eq!(BurnRates::new(0.9, &WORKBOOK, MINUTE, 1).err(), Some(BurnError::Window { index: 0 }));
}
