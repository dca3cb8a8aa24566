//! Rare events against exact fractions.

use townlet_stats::{Count, chance_of_so_many};

/// Events and exposure of what is judged, of the other, and the chance: binomial tails summed as fractions of whole
/// numbers by an independent program.
const EXACT: &[(u64, f64, u64, f64, f64)] = &[
    (4, 1.0, 0, 1.0, 0.0625),
    (3, 1.0, 0, 9.0, 0.001),
    (5, 1.0, 2, 1.0, 0.2265625),
    (1, 1.0, 0, 1.0, 0.5),
    (12, 1.0, 30, 4.0, 0.11817839377766222),
    (7, 3.0, 3, 2.0, 0.3822806016),
    (2, 1.0, 5, 1.0, 0.9375),
    (40, 5.0, 10, 5.0, 1.1930665838377763e-05),
    (150, 1.0, 100, 1.0, 0.0009416504675380785),
    (25, 1.0, 0, 3.0, 8.881784197001252e-16),
    (1, 1.0, 1000, 1000.0, 0.632304391319903),
    (50_300, 1.0, 49_700, 1.0, 0.02909867655509687),
];

fn count(events: u64, exposure: f64) -> Count {
    Count { events, exposure }
}

#[test]
fn chances_are_those_of_exact_fractions() {
    for &(events, exposure, others, beside, exact) in EXACT {
        let chance = chance_of_so_many(count(events, exposure), count(others, beside)).unwrap();
        assert!((chance / exact - 1.0).abs() < 1e-9, "{events} against {others}: {chance:e} is not {exact:e}");
    }
}

#[test]
fn more_events_are_never_more_likely_and_more_of_the_other_never_less() {
    for others in 0..30 {
        let chances = (0..30).map(|events| chance_of_so_many(count(events, 2.0), count(others, 3.0)).unwrap());
        let chances: Vec<f64> = chances.collect();
        assert!(chances.windows(2).all(|pair| pair[1] <= pair[0]), "{others}: {chances:?}");
        let more = chance_of_so_many(count(5, 2.0), count(others + 1, 3.0)).unwrap();
        assert!(more >= chances[5], "{others}");
    }
}

#[test]
fn no_events_are_certain_and_no_exposure_is_no_answer() {
    assert_eq!(chance_of_so_many(count(0, 1.0), count(0, 1.0)), Some(1.0));
    for exposure in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(chance_of_so_many(count(1, exposure), count(1, 1.0)), None);
        assert_eq!(chance_of_so_many(count(1, 1.0), count(1, exposure)), None);
    }
    assert_eq!(chance_of_so_many(count(1, 1e-300), count(1, 1e300)), Some(0.0));
    assert_eq!(chance_of_so_many(count(1, 1e300), count(1, 1e-300)), Some(1.0));
}
