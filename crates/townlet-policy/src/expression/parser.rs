//! Words to a tree, in the unit of each metric.

use std::time::Duration;

use super::RESERVED;
use super::lexer::{ErrorKind, ExpressionError, Kind, Token, tokens};
use crate::metric::Metric;
use crate::rule::{Basis, Check, Condition, Limit, MetricId, MinSamples, Op, Test, Timing};
use crate::time::{parse_duration, shorten};
use crate::unit::Unit;

/// A rule's text, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// The condition as it is written.
    pub condition: Condition,
    /// Its clauses.
    pub timing: Timing,
}

/// The deepest nesting of parentheses and `not`.
const DEEPEST: usize = 32;

/// Reads one rule. `subject` is the metric of tests that name none.
///
/// # Errors
/// The first fault, with its column.
pub fn parse(text: &str, metrics: &[Metric], subject: Option<MetricId>) -> Result<Expression, ExpressionError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, metrics, subject, depth: 0 };
    let condition = parser.condition()?;
    let timing = parser.timing()?;
    if parser.here().kind != Kind::End {
        let message = format!("'{}' is not expected here", shorten(parser.here().text));
        return Err(parser
            .wrong(message)
            .with("after the condition come for, keep, min_samples, max_gap, unless no-data"));
    }
    Ok(Expression { condition, timing })
}

impl ExpressionError {
    fn with(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    metrics: &'a [Metric],
    subject: Option<MetricId>,
    depth: usize,
}

type Read<T> = Result<T, ExpressionError>;

/// A limit before it is known what it is compared with.
struct Written {
    limit: Limit,
    at: usize,
}

impl<'a> Parser<'a> {
    fn here(&self) -> &Token<'a> {
        // The list ends in `End`, which `next` never passes.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.here().clone();
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    fn take(&mut self, kind: Kind<'_>) -> bool {
        let found = self.here().kind == kind;
        if found {
            self.next();
        }
        found
    }

    fn word(&mut self, word: &str) -> bool {
        self.take(Kind::Word(word))
    }

    fn wrong(&self, message: impl Into<String>) -> ExpressionError {
        self.wrong_at(self.at, ErrorKind::Grammar, message)
    }

    fn wrong_at(&self, at: usize, kind: ErrorKind, message: impl Into<String>) -> ExpressionError {
        let token = &self.tokens[at.min(self.tokens.len() - 1)];
        let width = token.text.chars().count().max(1);
        ExpressionError { column: token.column, width, kind, message: message.into(), help: None }
    }

    fn condition(&mut self) -> Read<Condition> {
        self.chain("or", Self::all, Condition::Any)
    }

    fn all(&mut self) -> Read<Condition> {
        self.chain("and", Self::negation, Condition::All)
    }

    fn chain(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Read<Condition>,
        join: fn(Vec<Condition>) -> Condition,
    ) -> Read<Condition> {
        let mut parts = vec![part(self)?];
        while self.word(word) {
            parts.push(part(self)?);
        }
        if parts.len() > 1 {
            return Ok(join(parts));
        }
        parts.pop().ok_or_else(|| self.wrong("a condition belongs here"))
    }

    fn negation(&mut self) -> Read<Condition> {
        let nests = matches!(self.here().kind, Kind::Word("not") | Kind::Mark("("));
        if !nests {
            return self.test();
        }
        if self.depth == DEEPEST {
            return Err(self.wrong(format!("nested deeper than {DEEPEST} levels")));
        }
        self.depth += 1;
        let inner = if self.word("not") {
            Condition::Not(Box::new(self.negation()?))
        } else {
            self.next();
            let inner = self.condition()?;
            if !self.take(Kind::Mark(")")) {
                return Err(self.wrong("a closing parenthesis belongs here"));
            }
            inner
        };
        self.depth -= 1;
        Ok(inner)
    }

    fn test(&mut self) -> Read<Condition> {
        let metric = self.metric()?;
        let unit = &self.metrics[metric.0].unit;
        let check = match self.here().kind {
            Kind::Word("in") => self.range(unit)?,
            Kind::Word("absent") => {
                self.next();
                let lasting = if self.word("for") { Some(self.duration()?) } else { None };
                Check::Absent { lasting }
            }
            Kind::Word("fresh") => self.fresh()?,
            Kind::Mark(mark) if self.operator(mark)?.is_some() => {
                let op = self.operator(mark)?.unwrap_or(Op::Eq);
                self.next();
                let written = self.limit(unit)?;
                if written.limit.two_sided && matches!(op, Op::Eq | Op::Ne) {
                    return Err(self.wrong_at(written.at, ErrorKind::Grammar, "± goes with <, <=, > and >= only"));
                }
                Check::Compare { op, limit: written.limit }
            }
            Kind::Number(_) | Kind::Word("true" | "false") if self.subject.is_some() => {
                Check::Compare { op: Op::Eq, limit: self.limit(unit)?.limit }
            }
            _ => {
                return Err(self
                    .wrong("a comparison belongs here")
                    .with("write <, <=, >, >=, ==, !=, in 1..5, absent for 5m or fresh < 60s"));
            }
        };
        Ok(Condition::Test(Test { metric, check }))
    }

