//! What is said about a server or stream that stays away: once, and then now and then.

use std::time::{Duration, Instant};

/// The same trouble is said again so much later: whoever reads the end of a log finds it there.
const AGAIN: Duration = Duration::from_secs(60);

/// The last trouble that was told.
#[derive(Debug, Default)]
pub(super) struct Told(Option<(String, Instant)>);

impl Told {
    /// True where `trouble` is to be told now. Each second's try to connect meets the one before again.
    pub(super) fn is_news(&mut self, now: Instant, trouble: &str) -> bool {
        let is_old = |(told, at): &(String, Instant)| told == trouble && now.saturating_duration_since(*at) < AGAIN;
        if self.0.as_ref().is_some_and(is_old) {
            return false;
        }
        self.0 = Some((trouble.to_owned(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_when_it_comes_when_it_changes_and_once_a_minute() {
        let (mut told, began) = (Told::default(), Instant::now());
        let at = |second| began + Duration::from_secs(second);
        let mut heard = |second, trouble| told.is_news(at(second), trouble);
        assert!(heard(0, "refused"));
        assert!((1..60).all(|second| !heard(second, "refused")));
        assert!(heard(60, "refused"), "a minute later");
        assert!(heard(61, "no such stream"), "another one");
        assert!(!heard(62, "no such stream"));
        assert!(heard(63, "refused"), "it has changed back");
    }
}
