//! Does it measure what it says?

mod budgets;
mod faults;
mod prove;
mod smallest_run;
mod workload;
