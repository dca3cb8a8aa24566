//! Telemetry of release control: on where the environment or a configuration says so, and never in the way.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use townlet_config::{Loaded, Loader};
use townlet_release::telemetry::{Recorder, from_environment, has_block};

use crate::out::remark;
use crate::setup::{factories, identity_now, load, shutdown_timeout};

/// What an environment demands, and who is told of it: where the gate looks for it, too.
pub(crate) const BOARD: &str = "change-board.yaml";

/// However long a configuration would wait at the end, a command waits no longer.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Default, Args)]
pub(crate) struct Telling {
    /// Tell the sinks of this `telemetry:` block what happens. Without it those of a block in the command's own file or in
    /// change-board.yaml are told; without that, READINESS_ENABLE_OTEL=1 tells an OTLP endpoint, by the variables
    /// OTEL_EXPORTER_OTLP_*. Whatever becomes of it, the answer and the exit code are the same.
    #[arg(long, value_name = "FILE")]
    telemetry: Option<PathBuf>,
}

/// A recorder for the time of a command.
#[derive(Default)]
pub(crate) struct Teller {
    recorder: Recorder,
    limit: Duration,
}

impl Telling {
    /// Begins to tell. `files` are those of the command that may have a `telemetry:` block; the first that has one counts.
    /// What is wrong is said, and nobody is told.
    pub(crate) fn start(&self, files: &[&Path]) -> Teller {
        self.try_start(files).unwrap_or_else(|why| {
            remark!("telemetry is off: {}", crate::exit::told(&why));
            Teller::default()
        })
    }

    fn try_start(&self, files: &[&Path]) -> anyhow::Result<Teller> {
        let variable = |name: &str| std::env::var(name).ok();
        if variable("READINESS_ENABLE_OTEL").is_some_and(|value| matches!(value.trim(), "0" | "false")) {
            return Ok(Teller::default());
        }
        let factories = factories();
        let tells = |path: &&&Path| std::fs::read_to_string(path).is_ok_and(|text| has_block(&text));
        let own = files.iter().find(tells).copied();
        let loaded: Option<Loaded> = match self.telemetry.as_deref().or(own) {
            Some(path) => Some(load(path, &[], &factories)?),
            None => match from_environment(&variable)? {
                None => None,
                Some(block) => {
                    let loader = factories.iter().fold(Loader::new(), |loader, factory| loader.factory(&**factory));
                    Some(loader.load_str("READINESS_ENABLE_OTEL", &block)?)
                }
            },
        };
        let Some(loaded) = loaded else { return Ok(Teller::default()) };
        let parent = match variable("TRACEPARENT").map(|text| text.parse()) {
            Some(Err(why)) => {
                remark!("{why}; the trace is one of its own");
                None
            }
            parent => parent.transpose().unwrap_or_default(),
        };
        let recorder = Recorder::start(&loaded.config, &factories, identity_now(), parent)?;
        Ok(Teller { recorder, limit: shutdown_timeout(&loaded.config).min(LIMIT) })
    }
}

impl Teller {
    /// Delivers what was told, within the limit, and says what did not arrive.
    pub(crate) fn end(self) {
        let account = self.recorder.finish(self.limit);
        if account.lost > 0 {
            let (lost, all) = (account.lost, account.accepted);
            remark!("telemetry: {lost} of {all} records did not arrive; nothing else depends on them");
        }
    }
}

impl Deref for Teller {
    type Target = Recorder;

    fn deref(&self) -> &Recorder {
        &self.recorder
    }
}

/// Who runs the command, where nobody signs.
pub(crate) fn caller() -> String {
    let named = ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    named.map(|name| name.trim().to_owned()).find(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}
