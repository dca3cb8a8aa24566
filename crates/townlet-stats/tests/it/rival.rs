//! The rules of others, as they would have fired.

use townlet_stats::rival::{self, Action, Argo, Checklist, Course, Firing, Kayenta, RuleSet};
use townlet_stats::{Direction, Sample};

const DAY: u64 = 1440;
const COURSE: Course = Course { start_ms: DAY * 60_000, interval_ms: 60_000, direction: Direction::LowerIsBetter };

fn at(minute: u64, value: f64) -> Sample {
    Sample::new((DAY + minute) * 60_000, value)
}

/// A level of 200 with a ripple that ranks can tell apart.
fn calm(minute: u64) -> f64 {
    200.0 + ((minute * 7919) % 101) as f64 / 100.0
}

fn history() -> Vec<Sample> {
    (0..DAY).map(|minute| Sample::new(minute * 60_000, calm(minute))).collect()
}

/// A watch whose values are `factor(minute)` times the calm ones.
fn watch(minutes: u64, factor: impl Fn(u64) -> f64) -> Vec<Sample> {
    (0..minutes).map(|minute| at(minute, factor(minute) * calm(minute))).collect()
}

fn minute_of(firing: Firing) -> u64 {
    firing.at_ms / 60_000 - DAY
}

fn firings(rules: &mut dyn RuleSet, samples: &[Sample]) -> Vec<(u64, &'static str, Action)> {
    let fired = samples.iter().filter_map(|sample| rules.push(sample));
    fired.map(|firing| (minute_of(firing), firing.rule, firing.action)).collect()
}

#[test]
fn the_checklist_warns_rolls_back_and_never_needs_its_rule_of_two_hours() {
    let mut checklist = Checklist::with_level(Some(200.0));
    let fired = firings(&mut checklist, &watch(200, |minute| if minute < 20 { 1.0 } else { 1.1 }));
    assert_eq!(
        fired,
        [
            (30, "variance over 6 % for 10 min", Action::Rollback),
            (50, "variance over 4 % for 30 min", Action::Warn),
            (140, "variance over 7 % for 2 h", Action::Rollback),
        ]
    );
}

#[test]
fn the_checklist_rolls_back_what_got_faster() {
    let mut checklist = Checklist::with_level(Some(200.0));
    let found = rival::first_rollback(&mut checklist, &watch(60, |_| 0.9)).unwrap();
    assert_eq!((minute_of(found), found.size.unwrap() < -0.09), (10, true));
}

#[test]
fn a_baseline_taken_after_the_change_hides_it() {
    let slower = watch(600, |_| 1.5);
    assert_eq!(rival::first_rollback(&mut Checklist::with_first_minutes(COURSE), &slower), None);
    assert!(rival::first_rollback(&mut Checklist::with_level(Some(200.0)), &slower).is_some());
}

#[test]
fn a_dip_or_a_missing_sample_sets_the_checklist_back() {
    let mut samples = watch(19, |_| 1.1);
    samples[9] = Sample::missing(samples[9].at_ms);
    assert_eq!(rival::first_rollback(&mut Checklist::with_level(Some(200.0)), &samples), None);
    let dips = watch(600, |minute| if minute % 10 == 9 { 1.0 } else { 1.1 });
    assert_eq!(rival::first_rollback(&mut Checklist::with_level(Some(200.0)), &dips), None);
}

#[test]
fn argo_fails_at_the_fourth_failed_measurement_however_far_apart() {
    let mut argo = Argo::new(Some(200.0), COURSE);
    let shifted = watch(100, |minute| if minute < 20 { 1.0 } else { 1.1 });
    assert_eq!(firings(&mut argo, &shifted), [(39, "failureLimit 3", Action::Rollback)]);
    // Five bad minutes a day for four days.
    let mut argo = Argo::new(Some(200.0), COURSE);
    let now_and_then = watch(4 * DAY, |minute| if minute % DAY < 5 { 1.4 } else { 1.0 });
    assert_eq!(firings(&mut argo, &now_and_then), [(3 * DAY + 4, "failureLimit 3", Action::Rollback)]);
}

#[test]
fn argo_fails_at_the_fifth_measurement_in_a_row_without_a_value() {
    let mut argo = Argo::new(Some(200.0), COURSE);
    let absent: Vec<Sample> = (0..100).map(|minute| Sample::missing((DAY + minute) * 60_000)).collect();
    assert_eq!(firings(&mut argo, &absent), [(24, "consecutiveErrorLimit 4", Action::Rollback)]);
    // The same where nothing was scraped at all, once something is again.
    let mut argo = Argo::new(Some(200.0), COURSE);
    assert_eq!(firings(&mut argo, &[at(0, 200.0), at(60, 200.0)]), [(60, "consecutiveErrorLimit 4", Action::Rollback)]);
    let mut argo = Argo::new(Some(200.0), COURSE);
    assert_eq!(firings(&mut argo, &[at(0, 200.0), at(20, 200.0)]), []);
}

#[test]
fn kayenta_judges_at_the_end_of_each_hour() {
    let shifted = watch(240, |minute| if minute < 60 { 1.0 } else { 1.1 });
    let mut kayenta = Kayenta::new(&history(), COURSE);
    assert_eq!(firings(&mut kayenta, &shifted), [(119, "High", Action::Rollback)]);
    let beside: Vec<Sample> = shifted.iter().map(|sample| sample.beside(sample.value.unwrap())).collect();
    assert_eq!(firings(&mut Kayenta::new(&history(), COURSE), &beside), [], "the control did the same");
}

#[test]
fn kayenta_asks_for_the_direction_and_the_size() {
    for (factor, direction, found) in [
        (0.9, Direction::LowerIsBetter, None),
        (0.9, Direction::HigherIsBetter, Some("Low")),
        (0.9, Direction::Band, Some("Low")),
        (1.04, Direction::LowerIsBetter, None),
        (1.06, Direction::Band, Some("High")),
    ] {
        let mut kayenta = Kayenta::new(&history(), Course { direction, ..COURSE });
        let fired = rival::first_rollback(&mut kayenta, &watch(60, |_| factor));
        assert_eq!(fired.map(|firing| firing.rule), found, "{factor}, {direction:?}");
    }
}

/// The wrong answer of issue 799: where the control had no failure at all, the published effect size is none.
#[test]
fn kayenta_passes_failures_where_the_control_has_none() {
    let failing = (0..60).map(|minute| at(minute, 5.0 + (minute % 7) as f64).beside(0.0));
    assert_eq!(firings(&mut Kayenta::new(&[], COURSE), &failing.collect::<Vec<_>>()), []);
}

#[test]
fn kayenta_without_a_value_on_either_side_scores_nothing() {
    let calm = watch(60, |_| 1.0);
    assert_eq!(firings(&mut Kayenta::new(&[], COURSE), &calm), [(59, "Nodata", Action::Rollback)]);
    // The hour that nobody scraped ends when the next sample comes.
    let late = [at(0, 200.0), at(61, 200.0)];
    assert_eq!(firings(&mut Kayenta::new(&history(), COURSE), &late), []);
}

#[test]
fn all_rule_sets_have_names_of_their_own_and_stay_quiet_where_nothing_happens() {
    let mut names = Vec::new();
    for mut rules in rival::all(&history(), COURSE) {
        names.push(rules.name());
        assert_eq!(rival::first_rollback(rules.as_mut(), &watch(2880, |_| 1.0)), None, "{}", rules.name());
    }
    names.dedup();
    assert_eq!(names, ["checklist, 5-min baseline", "checklist, 24-h baseline", "Argo-style", "Kayenta-style"]);
}
