//! The task runner of this workspace: `cargo xtask <task>`.
//!
//! It spawns cargo and the built binaries, reads what they wrote and says whether the house rules hold. It links no
//! `townlet-*` crate, so it still builds when the product does not, and it holds no product logic: what a check needs
//! to know about telemetry, it asks the `townlet` binary.
//!
//! Exit codes: 0 everything holds, 1 a finding, 2 wrong usage; of `prove` and `corpus` also 3, something could not be measured.

mod artifacts;
mod ci;
mod corpus;
mod faults;
mod fuzz;
mod process;
mod prove;
mod release;
mod samples;
mod schema;
mod smoke;
mod success;
mod tidy;
mod townlet;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgGroup, Args, Parser, Subcommand};

use crate::artifacts::{Artifacts, Build};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The checks, samples, smoke suite and benchmarks of this workspace")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that a change must pass, with the seconds of each step; fails above 45 minutes (75 with CI=true).
    Ci,
    /// The rules that cargo does not check: floors, bans, licences, names, sizes, documents.
    Tidy,
    /// The committed JSON Schemas against the types.
    Schema(SchemaMode),
    /// The committed streams under samples/ against the readers and the seeded producer.
    Samples(SamplesMode),
    /// The release checklist, run by a machine; writes its evidence into one folder.
    Smoke {
        /// The folder for the report, the config diff, the transport snapshot and the sample stream.
        #[arg(long, default_value = "smoke-out")]
        out: PathBuf,
        /// Use the release build of `townlet` instead of the development build.
        #[arg(long)]
        release: bool,
        /// Use this binary, for example one from a package, and build nothing.
        #[arg(long, conflicts_with = "release")]
        townlet: Option<PathBuf>,
    },
    /// Seeded schedules of faults against the whole pipeline, in release.
    Faults {
        /// How many schedules; with --planted, how many are tried for each mistake.
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
        /// The seed of the first.
        #[arg(long, default_value_t = 1)]
        first: u64,
        /// Only this one, with a log of its steps.
        #[arg(long, conflicts_with_all = ["seeds", "first", "planted"])]
        seed: Option<u64>,
        /// Builds the code with its planted mistakes and looks for a schedule that finds each.
        #[arg(long)]
        planted: bool,
    },
    /// Every detector of shifts on labelled traces, a hundred of them; all arguments go to the binary (`-- --help`).
    Corpus {
        /// Arguments of the binary: --full, --json, --traces N, --seed N, --wrong.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// The registry: processes that append and are killed, 50 as in `ci`, and changed bits of a bundle.
    Registry {
        /// 10,000 processes, and every bit of the bundle under a check sum that fits: two hours of two cores.
        #[arg(long)]
        full: bool,
    },
    /// The fuzz targets of `fuzz/`, each for a bounded time.
    Fuzz(fuzz::Fuzz),
    /// Benchmarks of `townlet-lab`, in release; everything after `--` goes to the binary.
    Bench {
        /// Arguments of the benchmark binary.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// The promised figures, measured by `townlet-lab` in release; all arguments go to the binary (`-- --help`).
    Prove {
        /// Arguments of the measuring binary: --json, --only NAME, --quick, --full.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
}

#[derive(Args)]
#[command(group = ArgGroup::new("mode").required(true))]
struct SchemaMode {
    /// Fail if a committed schema differs from what the types say.
    #[arg(long, group = "mode")]
    check: bool,
    /// Write the schemas of the current version.
    #[arg(long, group = "mode")]
    bless: bool,
}

#[derive(Args)]
#[command(group = ArgGroup::new("mode").required(true))]
struct SamplesMode {
    /// Recompute digests, read every sample of every version, and repeat the seeded capture byte for byte.
    #[arg(long, group = "mode")]
    check: bool,
    /// Write `samples/<schema version>/` from the seeded producer.
    #[arg(long, group = "mode")]
    capture: bool,
    /// Use this `townlet` binary and build nothing.
    #[arg(long)]
    townlet: Option<PathBuf>,
    /// With --capture: write over an existing folder. Only for a version that no release has shipped.
    #[arg(long, requires = "capture")]
    replace: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    let root = root();
    match task {
        Task::Ci => ci::run(root)?,
        Task::Tidy => tidy::run(root)?,
        Task::Schema(mode) => schema::run(root, &Artifacts::build(root, Build::SchemaExample)?, mode.bless)?,
        Task::Samples(mode) => {
            let townlet = given_or_built(root, mode.townlet, Build::Townlet)?;
            if mode.capture {
                samples::capture(root, &townlet, mode.replace)?;
            } else {
                samples::check(root, &townlet)?;
            }
        }
        Task::Smoke { out, release, townlet } => {
            let build = if release { Build::TownletRelease } else { Build::Townlet };
            smoke::run(root, &given_or_built(root, townlet, build)?, &out)?;
        }
        Task::Faults { seeds, first, seed, planted } => faults::run(root, seeds, first, seed, planted)?,
        Task::Corpus { rest } => return corpus::run(root, &rest),
        Task::Registry { full } => {
            let mut tests = process::cargo(root);
            tests.args("test --package townlet-registry --test it -- --nocapture kills tampering".split(' '));
            if full {
                tests.envs([("TOWNLET_KILLS", "10000"), ("TOWNLET_FULL", "1")]);
            }
            process::run(&mut tests)?;
        }
        Task::Fuzz(asked) => fuzz::run(root, asked)?,
        Task::Bench { rest } => process::run(
            process::cargo(root)
                .args(["run", "--release", "--package", "townlet-lab", "--bin", "bench", "--"])
                .args(rest),
        )?,
        Task::Prove { rest } => return prove::run(root, &rest),
    }
    Ok(ExitCode::SUCCESS)
}

fn given_or_built(root: &Path, given: Option<PathBuf>, build: Build) -> Result<PathBuf> {
    match given {
        Some(path) => Ok(path),
        None => Artifacts::build(root, build)?.townlet().map(Path::to_owned),
    }
}

/// The folder of the workspace: the parent of this package's folder.
fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}
