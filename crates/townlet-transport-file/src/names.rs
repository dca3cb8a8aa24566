//! Which names belong to one sink, and in which order their contents were
//! written: the file that is written to, those of earlier days, and those that
//! were set aside, compressed or not.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use townlet_transport::{ErrorKind, TransportError};

use crate::calendar::Moment;
use crate::pack::{PACKED, PART};
use crate::pattern::{Known, Piece, Unit, is_before, matched, pieces};

/// The stretch of time that a path stands for: its beginning, to the finest unit
/// that the path names. The same for all times where it names none.
pub(crate) type Period = Moment;

/// What tells files that were set aside apart: when, and a counter within the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) at: Moment,
    pub(crate) counter: u32,
}

impl Mark {
    fn text(&self) -> String {
        format!("{}-{:03}", self.at.stamp(), self.counter)
    }

    fn read(text: &str) -> Option<Self> {
        let (stamp, counter) = text.split_once('-')?;
        let counted = counter.len() >= 3 && counter.bytes().all(|byte| byte.is_ascii_digit());
        let mark = Self { at: Moment::of_stamp(stamp)?, counter: counter.parse().ok().filter(|_| counted)? };
        (mark.text() == text).then_some(mark)
    }
}

/// The place of a file among those of its sink: what has the lower key was
/// written earlier. Within a period the file without a mark is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) period: Period,
    pub(crate) mark: Option<Mark>,
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.period, self.mark.is_none(), self.mark).cmp(&(other.period, other.mark.is_none(), other.mark))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// How much of a file there is under its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// As it was written.
    Plain,
    /// Compressed, complete.
    Packed,
    /// Compressed as far as somebody got.
    Part,
}

/// A file of the sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) key: Key,
    pub(crate) form: Form,
    pub(crate) path: PathBuf,
}

/// The names of one sink.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// The folder above the first component that time changes, or the folder of the file.
    root: PathBuf,
    /// The components below it, the file's own name last.
    parts: Vec<Vec<Piece>>,
    /// The path as given, where it names no time.
    fixed: Option<PathBuf>,
    finest: Option<Unit>,
}

impl Names {
    /// Reads a path that may name times: `%Y`, `%m`, `%d`, `%H` and `%F` (year,
    /// month, day), all of UTC, as `strftime` writes them; `%%` is a percent sign.
    pub(crate) fn new(path: &Path) -> Result<Self, TransportError> {
        let text = path.to_string_lossy();
        if !text.contains('%') {
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let parts = vec![vec![Piece::Text(name)]];
            return Ok(Self { root: folder, parts, fixed: Some(path.to_owned()), finest: None });
        }
        let wrong = |what: String| {
            let message = format!("file_path {} {what}", path.display());
            TransportError::new(ErrorKind::Misconfigured, message)
        };
        if path.to_str().is_none() {
            return Err(wrong("has a percent sign and is not UTF-8".into()));
        }
        let mut root = PathBuf::new();
        let mut parts = Vec::new();
        let mut units = Vec::new();
        for component in path.components() {
            let name = component.as_os_str().to_string_lossy();
            let pieces = match component {
                Component::Normal(_) => pieces(&name, &mut units).map_err(&wrong)?,
                _ => vec![Piece::Text(name.into_owned())],
            };
            match &pieces[..] {
                [Piece::Text(name)] if parts.is_empty() => root.push(name),
                _ => parts.push(pieces),
            }
        }
        if parts.is_empty() {
            // Percent signs, and no time.
            let name = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let folder = root.parent().unwrap_or(Path::new("")).to_owned();
            return Ok(Self { root: folder, parts: vec![vec![Piece::Text(name)]], fixed: Some(root), finest: None });
        }
        let finest = units.iter().copied().max();
        for (unit, sign, _) in Unit::ALL {
            if finest.is_some_and(|finest| unit < finest) && !units.contains(&unit) {
                return Err(wrong(format!("has no {sign}: without it files of different times would share a name")));
            }
        }
        Ok(Self { root, parts, fixed: None, finest })
    }

