//! Components of a path that name times, as `strftime` does: written out, and read back.

use crate::calendar::Moment;

/// A piece of a path: text, or a number that time fills in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Number(Unit),
}

/// What a number stands for, from coarse to fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unit {
    Year,
    Month,
    Day,
    Hour,
}

impl Unit {
    pub(crate) const ALL: [(Self, &'static str, usize); 4] =
        [(Self::Year, "%Y", 4), (Self::Month, "%m", 2), (Self::Day, "%d", 2), (Self::Hour, "%H", 2)];

    pub(crate) fn width(self) -> usize {
        Self::ALL[self as usize].2
    }

    pub(crate) fn of(self, moment: &Moment) -> u64 {
        match self {
            Self::Year => moment.year,
            Self::Month => moment.month,
            Self::Day => moment.day,
            Self::Hour => moment.hour,
        }
    }
}

/// What names say of year, month, day and hour.
pub(crate) type Known = [Option<u64>; 4];

/// Reads one component of a path; `units` takes in what it names.
pub(crate) fn pieces(name: &str, units: &mut Vec<Unit>) -> Result<Vec<Piece>, String> {
    fn text(pieces: &mut Vec<Piece>, more: &str) {
        match pieces.last_mut() {
            Some(Piece::Text(text)) => text.push_str(more),
            _ => pieces.push(Piece::Text(more.to_owned())),
        }
    }
    let mut pieces = Vec::new();
    let mut rest = name;
    while let Some(at) = rest.find('%') {
        if at > 0 {
            text(&mut pieces, &rest[..at]);
        }
        let sign = rest[at..].chars().nth(1);
        let mut number = |unit: Unit| {
            units.push(unit);
            Piece::Number(unit)
        };
        match sign {
            Some('Y') => pieces.push(number(Unit::Year)),
            Some('m') => pieces.push(number(Unit::Month)),
            Some('d') => pieces.push(number(Unit::Day)),
            Some('H') => pieces.push(number(Unit::Hour)),
            Some('F') => {
                for unit in [Unit::Year, Unit::Month, Unit::Day] {
                    if unit > Unit::Year {
                        text(&mut pieces, "-");
                    }
                    units.push(unit);
                    pieces.push(Piece::Number(unit));
                }
            }
            Some('%') => text(&mut pieces, "%"),
            other => {
                let found = other.map_or_else(|| "%".to_owned(), |c| format!("%{c}"));
                return Err(format!("has '{found}': write %Y, %m, %d, %H or %F, and %% for a percent sign"));
            }
        }
        rest = &rest[at + 1 + sign.map_or(0, char::len_utf8)..];
    }
    if !rest.is_empty() {
        text(&mut pieces, rest);
    }
    Ok(pieces)
}

/// True where what is known of a time is enough to tell that it is before a period.
pub(crate) fn is_before(known: &Known, period: &Moment) -> bool {
    for (unit, ..) in Unit::ALL {
        match known[unit as usize] {
            Some(value) if value == unit.of(period) => {}
            Some(value) => return value < unit.of(period),
            None => return false,
        }
    }
    false
}

/// The numbers of a name that has this shape; none where it has another, or where
/// a number differs from what is known already.
pub(crate) fn matched(pieces: &[Piece], name: &str, mut known: Known) -> Option<Known> {
    let mut rest = name;
    for piece in pieces {
        match piece {
            Piece::Text(text) => rest = rest.strip_prefix(text.as_str())?,
            Piece::Number(unit) => {
                let digits = rest.get(..unit.width())?;
                if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                let value = digits.parse().ok()?;
                match &mut known[*unit as usize] {
                    Some(before) if *before != value => return None,
                    slot => *slot = Some(value),
                }
                rest = &rest[unit.width()..];
            }
        }
    }
    rest.is_empty().then_some(known)
}
