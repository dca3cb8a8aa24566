use std::panic::catch_unwind;
use std::time::Duration;

use townlet_testkit::on_time;

#[test]
fn one_attempt_on_time_is_enough_and_the_last_one() {
    let mut left = [9, 9, 2, 9].into_iter();
    on_time("the third", Duration::from_secs(2), || Duration::from_secs(left.next().unwrap()));
    assert_eq!(left.next(), Some(9), "no more are made than are needed");
}

#[test]
fn what_is_late_each_time_fails_and_says_how_late() {
    let failed = catch_unwind(|| on_time("the answer", Duration::from_secs(2), || Duration::from_secs(3))).unwrap_err();
    let said = failed.downcast_ref::<String>().unwrap();
    assert!(said.starts_with("the answer: never within 2s: [3s, "), "{said}");
}
