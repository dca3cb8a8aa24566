//! `townlet dora`: the four figures, from the log.

use std::time::Duration;

use clap::Args;
use townlet_history::dora::{Figures, Median, Window};
use townlet_policy::parse_duration;
use townlet_registry::Time;

use super::{Look, before};
use crate::exit::{Exit, Failure};
use crate::out::say;
use crate::release::now;

#[derive(Debug, Args)]
pub(crate) struct Dora {
    /// Of which environment.
    #[arg(long)]
    env: String,
    /// The window, back from its end (`30d`, `12w`).
    #[arg(long, value_parser = parse_duration, default_value = "30d")]
    over: Duration,
    /// The end of the window (RFC 3339); now without it.
    #[arg(long, value_name = "TIME")]
    until: Option<Time>,
    #[command(flatten)]
    look: Look,
}

pub(crate) fn dora(args: &Dora) -> anyhow::Result<Exit> {
    let at = now();
    let to = args.until.unwrap_or(at);
    if args.over.is_zero() {
        return Err(Failure::usage("--over is above zero"));
    }
    let history = args.look.history(None)?;
    let figures = history.figures(&args.env, Window { from: before(to, args.over), to });
    if args.look.json {
        say!("{}", serde_json::to_string_pretty(&figures)?)?;
    } else {
        in_words(&figures)?;
    }
    let unknown = figures.deployments.is_none() && figures.time_to_restore.is_none();
    Ok(if unknown { Exit::Unavailable } else { Exit::Yes })
}

fn in_words(figures: &Figures) -> std::io::Result<()> {
    let none = || "unknown".to_owned();
    say!("{} from {} to {}", figures.environment, figures.window.from, figures.window.to)?;
    let counted = |(count, rate): (u64, f64)| format!("{count}, {rate:.3} a day");
    let frequency = figures.deployments.zip(figures.deployments_per_day).map_or_else(none, counted);
    say!("  deployment frequency  {frequency}")?;
    say!("  change lead time      {}", middle(figures.lead_time, "commits"))?;
    let share = figures.change_failures;
    let share =
        share.map_or_else(none, |share| format!("{} of {}, {:.1} %", share.part, share.of, 100.0 * share.ratio()));
    say!("  change fail rate      {share}")?;
    say!("  time to restore       {}", middle(figures.time_to_restore, "incidents"))?;
    say!("    of deployments      {}", middle(figures.deployment_recovery, "incidents"))?;
    if let Some(begin) = figures.records_begin {
        say!("  the records begin at {begin}; nobody knows what was before")?;
    }
    for (count, what) in [
        (figures.not_restored, "incidents that were not restored by then, in no median yet"),
        (figures.unfinished, "deployments of which nobody recorded the end"),
        (figures.impossible_commits, "commits that would have been made after they were deployed"),
    ] {
        if count > 0 {
            say!("  {count} {what}")?;
        }
    }
    Ok(())
}

fn middle(of: Option<Median>, what: &str) -> String {
    of.map_or("unknown".to_owned(), |of| {
        let (median, longest) = (of.median.as_secs_f64(), of.longest.as_secs_f64());
        format!("median {median:.1} s, longest {longest:.1} s, of {} {what}", of.of)
    })
}
