//! Does it measure what it says?

mod budgets;
mod corpus;
mod faults;
mod prove;
mod smallest_run;
mod workload;
