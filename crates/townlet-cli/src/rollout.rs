//! `townlet plan` and `townlet backtest`: what a rollout would do, before it does it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use townlet_policy::{Findings, Span};
use townlet_registry::Time;
use townlet_rollout::simulate::{self, Ending, Fault, Fired, Forecast, Options, Prediction};
use townlet_rollout::{Assumed, Moment, Plan, PlanFile, Recorder, References, Rule, Table, snapshot};

use crate::exit::{Exit, Failure};
use crate::lint::number;
use crate::out::{remark, say};

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The plan. Exit 1 where a rule is refused, 2 where the plan cannot be used, 3 where the history cannot.
    plan: PathBuf,
    /// What the metrics were: a CSV whose first column is at_ms or at_s, the others as the plan names its metrics.
    #[arg(long, value_name = "FILE")]
    history: PathBuf,
    /// When the rollout would start: RFC 3339, or milliseconds since 1970; one window after the history unless given.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start: Option<Moment>,
    /// Healthy rollouts to simulate.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: u32,
    /// Rollouts to simulate with each fault.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    faulty_runs: u32,
    /// Seed: the same seed gives the same prediction.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The share of healthy rollouts that a rule may undo, in percent; with more it is refused.
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    most_false_rollbacks: f64,
    /// The share of healthy rollouts that a rule may hold.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    most_false_holds: f64,
    /// Print the log of one simulated rollout first.
    #[arg(long)]
    log: bool,
    /// Print every assumption about the histories with its figure, and not only those that fail.
    #[arg(long)]
    checks: bool,
    /// Print the prediction as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Backtest {
    /// The plan. Exit 0 where the rollout would have been signed, 1 where not, 3 where the record is too short.
    plan: PathBuf,
    /// The record: a CSV as for `plan --history`, from days before the flag was raised to days after it.
    #[arg(long, value_name = "FILE")]
    csv: PathBuf,
    /// When the flag was raised: RFC 3339, or milliseconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    go: Moment,
    /// Print the log of the rollout first.
    #[arg(long)]
    log: bool,
    /// Write the validation snapshots into this folder: snapshots.jsonl, snapshots.csv, and the schema for BigQuery.
    #[arg(long, value_name = "FOLDER")]
    snapshots: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn plan(args: &PlanArgs) -> anyhow::Result<Exit> {
    let Some((file, text)) = read_plan(&args.plan)? else { return Ok(Exit::Usage) };
    let plan = &file.plan;
    let table = read_table(&args.history)?;
    let missing = table.missing(plan);
    if !missing.is_empty() {
        let message = format!("{}: no column {}", args.history.display(), missing.join(", "));
        return Err(anyhow::anyhow!("{message}; name the columns as the plan names its metrics"));
    }
    let start = args.start.unwrap_or(table.last() + plan.every);
    let history = table.references(plan, table.last());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let options = Options {
        runs: args.runs,
        faulty_runs: args.faulty_runs,
        seed: args.seed,
        most_false_rollbacks: args.most_false_rollbacks / 100.0,
        most_false_holds: args.most_false_holds / 100.0,
        threads,
    };
    if args.log {
        say!("{}", one_run(plan, &text, &history, start, args.seed).to_text())?;
    }
    let prediction = simulate::predict(plan, &history, start, &options);
    let assumed = plan.assumed(&history);
    if args.json {
        say!("{}", serde_json::to_string_pretty(&prediction_json(plan, &prediction, &assumed))?)?;
    } else {
        tell(plan, &prediction, &options)?;
        tell_assumed(&assumed, args.checks)?;
    }
    let hopeless = prediction.rules.iter().any(|rule| rule.hopeless.is_some());
    let doubt = (options.most_false_rollbacks / f64::from(options.runs.max(1))).sqrt() * 2.0;
    let too_often = prediction.false_rollback > options.most_false_rollbacks + doubt;
    Ok(if hopeless || too_often { Exit::No } else { Exit::Yes })
}

