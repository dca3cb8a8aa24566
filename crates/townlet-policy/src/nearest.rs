//! Which known name somebody may have meant.

/// The closest name, if it is close enough to be a slip of the pen: a third of the letters, at least one.
#[must_use]
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 60;
    let written: Vec<char> = written.chars().take(LONGEST).collect();
    let most = (written.len() / 3).max(1);
    let close = known.into_iter().map(|name| (distance(&written, name), name)).filter(|(far, _)| *far <= most);
    // Of equals the first, so that the answer does not change from run to run.
    close.min_by_key(|(far, _)| *far).map(|(_, name)| name)
}

/// Letters to add, drop, change or swap with their neighbour.
fn distance(written: &[char], name: &str) -> usize {
    let name: Vec<char> = name.chars().collect();
    let mut rows = vec![(0..=name.len()).collect::<Vec<usize>>()];
    for (i, from) in written.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in name.iter().enumerate() {
            let change = rows[i][j] + usize::from(from != to);
            let mut least = change.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == name[j - 1] && written[i - 1] == *to {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[written.len()][name.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_pen_finds_its_name() {
        let known = ["unit", "worse", "dry_run", "action"];
        for (written, meant) in [("uint", "unit"), ("wrose", "worse"), ("dry-run", "dry_run"), ("actions", "action")] {
            assert_eq!(nearest(written, known), Some(meant));
        }
        for far in ["", "colour", "ab", "währung"] {
            assert_eq!(nearest(far, known), None, "{far}");
        }
    }
}
