//! Does it measure what it says?

mod budgets;
mod smallest_run;
mod workload;
