//! What is too large is refused before it is written.

use std::collections::BTreeMap;

use townlet_schema::{EncodeErrorKind, MAX_LINE_BYTES, encode_into};

#[test]
fn a_text_over_the_limit_is_refused_before_it_takes_memory() {
    let text = "x".repeat(4 * MAX_LINE_BYTES);
    let mut out = Vec::new();
    let error = encode_into(&BTreeMap::from([("note", &text)]), &mut out).unwrap_err();
    assert_eq!(error.kind(), EncodeErrorKind::TooLarge);
    assert_eq!(error.path().as_deref(), Some("note"));
    assert!(out.is_empty() && out.capacity() < 1024, "{} bytes were taken", out.capacity());
}

#[test]
fn a_list_over_the_limit_is_refused_on_the_way() {
    let numbers = vec![1_234_567u32; MAX_LINE_BYTES / 4];
    let mut out = Vec::new();
    assert_eq!(encode_into(&numbers, &mut out).unwrap_err().kind(), EncodeErrorKind::TooLarge);
    assert!(out.capacity() <= 2 * MAX_LINE_BYTES + 64);
}

#[test]
fn the_limit_counts_from_where_the_value_begins() {
    let mut out = vec![b'\n'; MAX_LINE_BYTES];
    encode_into(&[1, 2, 3], &mut out).unwrap();
    assert!(out.ends_with(b"[1,2,3]"));
}
