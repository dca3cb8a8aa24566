//! The spill on a folder of any content: it opens, ends, and goes on. From a log with up to three bits flipped or a file
//! cut off, nothing is read that was not written, and no more is missing than the log says.
//!
//! An input is a mode, then for `flipped` what is written and what is damaged, for the others the bytes of a file.

#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use townlet_fuzz::disk::Folder;
use townlet_spill::{Entry, FsyncPolicy, Spill, SpillOptions, check, export, inspect};

const NOW: Duration = Duration::from_secs(1);
/// More rounds of reading than any input can ask for.
const ROUNDS: usize = 10_000;

fuzz_target!(|input: &[u8]| {
    let [mode, rest @ ..] = input else { return };
    let folder = Folder::default();
    match mode % 3 {
        0 => return flipped(&folder, rest),
        1 => folder.put("0000000000-00000000000000000000.seg", rest.to_vec()),
        _ => {
            write(&folder, b"some records that a state file may speak of");
            folder.put("state", rest.to_vec());
        }
    }
    goes_on(&folder);
});

fn options() -> SpillOptions {
    SpillOptions {
        segment_bytes: 4096,
        max_bytes: 1 << 20,
        max_record_bytes: 1 << 16,
        fsync: FsyncPolicy::EachCommit,
        checkpoint_bytes: 1 << 12,
        read_buffer: 512,
        ..SpillOptions::default()
    }
}

fn open(folder: &Folder) -> (Spill, u64) {
    let (spill, recovery) =
        Spill::open(Box::new(folder.clone()), options(), NOW).unwrap_or_else(|error| panic!("does not open: {error}"));
    assert!(!recovery.to_string().is_empty());
    (spill, recovery.lost_at_most())
}

/// A log of the bytes, cut at each zero. Gives what was committed, by position.
fn write(folder: &Folder, script: &[u8]) -> BTreeMap<u64, Vec<u8>> {
    let (mut spill, _) = open(folder);
    let sink = spill.sink("main").unwrap_or_else(|error| panic!("{error}"));
    let mut written = BTreeMap::new();
    for (turn, body) in script.split(|byte| *byte == 0).enumerate() {
        // Long enough that some logs have several segments.
        let body = body.repeat(1 + 40 * (body.len() % 5));
        match spill.append(NOW, sink.bit(), &(turn as u64).to_le_bytes(), &body) {
            Ok(position) => written.insert(position.get(), body),
            Err(_) => break,
        };
        if turn % 3 == 2 {
            spill.commit(NOW).unwrap_or_else(|error| panic!("{error}"));
        }
        if turn % 7 == 6 {
            spill.checkpoint(NOW, b"account").unwrap_or_else(|error| panic!("{error}"));
        }
    }
    spill.commit(NOW).unwrap_or_else(|error| panic!("{error}"));
    written
}

/// Three flipped bits are found by every checksum here, whatever they hit.
fn flipped(folder: &Folder, input: &[u8]) {
    let Some((damage, script)) = input.split_at_checked(13) else { return };
    let written = write(folder, script);
    let files = folder.names();
    let place = |at: &[u8]| {
        let (name, len) = &files[usize::from(at[0]) % files.len()];
        (name.clone(), usize::from(u16::from_le_bytes([at[1], at[2]])) % (*len).max(1))
    };
    for flip in damage[..12].chunks_exact(4).filter(|flip| flip[3] & 0x80 == 0) {
        let (name, at) = place(flip);
        folder.change(&name, |bytes| bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (flip[3] & 7)));
    }
    if damage[12] & 1 == 1 {
        let (name, at) = place(&damage[1..4]);
        folder.change(&name, |bytes| bytes.truncate(at));
    }
    let harmed = damage[12] & 1 == 1 || damage[..12].chunks_exact(4).any(|flip| flip[3] & 0x80 == 0);

    let (mut spill, _) = open(folder);
    let sink = spill.sink("main").unwrap_or_else(|error| panic!("{error}"));
    let mut last = None;
    let mut seen = 0;
    for entry in all(&mut spill, "main") {
        let position = entry.position.get();
        assert_eq!(written.get(&position).map(Vec::as_slice), Some(&*entry.body), "a record nobody wrote: {position}");
        assert!(last.is_none_or(|last| last < position), "{position} after {last:?}");
        last = Some(position);
        seen += 1;
    }
    assert!(harmed || seen == written.len(), "{seen} of {} without any damage", written.len());
    drop((spill, sink));
    goes_on(folder);
}

/// Everything that waits for the sink.
fn all(spill: &mut Spill, sink: &str) -> Vec<Entry> {
    let sink = spill.sink(sink).unwrap_or_else(|error| panic!("{error}"));
    let mut entries = Vec::new();
    for _ in 0..ROUNDS {
        match spill.read(sink, 16, 1 << 16, &mut entries) {
            Ok(0) => return entries,
            Ok(_) => {}
            Err(error) => panic!("a disk that works cannot be read: {error}"),
        }
    }
    panic!("reading does not end");
}

/// Looks at the folder in every way, then uses it as if nothing had been.
fn goes_on(folder: &Folder) {
    let before = folder.names();
    let mut disk = folder.clone();
    let looks = (inspect(&mut disk).is_ok(), check(&mut disk).is_ok(), export(&mut disk, |_| {}).is_ok());
    assert_eq!(looks, (true, true, true));
    assert_eq!(folder.names(), before, "looking changes files");

    let (mut spill, _) = open(folder);
    let sink = spill.sink("fresh").unwrap_or_else(|error| panic!("no room for a sink: {error}"));
    let position = spill.append(NOW, sink.bit(), b"new", b"record").unwrap_or_else(|error| panic!("{error}"));
    assert!(spill.commit(NOW).unwrap_or_else(|error| panic!("{error}")) > position);
    assert!(all(&mut spill, "fresh").iter().any(|entry| entry.position == position && entry.body == b"record"[..]));
    // A start counts from the last checkpoint on, so the damage behind it is found once and no more.
    spill.checkpoint(NOW, b"account").unwrap_or_else(|error| panic!("{error}"));
    drop(spill);

    let (mut spill, lost) = open(folder);
    assert_eq!(lost, 0, "the second start finds damage that a checkpoint has passed");
    assert!(all(&mut spill, "fresh").iter().any(|entry| entry.position == position && entry.body == b"record"[..]));
}
