//! Does it measure what it says?

mod budgets;
mod prove;
mod smallest_run;
mod workload;