pub(crate) fn backtest(args: &Backtest) -> anyhow::Result<Exit> {
    let Some((file, text)) = read_plan(&args.plan)? else { return Ok(Exit::Usage) };
    let plan = &file.plan;
    let table = read_table(&args.csv)?;
    let go = args.go;
    let told = simulate::backtest(plan, &text, &table, go).with_context(|| args.csv.display().to_string())?;
    if args.log {
        say!("{}", told.run.to_text())?;
    }
    if let Some(folder) = &args.snapshots {
        write_snapshots(folder, told.run.state().rows())?;
    }
    let after = |at: Moment| format!("T+{}", Span(at.since(go)));
    let (line, exit) = match &told.ending {
        Ending::Blocked { reasons } => (format!("would not have begun: {}", reasons.join("; ")), Exit::No),
        Ending::RolledBack { at, cause } => (format!("would have been undone at {}: {cause}", after(*at)), Exit::No),
        Ending::Succeeded { at } => (format!("would have been signed at {}", after(*at)), Exit::Yes),
        Ending::Unfinished { phase } => (format!("the record ends in {phase}"), Exit::Unavailable),
        _ => ("ended in a way that this program does not know".to_owned(), Exit::Unavailable),
    };
    let firings = plan.rules.iter().zip(&told.rules);
    if args.json {
        let fired =
            |fired: &Option<Fired>| fired.as_ref().map(|fired| json!({ "at_ms": fired.at.as_ms(), "why": fired.why }));
        let rules: Vec<_> = firings
            .map(|(rule, first)| json!({ "rule": rule.name, "action": action(rule), "fired": fired(first) }))
            .collect();
        let rivals: Vec<_> =
            told.rivals.iter().map(|rival| json!({ "rules": rival.name, "fired": fired(&rival.fired) })).collect();
        let all = json!({ "plan": plan.name, "go_ms": go.as_ms(), "ending": line, "rules": rules, "rivals": rivals });
        say!("{}", serde_json::to_string_pretty(&all)?)?;
        return Ok(exit);
    }
    say!("{}: {line}", plan.name)?;
    say!("\nrollback by the rules of others, had they watched the same metrics:")?;
    for rival in &told.rivals {
        let fired = rival.fired.as_ref();
        let fired = fired.map_or("never".to_owned(), |fired| format!("{:<10} {}", after(fired.at), fired.why));
        say!("  {:<26} {fired}", rival.name)?;
    }
    say!("\nfirst firing of the plan's own rules, as if none had ended the rollout:")?;
    for (rule, first) in firings {
        let fired = first.as_ref();
        let fired = fired.map_or("never".to_owned(), |fired| format!("{:<10} {}", after(fired.at), fired.why));
        say!("  {:<26} {:<9} {fired}", rule.name, action(rule))?;
    }
    Ok(exit)
}

/// The one table of all snapshots, in every form that it goes out in.
fn write_snapshots(folder: &Path, rows: &[snapshot::Row]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let files = [
        ("snapshots.jsonl", snapshot::to_jsonl(rows)),
        ("snapshots.csv", snapshot::to_csv(rows)),
        ("snapshots.schema.json", snapshot::bigquery_schema()),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// A time as people write it, or as the records have it.
fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(ms) = text.parse::<u64>() {
        return Ok(Moment::from_ms(ms));
    }
    let time = text.parse::<Time>().map_err(|why| format!("{why}, nor milliseconds since 1970"))?;
    u64::try_from(time.as_ms()).map(Moment::from_ms).map_err(|_| "it is before 1970".to_owned())
}

/// Reads a plan; tells what is wrong with it.
fn read_plan(path: &Path) -> anyhow::Result<Option<(PlanFile, String)>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut found = Findings::new(&path.display().to_string(), &text);
    let file = PlanFile::read(&text, &mut found);
    if !found.is_empty() {
        remark!("{found}");
    }
    Ok(file.map(|file| (file, text)))
}

fn read_table(path: &Path) -> anyhow::Result<Table> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Table::read(&text).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// One healthy rollout with its log.
fn one_run<'p>(plan: &'p Plan, text: &str, history: &References, start: Moment, seed: u64) -> Recorder<'p> {
    let source = simulate::Resampled::new(plan, history, start, seed);
    let run = Recorder::new(plan, text, "simulated");
    simulate::Simulation::new(plan, run, history.clone(), source, start).run()
}

