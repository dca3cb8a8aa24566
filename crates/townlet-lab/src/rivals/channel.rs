//! flume and a `BufWriter`: what most programs would build first.

use std::io::{BufWriter, Write};
use std::thread::JoinHandle;

use super::{GATHERED, Pipeline, QUEUE_EVENTS, Share, joined};
use crate::destination::Destination;
use crate::workload::{Lines, Reading};

/// Lines encoded by the producer; the writer copies them.
#[derive(Debug)]
pub struct FlumeBytes {
    sender: flume::Sender<Vec<u8>>,
    writer: JoinHandle<std::io::Result<()>>,
    envelope: bool,
}

impl FlumeBytes {
    /// Starts the writer.
    ///
    /// # Errors
    /// A destination that cannot be opened.
    pub fn start(destination: &Destination, envelope: bool) -> anyhow::Result<Self> {
        let (sender, lines) = flume::bounded::<Vec<u8>>(QUEUE_EVENTS);
        let mut out = BufWriter::with_capacity(GATHERED, destination.writer()?);
        let writer = std::thread::spawn(move || {
            for line in &lines {
                out.write_all(&line)?;
            }
            out.flush()
        });
        Ok(Self { sender, writer, envelope })
    }
}

impl Pipeline for FlumeBytes {
    fn produce(&self, share: Share) -> anyhow::Result<()> {
        let mut lines = Lines::new(self.envelope);
        for n in share {
            let mut line = Vec::with_capacity(if self.envelope { 448 } else { 320 });
            lines.write(n, &Reading::at(n), &mut line);
            self.sender.send(line)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        drop(self.sender);
        joined(self.writer)
    }
}

/// Owned values; the writer encodes them.
#[derive(Debug)]
pub struct FlumeValues {
    sender: flume::Sender<(u64, Reading)>,
    writer: JoinHandle<std::io::Result<()>>,
}

impl FlumeValues {
    /// Starts the writer.
    ///
    /// # Errors
    /// A destination that cannot be opened.
    pub fn start(destination: &Destination) -> anyhow::Result<Self> {
        let (sender, values) = flume::bounded::<(u64, Reading)>(QUEUE_EVENTS);
        let mut out = destination.writer()?;
        let writer = std::thread::spawn(move || {
            let (mut lines, mut gathered) = (Lines::new(false), Vec::with_capacity(GATHERED));
            for (n, value) in &values {
                lines.write(n, &value, &mut gathered);
                if gathered.len() >= GATHERED - 1024 {
                    out.write_all(&gathered)?;
                    gathered.clear();
                }
            }
            out.write_all(&gathered)?;
            out.flush()
        });
        Ok(Self { sender, writer })
    }
}

impl Pipeline for FlumeValues {
    fn produce(&self, share: Share) -> anyhow::Result<()> {
        for n in share {
            self.sender.send((n, Reading::at(n)))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        drop(self.sender);
        joined(self.writer)
    }
}
