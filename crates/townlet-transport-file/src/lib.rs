//! Frames appended to a file, whole lines only.
//!
//! **What it is.** A [`Transport`](townlet_transport::Transport) to one path:
//! it creates the folders, appends, starts a new file by size or age, and syncs
//! as eagerly as it is told.
//!
//! **What it is not.** It does not compress, and does not read what it wrote.
//! Pipes are not files: see `townlet-transport-stdout`.
//!
//! # Guarantees
//! - Building a transport touches no disk.
//! - A file consists of whole lines. A write that fails half way is cut back to
//!   the last whole line, and exactly the frames before it count as settled:
//!   no line is torn, none comes twice. What a crash left torn is ended by a
//!   line break before anything else is appended.
//! - A full disk is [`StorageFull`](townlet_transport::ErrorKind::StorageFull):
//!   nothing is lost, sending again later goes on where it stopped.
//! - A file that was renamed, deleted or truncated by somebody else is noticed
//!   before the next batch, and a new one is started at the path.
//! - Two processes never write to one file: it is locked for as long as it is
//!   open (advisory, where the file system has locks).
//! - Each time a file is opened, begun after rotation or found truncated, the
//!   run marker is its next line, so that runs stay apart; and `connect` says
//!   `fresh`, so that what follows can be read without what came before.
//! - With [`Fsync::EachBatch`](townlet_transport::Fsync::EachBatch) a settled
//!   frame is on the disk; frames then settle as `durable`.
//!
//! # Rotation
//! A file that has reached `rotate_bytes` or `rotate_after` is renamed from
//! `name.jsonl` to `name.20261121T065501Z-000.jsonl` (UTC; the counter tells
//! apart what falls into one second) at the next `connect`, which the worker
//! calls before each batch: a file exceeds the limit by at most one batch. Of
//! the renamed files the newest `keep_files` stay. Age counts from the creation
//! of the file where the system knows it, else from its opening.
//!
//! # Example
//! ```
//! use townlet_transport::{Frame, Label, Transport};
//! use townlet_transport_file::{FileOptions, FileTransport};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("not/there/yet/town.jsonl");
//! let mut sink = FileTransport::new(FileOptions::new(&path))?;
//! assert!(!path.exists());
//!
//! sink.connect()?;
//! sink.send(&[Frame::new(Label::new("run", "town"), "event", 1, 1, "{\"tick\":1}\n")])?;
//! assert_eq!(std::fs::read_to_string(&path)?, "{\"tick\":1}\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod factory;
mod lines;
mod options;
mod rotation;
mod target;
mod transport;

pub use factory::FileFactory;
pub use options::FileOptions;
pub use transport::FileTransport;