fn tell(plan: &Plan, prediction: &Prediction, options: &Options) -> anyhow::Result<()> {
    let (runs, long) = (prediction.runs, Span(plan.longest()));
    say!("{}: {runs} healthy rollouts of {long}, drawn from the history", plan.name)?;
    let (seen, most) = (prediction.false_rollback * 100.0, options.most_false_rollbacks * 100.0);
    say!("undone by mistake: {seen:.1} % (at most {most:.1} %)\n")?;
    let faults = prediction.rules.first().map_or(&[][..], |rule| &rule.found[..]);
    let head: String = faults.iter().map(|found| format!("{:>8}", fault(found.fault))).collect();
    say!("{:<26} {:<9} {:>7} {:>8}{head}", "rule", "action", "fires", "unknown")?;
    for (rule, forecast) in plan.rules.iter().zip(&prediction.rules) {
        let delay = |delay: Option<Duration>| delay.map_or("-".to_owned(), |delay| Span(delay).to_string());
        let delays: String = forecast.found.iter().map(|found| format!("{:>8}", delay(found.delay))).collect();
        let (fires, unknown) = (forecast.fires * 100.0, forecast.unknown * 100.0);
        say!("{:<26} {:<9} {fires:>5.1} % {unknown:>6.1} %{delays}", forecast.rule, action(rule))?;
    }
    say!(
        "\nfires, unknown: shares of the healthy rollouts. The rest: the median time to find that much more, within a day."
    )?;
    for Forecast { rule, hopeless, .. } in &prediction.rules {
        if let Some(why) = hopeless {
            say!("refused: {rule}: {why}")?;
        }
    }
    Ok(())
}

/// What the detectors take for granted of each history: a line where all of it holds, and each that fails.
fn tell_assumed(assumed: &[Assumed], all: bool) -> anyhow::Result<()> {
    if !assumed.is_empty() {
        say!("\nwhat the detectors assume of the histories:")?;
    }
    for Assumed { signal, checks } in assumed {
        match checks {
            Err(why) => say!("  {signal}: there is no baseline: {why}")?,
            Ok(checks) if checks.is_empty() => say!("  {signal}: stated in the plan, so nothing is checked")?,
            Ok(checks) => {
                let failing = checks.iter().filter(|check| !check.holds).count();
                let told = if failing == 0 { "all hold".to_owned() } else { format!("{failing} FAIL") };
                say!("  {signal}: {}, {told}", number(checks.len(), "assumption"))?;
                for check in checks.iter().filter(|check| all || !check.holds) {
                    say!("    {check}")?;
                }
            }
        }
    }
    Ok(())
}

fn prediction_json(plan: &Plan, prediction: &Prediction, assumed: &[Assumed]) -> serde_json::Value {
    let assumed = assumed.iter().map(|one| match &one.checks {
        Err(why) => json!({ "metric": one.signal, "error": why }),
        Ok(checks) => {
            let each = checks.iter().map(|check| {
                json!({
                    "assumption": check.assumption.to_string(),
                    "found": check.found,
                    "limit": check.limit,
                    "holds": check.holds,
                })
            });
            json!({ "metric": one.signal, "checks": each.collect::<Vec<_>>() })
        }
    });
    let assumed: Vec<_> = assumed.collect();
    let rules = plan.rules.iter().zip(&prediction.rules).map(|(rule, forecast)| {
        let found = forecast.found.iter().map(|found| {
            let delay_ms = found.delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
            json!({ "fault": fault(found.fault), "share": found.share, "delay_ms": delay_ms })
        });
        json!({
            "rule": forecast.rule,
            "action": action(rule),
            "fires": forecast.fires,
            "unknown": forecast.unknown,
            "found": found.collect::<Vec<_>>(),
            "hopeless": forecast.hopeless,
        })
    });
    json!({
        "plan": plan.name,
        "runs": prediction.runs,
        "false_rollback": prediction.false_rollback,
        "rules": rules.collect::<Vec<_>>(),
        "assumed": assumed,
    })
}

fn action(rule: &Rule) -> &'static str {
    match (rule.dry_run, rule.action) {
        (true, _) => "dry run",
        (false, Some(action)) => action.as_str(),
        (false, None) => "gate",
    }
}

fn fault(fault: Fault) -> String {
    match fault {
        Fault::Times(times) if times < 2.0 => format!("+{:.0}%", (times - 1.0) * 100.0),
        Fault::Times(times) => format!("{times:.0}x"),
        Fault::Absent => "absent".into(),
    }
}