    /// True where the path changes with time.
    pub(crate) fn is_dated(&self) -> bool {
        self.fixed.is_none()
    }

    /// The period of a time.
    pub(crate) fn period(&self, now: SystemTime) -> Period {
        let moment = Moment::of(now);
        let to = |unit: Unit, least: u64| if self.finest >= Some(unit) { unit.of(&moment) } else { least };
        match self.finest {
            None => Period::default(),
            Some(_) => Period {
                year: moment.year,
                month: to(Unit::Month, 1),
                day: to(Unit::Day, 1),
                hour: to(Unit::Hour, 0),
                ..Period::default()
            },
        }
    }

    /// When a period is over; the end of time for what has no end.
    fn end(&self, period: &Period) -> SystemTime {
        let start = period.time();
        let longest = match self.finest {
            None => return SystemTime::UNIX_EPOCH + Duration::from_secs(u64::MAX / 4),
            Some(Unit::Hour) => return start + Duration::from_secs(3600),
            Some(Unit::Day) => 1,
            Some(Unit::Month) => 31,
            Some(Unit::Year) => 366,
        };
        // The first day after it that belongs to another period.
        (1..=longest)
            .map(|days| start + Duration::from_secs(days * 86_400))
            .find(|day| self.period(*day) != *period)
            .unwrap_or(start)
    }

    /// When the last line of a finished file was written at the latest.
    pub(crate) fn finished(&self, key: &Key) -> SystemTime {
        match key.mark {
            Some(mark) => mark.at.time(),
            None => self.end(&key.period),
        }
    }

    /// The file that is written to in a period.
    pub(crate) fn path(&self, period: &Period) -> PathBuf {
        if let Some(fixed) = &self.fixed {
            return fixed.clone();
        }
        let mut path = self.root.clone();
        for pieces in &self.parts {
            let mut name = String::new();
            for piece in pieces {
                match piece {
                    Piece::Text(text) => name.push_str(text),
                    Piece::Number(unit) => name.push_str(&format!("{:0width$}", unit.of(period), width = unit.width())),
                }
            }
            path.push(name);
        }
        path
    }

    /// Where a file of a period goes when it is set aside.
    pub(crate) fn aside(&self, period: &Period, mark: &Mark) -> PathBuf {
        let path = self.path(period);
        let name = marked(path.file_name().unwrap_or_default(), &mark.text());
        path.with_file_name(name)
    }

    /// Every file of the sink, the earliest first. A folder that is not there has none.
    pub(crate) fn scan(&self) -> io::Result<Vec<Member>> {
        self.scan_since(&Period::default())
    }

    /// Those of a period and of later ones, without a look into earlier folders.
    pub(crate) fn scan_since(&self, period: &Period) -> io::Result<Vec<Member>> {
        let mut found = Vec::new();
        self.walk(&self.root, 0, [None; 4], period, &mut found)?;
        found.retain(|member| member.key.period >= *period);
        found.sort_by_key(|member| (member.key, member.form));
        Ok(found)
    }

    /// The files of one period in the folder of its path.
    pub(crate) fn scan_period(&self, period: &Period) -> io::Result<Vec<Member>> {
        let path = self.path(period);
        let folder = path.parent().unwrap_or(Path::new(""));
        let known = Unit::ALL.map(|(unit, ..)| (Some(unit) <= self.finest).then(|| unit.of(period)));
        let mut found = Vec::new();
        self.walk(folder, self.parts.len() - 1, known, period, &mut found)?;
        found.retain(|member| member.key.period == *period);
        found.sort_by_key(|member| (member.key, member.form));
        Ok(found)
    }

    /// The folders below the root that time named, the deepest first.
    pub(crate) fn dated_folders(&self, file: &Path) -> Vec<PathBuf> {
        file.ancestors().skip(1).take(self.parts.len() - 1).map(Path::to_owned).collect()
    }