    fn operator(&self, mark: &str) -> Read<Option<Op>> {
        if mark == "=" {
            return Err(self.wrong("= is not a comparison").with("write =="));
        }
        Ok(Op::ALL.into_iter().find(|op| op.as_str() == mark))
    }

    fn metric(&mut self) -> Read<MetricId> {
        let at = self.at;
        match self.here().kind {
            Kind::Word(name) if !RESERVED.contains(&name) => {
                self.next();
                let found = self.metrics.iter().position(|metric| metric.name == name);
                found.map(MetricId).ok_or_else(|| {
                    let message = format!("there is no metric '{}'", shorten(name));
                    let error = self.wrong_at(at, ErrorKind::UnknownMetric, message);
                    error.with("declare it, with its unit")
                })
            }
            _ => match self.subject {
                Some(subject) if self.here().kind != Kind::End => Ok(subject),
                Some(_) => Err(self.wrong("a comparison belongs here").with("write < 200, for example")),
                None => Err(self
                    .wrong("the name of a metric belongs here")
                    .with("begin with one, or give the rule a metric: of its own")),
            },
        }
    }

    fn range(&mut self, unit: &Unit) -> Read<Check> {
        self.next();
        let low = self.limit(unit)?;
        if low.limit.two_sided {
            let one_sided = |value| Limit { value, two_sided: false, ..low.limit };
            return Ok(Check::In { low: one_sided(-low.limit.value), high: one_sided(low.limit.value) });
        }
        if !self.take(Kind::Mark("..")) {
            return Err(self.wrong("the other end of the range belongs here").with("write in 1..5"));
        }
        let high = self.limit(unit)?;
        let wrong = |message| Err(self.wrong_at(high.at, ErrorKind::Grammar, message));
        if high.limit.two_sided {
            return wrong("± stands alone: in ±5%");
        }
        if low.limit.basis != high.limit.basis {
            return wrong("both ends of a range are measured from the same place, a value or the baseline");
        }
        if low.limit.value > high.limit.value {
            return wrong("the range ends before it begins");
        }
        Ok(Check::In { low: low.limit, high: high.limit })
    }

    fn fresh(&mut self) -> Read<Check> {
        self.next();
        if !(self.take(Kind::Mark("<")) || self.take(Kind::Mark("<="))) {
            return Err(self.wrong("fresh takes < and a duration").with("write fresh < 60s"));
        }
        let at = self.at;
        let within = self.duration()?;
        if within.is_zero() {
            return Err(self.wrong_at(at, ErrorKind::Grammar, "nothing is younger than that"));
        }
        Ok(Check::Fresh { within })
    }

    fn limit(&mut self, unit: &Unit) -> Read<Written> {
        let at = self.at;
        let written = self.any_limit(unit)?;
        if !written.limit.value.is_finite() {
            let message = format!("that is more than a number in {unit} can be");
            return Err(self.wrong_at(at, ErrorKind::Unit, message));
        }
        Ok(written)
    }

