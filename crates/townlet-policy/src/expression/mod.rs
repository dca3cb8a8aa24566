//! The grammar of rules.
//!
//! ```text
//! rule      := condition clause*
//! condition := and ("or" and)*
//! and       := not ("and" not)*
//! not       := "not" not | "(" condition ")" | test
//! test      := METRIC compare limit
//!            | METRIC "in" limit ".." limit | METRIC "in" "±" limit
//!            | METRIC "absent" ["for" DURATION]
//!            | METRIC "fresh" ("<" | "<=") DURATION
//! compare   := "<" | "<=" | ">" | ">=" | "==" | "!="
//! limit     := NUMBER [UNIT]            a value:                   200, 200ms, 99.5%
//!            | sign NUMBER "%"          relative to the baseline:  +10%, -5%, ±7%
//!            | sign NUMBER "pp"         percentage points from it: +2pp
//!            | sign NUMBER [UNIT]       that far from it:          +5ms
//!            | "(" "-" NUMBER [UNIT] ")"   a value below zero:     (-5)
//!            | "true" | "false"
//! sign      := "+" | "-" | "±" | "+-"
//! clause    := "for" DURATION | "keep" DURATION | "min_samples" NUMBER ["in" DURATION]
//!            | "max_gap" DURATION | "unless" "no-data"
//! ```
//!
//! Where the rule names its metric elsewhere, a test may begin with the
//! comparison, and a bare limit means `==`: `< 200`, `0`, `true`.
//! A sign always means a change against the baseline, so `5%` and `+5%` cannot be mistaken for each other.

mod lexer;
mod parser;
mod print;

pub use lexer::{ErrorKind, ExpressionError};
pub use parser::{Expression, parse};
pub(crate) use print::limit;
pub use print::{condition, rule};

/// Words of the grammar, which no metric may be called.
const RESERVED: [&str; 14] = [
    "and",
    "or",
    "not",
    "in",
    "for",
    "keep",
    "absent",
    "fresh",
    "min_samples",
    "max_gap",
    "unless",
    "no-data",
    "true",
    "false",
];
