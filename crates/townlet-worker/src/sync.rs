//! What threads wait with, under one roof.
//!
//! The test `interleavings` compiles the modules that use it a second time, as they are, with loom's primitives in
//! this place, and goes through every order in which their threads may come.

pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
pub(crate) use std::thread::{Builder, JoinHandle};
pub(crate) use std::time::Instant;