    fn any_limit(&mut self, unit: &Unit) -> Read<Written> {
        let at = self.at;
        let value = |value| Limit { value, basis: Basis::Value, two_sided: false };
        for (word, number) in [("true", 1.0), ("false", 0.0)] {
            if self.word(word) {
                if *unit != Unit::Bool {
                    return Err(self.wrong_at(at, ErrorKind::Unit, format!("{word} is a limit for unit bool only")));
                }
                return Ok(Written { limit: value(number), at });
            }
        }
        if self.take(Kind::Mark("(")) {
            let negative = self.take(Kind::Mark("-"));
            let (number, suffix) = self.number()?;
            let number = unit.convert(number, suffix).map_err(|message| self.wrong_at(at, ErrorKind::Unit, message))?;
            if !self.take(Kind::Mark(")")) {
                return Err(self.wrong("a closing parenthesis belongs here"));
            }
            return Ok(Written { limit: value(if negative { -number } else { number }), at });
        }
        let sign = match self.here().kind {
            Kind::Mark(sign @ ("+" | "-" | "±" | "+-" | "+/-")) => {
                self.next();
                Some(sign)
            }
            _ => None,
        };
        let (number, suffix) = self.number()?;
        let unit_error = |message: String| self.wrong_at(at, ErrorKind::Unit, message);
        let Some(sign) = sign else {
            if suffix == "pp" {
                return Err(unit_error("percentage points are a change against the baseline".into())
                    .with(format!("write +{number}pp")));
            }
            return Ok(Written { limit: value(unit.convert(number, suffix).map_err(unit_error)?), at });
        };
        let (basis, number) = match suffix {
            "%" => (Basis::Relative, number / 100.0),
            "pp" if !unit.has_points() => {
                let message = format!("percentage points need a metric in % or ratio, and this one is in {unit}");
                return Err(unit_error(message).with(format!("write {sign}{number}% for a relative change")));
            }
            "pp" if *unit == Unit::Ratio => (Basis::Difference, number / 100.0),
            "pp" => (Basis::Difference, number),
            suffix => (Basis::Difference, unit.convert(number, suffix).map_err(unit_error)?),
        };
        let value = if sign == "-" { -number } else { number };
        Ok(Written { limit: Limit { value, basis, two_sided: !matches!(sign, "+" | "-") }, at })
    }

    /// A number and its suffix, which may stand apart.
    fn number(&mut self) -> Read<(f64, &'a str)> {
        let Kind::Number(number) = self.here().kind else {
            return Err(self.wrong("a number belongs here"));
        };
        self.next();
        let suffix = match self.here().kind {
            Kind::Mark("%") => "%",
            Kind::Word(word) if !RESERVED.contains(&word) => word,
            _ => "",
        };
        if !suffix.is_empty() {
            self.next();
        }
        Ok((number, suffix))
    }

    fn duration(&mut self) -> Read<Duration> {
        let at = self.at;
        if !matches!(self.here().kind, Kind::Number(_)) {
            return Err(self.wrong("a duration belongs here").with("write 30s, 10m or 1h30m"));
        }
        let mut text = self.next().text.to_owned();
        // `1h30m` is a number and a word to the lexer, `90 s` two things to a reader.
        while !self.here().spaced && matches!(self.here().kind, Kind::Word(_) | Kind::Number(_)) {
            text.push_str(self.next().text);
        }
        parse_duration(&text).map_err(|message| self.wrong_at(at, ErrorKind::Grammar, message))
    }

    fn timing(&mut self) -> Read<Timing> {
        let mut timing = Timing::default();
        let mut seen: Vec<&str> = Vec::new();
        let mut samples: Option<(usize, u64, Option<Duration>)> = None;
        while let Kind::Word(word @ ("for" | "keep" | "min_samples" | "max_gap" | "unless")) = self.here().kind {
            if seen.contains(&word) {
                return Err(self.wrong(format!("{word} is given twice")));
            }
            seen.push(word);
            let at = self.at;
            self.next();
            match word {
                "for" => timing.lasting = self.duration()?,
                "keep" => timing.keep = self.duration()?,
                "max_gap" => {
                    let gap = self.duration()?;
                    if gap.is_zero() {
                        return Err(self.wrong_at(
                            at + 1,
                            ErrorKind::Grammar,
                            "with no gap at all nothing is ever known",
                        ));
                    }
                    timing.max_gap = Some(gap);
                }
                "min_samples" => {
                    let count = self.whole()?;
                    let within = if self.word("in") { Some(self.duration()?) } else { None };
                    samples = Some((at, count, within));
                }
                _ if self.word("no-data") => timing.unless_no_data = true,
                _ => return Err(self.wrong("unless takes no-data and nothing else")),
            }
        }
        if let Some((at, count, within)) = samples {
            let within = within.or(Some(timing.lasting)).filter(|within| !within.is_zero());
            let within = within.ok_or_else(|| {
                self.wrong_at(at, ErrorKind::Grammar, "the samples of how long?")
                    .with(format!("write min_samples {count} in 10m"))
            })?;
            timing.min_samples = Some(MinSamples { count, within });
        }
        Ok(timing)
    }

    fn whole(&mut self) -> Read<u64> {
        let number = match self.here().kind {
            Kind::Number(_) => self.here().text.parse::<u64>().ok().filter(|n| *n > 0),
            _ => None,
        };
        let number = number.ok_or_else(|| self.wrong("a whole number from 1 belongs here"))?;
        self.next();
        Ok(number)
    }
}