    fn walk(
        &self,
        folder: &Path,
        depth: usize,
        known: Known,
        since: &Period,
        found: &mut Vec<Member>,
    ) -> io::Result<()> {
        let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let entries = match std::fs::read_dir(here) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if depth + 1 < self.parts.len() {
                if let Some(known) = matched(&self.parts[depth], name, known).filter(|known| !is_before(known, since)) {
                    self.walk(&folder.join(name), depth + 1, known, since, found)?;
                }
                continue;
            }
            // A link is somebody else's; what it leads to is too.
            if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            if let Some((key, form)) = self.judge(name, known) {
                found.push(Member { key, form, path: folder.join(name) });
            }
        }
        Ok(())
    }

    /// What a name in the last folder stands for; none where it is not ours.
    fn judge(&self, name: &str, known: Known) -> Option<(Key, Form)> {
        let (name, form) = match name.strip_suffix(PART) {
            Some(part) => {
                let (packed, number) = part.rsplit_once('.')?;
                let number = Some(number).filter(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()));
                (packed.strip_suffix(PACKED).filter(|_| number.is_some())?, Form::Part)
            }
            None => match name.strip_suffix(PACKED) {
                Some(name) if self.is_ours(name, known) => (name, Form::Packed),
                _ => (name, Form::Plain),
            },
        };
        Some((self.key(name, known)?, form))
    }

    fn is_ours(&self, name: &str, known: Known) -> bool {
        self.key(name, known).is_some()
    }

    fn key(&self, name: &str, known: Known) -> Option<Key> {
        let last = self.parts.last()?;
        if let Some(period) = matched(last, name, known).and_then(|known| self.whole(known)) {
            return Some(Key { period, mark: None });
        }
        // The mark stands between two points, or at the end.
        name.match_indices('.').find_map(|(at, _)| {
            let rest = &name[at + 1..];
            let text = rest.split('.').next()?;
            let mark = Mark::read(text)?;
            let bare = format!("{}{}", &name[..at], &rest[text.len()..]);
            let period = matched(last, &bare, known).and_then(|known| self.whole(known))?;
            (marked(OsStr::new(&bare), text) == name).then_some(Key { period, mark: Some(mark) })
        })
    }

    fn whole(&self, known: Known) -> Option<Period> {
        let Some(_) = self.finest else { return Some(Period::default()) };
        let [year, month, day, hour] = known;
        Moment::begin(year?, month.unwrap_or(1), day.unwrap_or(1), hour.unwrap_or(0))
    }
}

