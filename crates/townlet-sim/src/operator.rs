//! The scripted operator: drills and reviews, so that every part of the town is seen within a few thousand ticks.

use crate::agents::Agent;
use crate::console::Command;
use crate::perturbations::Spec;
use crate::world::World;

/// Ticks after which the drills begin again.
const CYCLE: u64 = 2400;
/// Ticks between two looks at the exit queue.
const REVIEW: u64 = 240;

impl World {
    /// What the operator asks for at this tick.
    pub(crate) fn script(&self) -> Vec<Command> {
        let mut commands = Vec::new();
        if !self.options.operator {
            return commands;
        }
        let drill = |spec: &str, starts_in: u64| Command::PerturbationTrigger {
            spec: spec.to_owned(),
            starts_in,
            duration: None,
            magnitude: None,
        };
        match self.tick % CYCLE {
            5 => {
                let message = format!("Market day: the town has {} residents.", self.census().alive);
                commands.push(Command::AnnounceStory { message, priority: true });
            }
            260 => commands.push(drill(Spec::PriceSpike.name(), 20)),
            700 => commands.push(drill(Spec::Blackout.name(), 10)),
            1000 => commands.push(drill(Spec::ArrangedMeet.name(), 5)),
            1500 => commands.push(drill(Spec::Outage.name(), 10)),
            1800 | 1860 => {
                let release = self.tick % CYCLE == 1860;
                let free = |agent: &&Agent| agent.acts() && agent.possessed == release;
                if let Some(agent) = self.agents.iter().find(free) {
                    commands.push(Command::Possess { agent: agent.id.id(), release });
                }
            }
            2000 => commands.push(drill(Spec::PriceSpike.name(), 60)),
            2030 => {
                if let Some(booking) = self.perturbations.pending.last() {
                    commands.push(Command::PerturbationCancel { event_id: booking.id() });
                }
            }
            _ => {}
        }
        if self.tick.is_multiple_of(REVIEW) {
            commands.push(Command::EmploymentStatus);
            if let Some(agent) = self.employment.exits.waiting().next() {
                let agent = agent.id();
                // Every third review puts the exit off.
                commands.push(if self.tick.is_multiple_of(3 * REVIEW) {
                    Command::EmploymentExitDefer { agent }
                } else {
                    Command::EmploymentExitApprove { agent }
                });
            }
        }
        if self.promotion.candidate_ready() {
            let checkpoint = format!("{}+{}", self.promotion.initial, self.tick);
            commands.push(Command::PromotePolicy { checkpoint });
        }
        commands
    }
}
