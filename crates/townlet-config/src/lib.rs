//! The `telemetry:` block of a configuration: read, checked, typed.
//!
//! **What it is.** [`Loader`] turns YAML text into a [`TelemetryConfig`] of
//! plain data: one [`SinkConfig`] for each sink, the transforms, the limits of
//! narrations. Whatever is wrong with the text comes back as [`Diagnostics`]:
//! all of it, each with file, line, column, dotted key and what to do.
//!
//! **What it is not.** It opens no sink and connects to nobody. It does not
//! know the transports: the program registers a
//! [`Factory`](townlet_transport::Factory) for each that it links, and each is
//! asked whether it can be built from the settings.
//!
//! # Guarantees
//! - An unknown key is an error, never ignored; so is a key in the wrong block,
//!   a key of another `transport.type`, a number in quotes, `yes` for `true`.
//! - No text makes it panic or use more memory than its limits: 1 MiB of text,
//!   20,000 values and 48 levels once aliases are expanded.
//! - [`Loaded::to_yaml`] prints a configuration that loads as an equal one.
//! - No secret can stand in a configuration: keys are files, and credentials in
//!   an endpoint are refused.
//!
//! # Layers
//! Defaults, then the file, then environment variables, then `--set`
//! arguments; later ones win, key by key, and lists as a whole.
//!
//! | layer | written as |
//! |---|---|
//! | file | `telemetry: {transport: {type: file}}` |
//! | environment | `TOWNLET_TELEMETRY__TRANSPORT__TYPE=file` |
//! | `--set` | `telemetry.transport.type=file`; `=null` takes a key away |
//!
//! Values above the file are text as it stands, or a list or mapping in flow
//! form (`[a, b]`). Every key remembers its layer: [`Loaded::origin`].
//!
//! Relative paths start at the folder of the configuration file, not at the
//! working directory; `~/` is the home directory.
//!
//! # Where it differs from the predecessor
//! - A diff is made against what the peer has, and changes a state from the
//!   inside; the predecessor's form is `wire: legacy-0.9`, which sends states and
//!   nothing else. With `fan_out` every state goes out whole.
//! - A timeout of 0 was "wait for ever"; it is read as 60 seconds, with a warning.
//! - What was cleared silently is an error, or a warning where nothing is lost.
//! - `[::1]:9000` is a loopback endpoint like `127.0.0.1:9000`.
//! - Both spellings of a transform load, `- redact_fields: {…}` too.
//!
//! YAML is read by version 1.2: `yes`, `no` and `0755` are text.
//!
//! # Example
//! ```
//! let text = "
//! telemetry:
//!   transport:
//!     type: tcp
//!     endpoint: collector.example:9000
//!     bufffer: {max_batch_size: 64}
//! ";
//! let found = townlet_config::load_str("town.yaml", text).unwrap_err();
//! assert_eq!(
//!     found.to_string(),
//!     "error[unknown_key]: 'telemetry.transport.bufffer' is not a known key
//!  --> town.yaml:6:5
//!   |
//! 6 |     bufffer: {max_batch_size: 64}
//!   |     ^^^^^^^
//!   = help: did you mean 'buffer'?"
//! );
//!
//! let loaded = townlet_config::load_str("town.yaml", &text.replace("fff", "ff"))?;
//! assert_eq!(loaded.config.sinks[0].buffer.max_batch_size, 64);
//! assert!(loaded.config.sinks[0].settings.enable_tls);
//! # Ok::<(), townlet_config::Diagnostics>(())
//! ```

mod abilities;
mod auth;
mod block;
mod broker;
mod cadence;
mod config;
mod context;
mod correct;
mod dead_letters;
mod diagnostic;
mod dump;
mod endpoint;
mod filing;
mod keys;
mod layer;
mod load;
mod origin;
mod paths;
mod publishing;
mod reload;
mod rules;
mod sections;
mod sink;
mod spill;
mod start;
mod transforms;
mod values;
mod yaml;

pub use cadence::{OUTAGE_SECONDS, validate_cadence};
pub use config::{
    Backpressure, BufferConfig, Cadence, DeadLettersConfig, NarrationConfig, PersonalityNarrationConfig, Provider,
    RedactAction, Redaction, RelationshipNarrationConfig, RetryConfig, SinkConfig, SpillConfig, TelemetryConfig,
    TransformConfig, ValidationMode, Wire, WorkerConfig,
};
pub use diagnostic::{Code, Diagnostic, Diagnostics, Severity};
pub use keys::KeyInfo;
pub use load::{Loaded, Loader, corrected_block, load_str};
pub use origin::Origin;
pub use reload::{ReloadError, Reloaded, reload};
pub use start::{Factories, Identity, StartError, chain, dead_letter_settings, spill_settings, start, worker_options};
