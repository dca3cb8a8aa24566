//! What a run of libFuzzer came to, read from what it printed.

use std::path::PathBuf;
use std::time::Duration;

use crate::process;

/// One run of one target.
#[derive(Debug)]
pub(super) struct Outcome {
    code: Option<i32>,
    runs: u64,
    peak_mib: u64,
    /// Places that libFuzzer can count: 0 where the build is not instrumented.
    counters: u64,
    /// Edges after the seeds, and at the end.
    edges: (u64, u64),
    /// A line for each finding that shows it again.
    replays: Vec<String>,
    log: PathBuf,
    last_words: String,
    took: Duration,
}

impl Outcome {
    pub(super) fn read(code: Option<i32>, text: &str, replays: Vec<String>, log: PathBuf, took: Duration) -> Self {
        let stat = |name: &str| number_after(text.lines().rev(), &format!("stat::{name}:"));
        let edges = |line: &&str| line.starts_with('#') && line.contains(" cov: ");
        let first = text.lines().filter(edges).find(|line| line.contains("INITED"));
        Self {
            code,
            runs: stat("number_of_executed_units"),
            peak_mib: stat("peak_rss_mb"),
            counters: number_after(text.lines().filter(|line| line.contains("inline 8-bit counters")), "("),
            edges: (
                number_after(first.into_iter(), " cov: "),
                number_after(text.lines().rev().filter(edges), " cov: "),
            ),
            replays,
            log,
            last_words: process::tail(&reason(text)),
            took,
        }
    }

    /// Why the run failed, if it did. A run that looked at nothing is no pass.
    pub(super) fn fault(&self) -> Option<String> {
        let log = self.log.display();
        if self.code != Some(0) {
            let how = self.code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
            let replays: String = self.replays.iter().map(|line| format!("\n    {line}")).collect();
            let replays = if replays.is_empty() { "\n    no input was kept".to_owned() } else { replays };
            return Some(format!("ended by {how}: {}{replays}\n    log: {log}", self.last_words));
        }
        if self.counters == 0 || self.edges.1 == 0 {
            return Some(format!("the build counts no edges, so nothing guides it; see {log}"));
        }
        (self.runs == 0).then(|| format!("it ran no input; see {log}"))
    }

    /// The figures in one line.
    pub(super) fn text(&self, target: &str) -> String {
        let seconds = self.took.as_secs_f64();
        let rate = self.runs as f64 / seconds.max(0.001);
        let (first, last) = self.edges;
        format!(
            "fuzz: {target:<16} {seconds:>5.0} s {:>10} runs {rate:>8.0}/s  edges {first} -> {last} of {}  peak {} MiB",
            self.runs, self.counters, self.peak_mib
        )
    }
}

/// The line in which libFuzzer or the panic says what is wrong, with what follows it.
fn reason(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.contains("panicked at") || line.contains("ERROR: libFuzzer"));
    lines[at.unwrap_or_default()..]
        .iter()
        .take(if at.is_some() { 4 } else { usize::MAX })
        .copied()
        .collect::<Vec<_>>()
        .join("\n")
}

/// The number behind `mark` in the first line that has it; 0 where none has.
fn number_after<'a>(mut lines: impl Iterator<Item = &'a str>, mark: &str) -> u64 {
    let digits = |rest: &str| {
        let rest = rest.trim_start();
        rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
    };
    lines.find_map(|line| digits(line.split_once(mark)?.1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "INFO: Loaded 1 modules   (28439 inline 8-bit counters): 28439 [0x561b205c19a8, 0x561b205c88bf), \n\
        #2\tINITED cov: 52 ft: 52 corp: 1/1b exec/s: 0 rss: 29Mb\n\
        #3\tNEW    cov: 58 ft: 58 corp: 2/2b lim: 4 exec/s: 0 rss: 29Mb L: 1/1 MS: 1 ChangeByte-\n\
        #331213\tDONE   cov: 611 ft: 1939 corp: 623/17Kb lim: 365 exec/s: 110404 rss: 30Mb\n\
        Done 331213 runs in 3 second(s)\n\
        stat::number_of_executed_units: 331213\n\
        stat::peak_rss_mb:              30\n";

    fn outcome(code: Option<i32>, text: &str, replays: &[&str]) -> Outcome {
        let replays = replays.iter().map(|line| (*line).to_owned()).collect();
        Outcome::read(code, text, replays, "x.log".into(), Duration::from_secs(3))
    }

    #[test]
    fn a_run_that_ended_well_shows_its_figures_and_has_no_fault() {
        let good = outcome(Some(0), GOOD, &[]);
        assert_eq!(good.fault(), None);
        let text = good.text("json_tree");
        assert_eq!(
            text,
            "fuzz: json_tree            3 s     331213 runs   110404/s  edges 52 -> 611 of 28439  peak 30 MiB"
        );
    }

    #[test]
    fn a_finding_comes_with_its_reason_and_the_line_that_shows_it_again() {
        let text = "noise\nthread '<unnamed>' panicked at src/bin/json_tree.rs:7:5:\nit was refused\nmore\n";
        let fault = outcome(Some(77), text, &["cargo xtask fuzz --target json_tree --input x"]).fault().unwrap();
        assert!(fault.contains("exit code 77") && fault.contains("it was refused"), "{fault}");
        assert!(!fault.contains("noise"), "{fault}");
        assert!(fault.contains("\n    cargo xtask fuzz --target json_tree --input x\n"), "{fault}");
        let fault = outcome(None, "", &[]).fault().unwrap();
        assert!(fault.contains("a signal") && fault.contains("no input was kept"), "{fault}");
    }

    #[test]
    fn a_run_that_looked_at_nothing_is_no_pass() {
        let blind = GOOD.replace("28439 inline 8-bit counters", "0 counters");
        assert!(outcome(Some(0), &blind, &[]).fault().unwrap().contains("counts no edges"));
        let idle = GOOD.replace("units: 331213", "units: 0");
        assert!(outcome(Some(0), &idle, &[]).fault().unwrap().contains("ran no input"));
        assert!(outcome(Some(0), "", &[]).fault().is_some());
    }
}
