//! Tests on simulated disks, and a few on a real one.

#![expect(clippy::unwrap_used, reason = "a test stops where its expectation does not hold")]

// The simulated disk is the testkit's, which stands above this crate: a
// dependency on it would be a cycle, so its source is compiled in.
#[path = "../../../townlet-testkit/src/disk/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "each crate that shares it uses a part")]
mod disk;

mod caps;
mod crash;
mod faults;
mod life;
mod model;
mod mutations;
mod os_disk;
mod reading;
mod sinks;
mod start;
mod tools;
mod two_slot;
