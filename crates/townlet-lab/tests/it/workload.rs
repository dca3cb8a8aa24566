//! The workload is what the budgets speak of.

use townlet_lab::workload::{
    Lines, Reading, collector_lines, count_lines, encoded, encoded_len, shipped_event, snapshot,
};
use townlet_schema::{Json, read_head};

#[test]
fn an_event_is_about_265_bytes_and_equal_for_equal_numbers() {
    let lengths: Vec<usize> = (0..1000).map(|n| encoded(n).len()).collect();
    let mean = lengths.iter().sum::<usize>() as f64 / lengths.len() as f64;
    assert!((255.0..=275.0).contains(&mean), "{mean} bytes");
    assert_eq!(encoded(77), encoded(77));
    assert_ne!(encoded(77), encoded(78));
}

#[test]
fn a_snapshot_is_about_12_kilobytes_and_the_shipped_event_of_the_events_size() {
    let len = encoded_len(&snapshot());
    assert!((11_000..=14_000).contains(&len), "{len} bytes");
    let len = encoded_len(&shipped_event());
    assert!((200..=330).contains(&len), "{len} bytes");
}

#[test]
fn rivals_write_the_event_alone_or_the_line_that_ours_writes() {
    let (mut bare, mut whole) = (Vec::new(), Vec::new());
    Lines::new(false).write(5, &Reading::at(5), &mut bare);
    Lines::new(true).write(5, &Reading::at(5), &mut whole);
    assert_eq!(bare, [&encoded(5)[..], b"\n"].concat());
    let head = read_head(whole.trim_ascii_end()).unwrap();
    assert_eq!((head.seq, head.stream.as_deref()), (Some(5), Some("town.load")));
    assert_eq!(head.event.as_deref(), Some("agent.reading"));
}

#[test]
fn the_free_form_tree_says_what_the_type_says() {
    let typed = Json::parse(&encoded(3)).unwrap();
    let Json::Object(tree) = Reading::at(3).free_form() else { panic!("not an object") };
    let typed = typed.get("payload").and_then(Json::as_object).unwrap();
    assert!(tree.keys().eq(typed.keys()), "the same fields");
}

#[test]
fn a_collectors_line_is_about_265_bytes_and_numbered_from_1() {
    let lines = collector_lines(500);
    assert_eq!(count_lines(&lines[..]).unwrap(), (500, lines.len() as u64));
    let mean = lines.len() as f64 / 500.0;
    assert!((255.0..=275.0).contains(&mean), "{mean} bytes");
    for (n, line) in (1..).zip(lines.split(|b| *b == b'\n').take(500)) {
        assert_eq!(read_head(line).unwrap().seq, Some(n));
    }
}
