//! `--follow`: a stream file and the files that come after it, as one stream that
//! ends when somebody says so.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use townlet_transport_file::{Follower, From, Position};

use crate::args::duration;
use crate::collect;
use crate::exit::Failure;
use crate::out::remark;

/// How often a file is looked at in which nothing is new.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(crate) struct FollowArgs {
    /// Go on with what is written from now on, also across rotation, compression and daily folders
    /// (the path may name them: logs/%F/town.jsonl). Ends at SIGINT or SIGTERM.
    #[arg(long)]
    follow: bool,
    /// Begin with the oldest file that is still there, not with the one that is written to.
    #[arg(long, requires = "follow")]
    from_oldest: bool,
    /// Begin behind what this file says was read, and write to it how far this run came.
    #[arg(long, requires = "follow", value_name = "FILE")]
    position: Option<PathBuf>,
    /// End when nothing new came for so long.
    #[arg(long, requires = "follow", value_name = "DURATION", value_parser = duration)]
    idle: Option<Duration>,
}

impl FollowArgs {
    pub(crate) fn is_on(&self) -> bool {
        self.follow
    }
}

/// The lines of the files, as a source that blocks until there are some.
pub(crate) struct Tail {
    follower: Follower,
    stop: Receiver<i32>,
    idle: Option<Duration>,
    line: Vec<u8>,
    given: usize,
    position: Option<PathBuf>,
}

impl Tail {
    pub(crate) fn open(file: &std::path::Path, args: &FollowArgs) -> anyhow::Result<Self> {
        let kept = match &args.position {
            Some(path) => match fs::read_to_string(path) {
                Ok(text) => Some(text.parse::<Position>().map_err(|error| {
                    Failure::usage(format_args!("{}: {error}; remove it to begin anew", path.display()))
                })?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
            },
            None => None,
        };
        let follower = match kept {
            Some(position) => Follower::resume(file, position),
            None => Follower::new(file, if args.from_oldest { From::Oldest } else { From::Active }),
        };
        Ok(Self {
            follower: follower.map_err(Failure::usage)?,
            stop: collect::stop_signal()?,
            idle: args.idle,
            line: Vec::new(),
            given: 0,
            position: args.position.clone(),
        })
    }

    /// Writes down how far it came; to be called once that was made use of. True
    /// where nothing was missed on the way.
    pub(crate) fn finish(self) -> anyhow::Result<bool> {
        if let Some(path) = &self.position {
            let mut next = path.clone().into_os_string();
            next.push(".new");
            let written = fs::write(&next, format!("{}\n", self.follower.position()));
            written.and_then(|()| fs::rename(&next, path)).with_context(|| format!("writing {}", path.display()))?;
        }
        let counts = self.follower.counts();
        let missed = [
            (counts.lost, "files were gone before they were read to their end"),
            (counts.cut, "times a file was cut"),
            (counts.damaged, "compressed files are damaged"),
            (counts.overlong, "lines were too long to be read"),
        ];
        for (count, what) in missed.into_iter().filter(|(count, _)| *count > 0) {
            remark!("townlet: {count} {what}");
        }
        Ok(missed.iter().all(|(count, _)| *count == 0))
    }

    /// Waits for the next line; false at the end.
    fn wait(&mut self) -> io::Result<bool> {
        let since = Instant::now();
        self.given = 0;
        loop {
            match self.stop.try_recv() {
                Ok(_) => return Ok(false),
                Err(_) if self.follower.next_line(&mut self.line)? => return Ok(true),
                Err(_) if self.idle.is_some_and(|idle| since.elapsed() >= idle) => return Ok(false),
                Err(_) => {}
            }
            if !matches!(self.stop.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout)) {
                return Ok(false);
            }
        }
    }
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.line.len() && !self.wait()? {
            self.line.clear();
            return Ok(0);
        }
        let len = buffer.len().min(self.line.len() - self.given);
        buffer[..len].copy_from_slice(&self.line[self.given..self.given + len]);
        self.given += len;
        Ok(len)
    }
}
