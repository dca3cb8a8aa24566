//! Benchmarks against other pipelines, in one run, as ratios.
