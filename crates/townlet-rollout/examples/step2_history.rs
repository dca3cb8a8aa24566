//! Five days of the metrics of `samples/rollouts/telemetry-step2.yaml` as CSV, on standard output: something to try
//! `townlet plan` and `townlet backtest` on.
//!
//! `--after 49` adds so many hours with the flag on, in which `--times 1.12` makes the parser slower from the third
//! hour on. The flag is raised at 1737583200000 (2025-01-22, 22:00 UTC).

#[path = "../tests/it/series.rs"]
mod series;

use std::io::Write;

use series::Habit;

/// 2025-01-22, 22:00 UTC: 14:00 in California.
const GO: u64 = 1_737_583_200_000;
const DAYS: u64 = 5;
const MINUTE: u64 = 60_000;

/// Each column, whether it exists only while the flag is on, and how it moves while nothing is wrong.
const COLUMNS: [(&str, bool, Habit); 8] = [
    ("parse_duration_ms.p50", true, Habit { level: 58.3, noise: 0.02, memory: 0.5, swing: 0.0 }),
    ("parse_duration_ms.p95", true, Habit { level: 84.2, noise: 0.02, memory: 0.5, swing: 0.0 }),
    ("parse_batch_size.mean", true, Habit { level: 122.3, noise: 0.03, memory: 0.5, swing: 0.0 }),
    ("parser_failure_total.delta", true, Habit { level: 0.0, noise: 0.0, memory: 0.0, swing: 0.0 }),
    ("cli_latency_p95_ms", false, Habit { level: 47.1, noise: 0.015, memory: 0.5, swing: 0.01 }),
    ("cicd_success_ratio", false, Habit { level: 97.6, noise: 0.002, memory: 0.3, swing: 0.0 }),
    ("resource_utilization_cpu_percent", false, Habit { level: 64.0, noise: 0.01, memory: 0.6, swing: 0.05 }),
    ("telemetry_stream_lag_ms", false, Habit { level: 195.0, noise: 0.05, memory: 0.5, swing: 0.1 }),
];

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1)?.parse::<f64>().ok()
    };
    let (hours, times) = (number("--after").unwrap_or(0.0).max(0.0) as u64, number("--times").unwrap_or(1.0));
    let first = GO - DAYS * 1440 * MINUTE;
    let count = DAYS * 1440 + hours * 60;
    let columns = COLUMNS.iter().zip(0..);
    let columns: Vec<Vec<Option<f64>>> =
        columns.map(|((.., habit), seed)| habit.values(seed, first / MINUTE % 1440, count)).collect();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let names: Vec<&str> = COLUMNS.iter().map(|(name, ..)| *name).collect();
    writeln!(out, "at_ms,{}", names.join(","))?;
    for minute in 0..count {
        let at = first + minute * MINUTE;
        write!(out, "{at}")?;
        for ((name, switched, _), column) in COLUMNS.iter().zip(&columns) {
            let value = usize::try_from(minute).ok().and_then(|minute| column.get(minute).copied().flatten());
            let slower = name.ends_with("p95") && at >= GO + 3 * 60 * MINUTE;
            match value.filter(|_| !switched || at >= GO) {
                Some(value) if slower => write!(out, ",{:.3}", value * times)?,
                // What is counted has no fraction, and a count of nothing no sign.
                Some(value) => write!(out, ",{}", value.abs())?,
                // The history of failures is one of none.
                None if *name == "parser_failure_total.delta" => write!(out, ",0")?,
                None => write!(out, ",")?,
            }
        }
        writeln!(out)?;
    }
    out.flush()
}
