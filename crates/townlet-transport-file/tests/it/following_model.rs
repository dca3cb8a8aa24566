//! Whatever happens between writer, housekeeping and follower, short of losing
//! content, each line comes out once and in order.

use std::cell::Cell;
use std::io::Write;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;
use townlet_testkit::{frame_of_len, seqs_of};
use townlet_transport_file::{FileOptions, FileTransport, Follower, From, Housekeeping};

use crate::{HOUR, MARKER, Wall, put};

#[derive(Clone, Debug)]
enum Op {
    /// A batch of so many lines.
    Write(u64),
    /// Time passes.
    Hours(u64),
    /// The writer ends, and another begins.
    Restart,
    /// The same, and what was being written is torn.
    Kill,
    /// Finished files are compressed, at most so many steps far.
    Tidy(usize),
    /// A kill while a file was compressed, or between the rename and the removal.
    KilledTidy(bool),
    /// The follower reads at most so many lines.
    Read(usize),
    /// The follower ends, and another goes on at its position.
    Resume,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1..6_u64).prop_map(Op::Write),
        1 => (1..40_u64).prop_map(Op::Hours),
        1 => Just(Op::Restart),
        1 => Just(Op::Kill),
        2 => prop_oneof![0..12_usize, Just(usize::MAX)].prop_map(Op::Tidy),
        1 => any::<bool>().prop_map(Op::KilledTidy),
        3 => (0..15_usize).prop_map(Op::Read),
        2 => Just(Op::Resume),
    ]
}

struct World {
    folder: TempDir,
    path: PathBuf,
    wall: Wall,
    options: FileOptions,
    sink: Option<FileTransport>,
    housekeeping: Housekeeping,
    follower: Follower,
    written: u64,
    seen: Vec<String>,
}

impl World {
    fn new(dated: bool, marked: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(if dated { "logs/%F/town.jsonl" } else { "logs/town.jsonl" });
        let run_marker = marked.then(|| MARKER.into());
        let options = FileOptions { rotate_bytes: Some(700), run_marker, ..FileOptions::new(&path) };
        let housekeeping = Housekeeping::new(&FileOptions { gzip: true, ..options.clone() }).unwrap();
        let follower = Follower::new(&path, From::Oldest).unwrap();
        let (wall, sink, written, seen) = (Wall::evening(), None, 0, Vec::new());
        Self { folder, path, wall, options, sink, housekeeping, follower, written, seen }
    }

    fn sink(&mut self) -> &mut FileTransport {
        let (wall, options) = (&self.wall, &self.options);
        self.sink.get_or_insert_with(|| wall.open(options.clone()))
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Write(count) => {
                let batch: Vec<_> = (1..=*count).map(|n| frame_of_len(self.written + n, 100)).collect();
                put(self.sink(), &batch);
                self.written += count;
            }
            Op::Hours(hours) => self.wall.on(hours * HOUR),
            Op::Restart => self.sink = None,
            Op::Kill => {
                if let Some(sink) = self.sink.take() {
                    let path = sink.path().to_owned();
                    drop(sink);
                    if path.exists() {
                        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
                        file.write_all(b"torn").unwrap();
                    }
                }
            }
            Op::Tidy(steps) => {
                let left = Cell::new(*steps);
                let stop = || left.replace(left.get().saturating_sub(1)) == 0;
                self.housekeeping.run(self.wall.now(), &stop);
            }
            Op::KilledTidy(renamed) => self.killed_tidy(*renamed),
            Op::Read(count) => self.read(*count),
            Op::Resume => {
                let position = self.follower.position().to_string().parse().unwrap();
                self.follower = Follower::resume(&self.path, position).unwrap();
            }
        }
    }

    fn killed_tidy(&self, renamed: bool) {
        let is_plain = |path: &PathBuf| path.extension().is_some_and(|end| end == "jsonl");
        let Some(plain) = self.housekeeping.files(self.wall.now()).unwrap().into_iter().find(is_plain) else { return };
        // What another process of the sink has open is not compressed.
        if self.sink.as_ref().is_some_and(|sink| sink.path() == plain) {
            return;
        }
        let name = plain.to_str().unwrap().to_owned();
        if renamed {
            let content = std::fs::read(&plain).unwrap();
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(&content).unwrap();
            std::fs::write(format!("{name}.gz"), packer.finish().unwrap()).unwrap();
        } else {
            std::fs::write(format!("{name}.gz.99.part"), "\u{1f}half").unwrap();
        }
    }

    fn read(&mut self, count: usize) {
        let mut line = Vec::new();
        for _ in 0..count {
            if !self.follower.next_line(&mut line).unwrap() {
                return;
            }
            self.seen.push(String::from_utf8(line.clone()).unwrap());
        }
    }

    fn check(mut self) {
        self.read(usize::MAX);
        let counts = self.follower.counts();
        let there = crate::tree(self.folder.path());
        assert_eq!((counts.cut, counts.lost, counts.damaged, counts.overlong), (0, 0, 0, 0), "{there:?}");
        let lines = self.seen.iter().filter(|line| !line.starts_with("torn") && *line != MARKER);
        assert_eq!(seqs_of(lines), (1..=self.written).collect::<Vec<_>>(), "{there:?}");
        assert_eq!(self.housekeeping.counts().failed, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn every_line_is_read_once_and_in_order(
        dated in any::<bool>(),
        marked in any::<bool>(),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut world = World::new(dated, marked);
        for op in &ops {
            world.apply(op);
        }
        world.check();
    }
}