/// `name.jsonl` and a mark to `name.<mark>.jsonl`.
fn marked(name: &OsStr, mark: &str) -> std::ffi::OsString {
    let path = Path::new(name);
    let mut marked = path.file_stem().unwrap_or_default().to_owned();
    marked.push(".");
    marked.push(mark);
    if let Some(extension) = path.extension() {
        marked.push(".");
        marked.push(extension);
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(stamp: &str) -> SystemTime {
        Moment::of_stamp(stamp).unwrap().time()
    }

    fn names(path: &str) -> Names {
        Names::new(Path::new(path)).unwrap()
    }

    #[test]
    fn a_path_without_a_time_is_itself_whenever_it_is() {
        for path in ["town.jsonl", "logs/town.jsonl", "/var/log/town", "./a/../b.jsonl"] {
            let names = names(path);
            assert!(!names.is_dated());
            for now in ["19700101T000000Z", "20261121T065501Z"] {
                assert_eq!(names.path(&names.period(at(now))), Path::new(path));
            }
        }
        assert_eq!(names("a%%b/c%%.jsonl").path(&Period::default()), Path::new("a%b/c%.jsonl"));
    }

    #[test]
    fn times_in_a_path_are_of_utc() {
        for (path, expected) in [
            ("logs/%Y-%m-%d/town.jsonl", "logs/2026-11-21/town.jsonl"),
            ("/x/%F/town-%H.jsonl", "/x/2026-11-21/town-06.jsonl"),
            ("%Y/%m/%d/%H/%%t", "2026/11/21/06/%t"),
            ("logs/town-%Y%m.jsonl", "logs/town-202611.jsonl"),
        ] {
            let names = names(path);
            assert!(names.is_dated());
            assert_eq!(names.path(&names.period(at("20261121T065501Z"))), Path::new(expected));
        }
    }

    #[test]
    fn a_path_that_would_mix_times_is_refused() {
        for (path, says) in [
            ("logs/%d/town.jsonl", "has no %Y"),
            ("logs/%Y-%d.jsonl", "has no %m"),
            ("%F/town.%M.jsonl", "'%M'"),
            ("logs/100%", "'%'"),
            ("logs/%é", "'%é'"),
        ] {
            let error = Names::new(Path::new(path)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(error.to_string().contains(says) && error.to_string().contains("file_path"), "{error}");
        }
    }

    #[test]
    fn only_our_own_names_are_recognised() {
        let names = names("logs/town.jsonl");
        let judge = |name: &str| names.judge(name, [None; 4]);
        let mark = Mark { at: Moment::of_stamp("20261121T065501Z").unwrap(), counter: 12 };
        let set_aside = Key { period: Period::default(), mark: Some(mark) };
        let base = Key { period: Period::default(), mark: None };
        assert_eq!(names.aside(&Period::default(), &mark), Path::new("logs/town.20261121T065501Z-012.jsonl"));
        for (name, expected) in [
            ("town.jsonl", (base, Form::Plain)),
            ("town.20261121T065501Z-012.jsonl", (set_aside, Form::Plain)),
            ("town.20261121T065501Z-012.jsonl.gz", (set_aside, Form::Packed)),
            ("town.20261121T065501Z-012.jsonl.gz.7.part", (set_aside, Form::Part)),
        ] {
            assert_eq!(judge(name), Some(expected), "{name}");
        }
        for name in [
            "town.backup.jsonl",
            "town.20261121T065501Z.jsonl",
            "town.20261121T065501Z-12.jsonl",
            "town.20261121T06550xZ-012.jsonl",
            "town.20261321T065501Z-012.jsonl",
            "other.20261121T065501Z-012.jsonl",
            "town.20261121T065501Z-012.json",
            "town.20261121T065501Z-012.jsonl.bz2",
            "town.20261121T065501Z-012.jsonl.gz.part",
            "town.20261121T065501Z-012.jsonl.7.part",
            "town.20261121T065501Z-0012.jsonl",
        ] {
            assert_eq!(judge(name), None, "{name}");
        }
        let bare = self::names("town");
        assert_eq!(bare.aside(&Period::default(), &mark), Path::new("town.20261121T065501Z-012"));
        assert!(bare.judge("town.20261121T065501Z-1000", [None; 4]).is_some());
    }

    #[test]
    fn a_period_ends_where_the_next_begins() {
        for (path, now, end) in [
            ("%F", "20240228T120000Z", "20240229T000000Z"),
            ("%Y-%m", "20240210T120000Z", "20240301T000000Z"),
            ("%Y", "20240210T120000Z", "20250101T000000Z"),
            ("%FT%H", "20241231T231500Z", "20250101T000000Z"),
        ] {
            let names = names(path);
            let key = Key { period: names.period(at(now)), mark: None };
            assert_eq!(names.finished(&key), at(end), "{path}");
        }
    }

    #[test]
    fn keys_are_in_the_order_of_writing() {
        let (day, next) = (Moment::begin(2026, 11, 20, 0).unwrap(), Moment::begin(2026, 11, 21, 0).unwrap());
        let mark = |counter| Some(Mark { at: next, counter });
        let keys = [(day, mark(0)), (day, mark(1)), (day, None), (next, mark(0)), (next, None)];
        let keys = keys.map(|(period, mark)| Key { period, mark });
        assert!(keys.is_sorted(), "{keys:?}");
    }
}
