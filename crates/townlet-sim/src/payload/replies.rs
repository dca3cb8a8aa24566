//! Replies to commands on the wire.

use townlet_schema::{ConsoleCommand, ConsoleError, ConsoleMode, ConsoleOutcome, ConsoleResult, Json, Object};

use super::{map, number};
use crate::console::{Command, CommandReply};
use crate::world::TickOutcome;

fn arguments(command: &Command) -> (Vec<Json>, Object) {
    match command {
        Command::EmploymentStatus | Command::RollbackPolicy => (Vec::new(), Object::new()),
        Command::EmploymentExitApprove { agent } => (vec!["approve".into(), agent.as_str().into()], Object::new()),
        Command::EmploymentExitDefer { agent } => (vec!["defer".into(), agent.as_str().into()], Object::new()),
        Command::AnnounceStory { message, priority } => {
            (Vec::new(), map([("message", message.as_str().into()), ("priority", (*priority).into())]))
        }
        Command::Price { key, value } => (vec![key.as_str().into(), number(*value)], Object::new()),
        Command::PerturbationTrigger { spec, starts_in, duration, magnitude } => {
            let mut kwargs = map([("starts_in", (*starts_in).into())]);
            if let Some(duration) = duration {
                kwargs.insert("duration", *duration);
            }
            if let Some(magnitude) = magnitude {
                kwargs.insert("magnitude", number(*magnitude));
            }
            (vec![spec.as_str().into()], kwargs)
        }
        Command::PerturbationCancel { event_id } => (vec![event_id.as_str().into()], Object::new()),
        Command::ArrangeMeet { agents, starts_in } => {
            let agents: Vec<Json> = agents.iter().map(|agent| agent.as_str().into()).collect();
            (Vec::new(), map([("agents", agents.into()), ("starts_in", (*starts_in).into())]))
        }
        Command::Possess { agent, release } => {
            let action = if *release { "release" } else { "acquire" };
            (vec![agent.as_str().into()], map([("action", action.into())]))
        }
        Command::Kill { agent } => (vec![agent.as_str().into()], Object::new()),
        Command::PromotePolicy { checkpoint } => (vec![checkpoint.as_str().into()], Object::new()),
    }
}

impl CommandReply {
    /// The body of a `console` line. `tick` is that of the outcome that the reply came with.
    pub fn to_wire(&self, tick: u64) -> ConsoleResult {
        let name = self.command.name().to_owned();
        let (cmd_id, issuer) = (Some(format!("cmd-{}", self.number)), Some(self.issuer.clone()));
        let (args, kwargs) = arguments(&self.command);
        let mode = match self.command {
            Command::EmploymentStatus | Command::AnnounceStory { .. } => ConsoleMode::Viewer,
            _ => ConsoleMode::Admin,
        };
        let command = ConsoleCommand {
            name: name.clone(),
            args,
            kwargs,
            cmd_id: cmd_id.clone(),
            issuer: issuer.clone(),
            mode: Some(mode),
            ..ConsoleCommand::default()
        };
        let outcome = ConsoleOutcome { name, cmd_id, issuer, tick, ..ConsoleOutcome::default() };
        let result = match &self.result {
            Ok(fields) => ConsoleOutcome { status: "ok".into(), result: Some(fields.clone().into()), ..outcome },
            Err(refusal) => ConsoleOutcome {
                status: "error".into(),
                error: Some(ConsoleError {
                    code: refusal.code.name().into(),
                    message: refusal.message.clone(),
                    details: None,
                }),
                ..outcome
            },
        };
        ConsoleResult { command: Some(command), result }
    }
}

impl TickOutcome {
    /// The bodies of this tick's `console` lines.
    pub fn console_results(&self) -> impl Iterator<Item = ConsoleResult> {
        self.console.iter().map(|reply| reply.to_wire(self.tick))
    }
}
