//! The JSON tree: it takes exactly what serde_json takes, minus double keys and what is too deep, reads the same from
//! it, and what it writes reads back as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use townlet_fuzz::json::Reference;
use townlet_schema::{Json, ReadErrorKind, encode_into};

fuzz_target!(|bytes: &[u8]| {
    let (tree, reference) = (Json::parse(bytes), Reference::parse(bytes));
    let tree = match (tree, reference) {
        (Err(error), Err(_)) => {
            assert!(error.offset().is_none_or(|at| at <= bytes.len()), "{error}");
            assert_ne!(error.kind(), ReadErrorKind::TooLarge);
            return;
        }
        (Ok(tree), Ok(reference)) => {
            assert!(reference.is(&tree), "{tree} is not {reference:?}");
            tree
        }
        (Ok(tree), Err(error)) => panic!("taken as {tree}, and the second opinion is: {error}"),
        (Err(error), Ok(reference)) => panic!("refused with `{error}`, and the second opinion is {reference:?}"),
    };

    let mut compact = Vec::new();
    tree.write(&mut compact);
    assert_eq!(Json::parse(&compact).as_ref(), Ok(&tree), "written as {}", String::from_utf8_lossy(&compact));
    assert_eq!(tree.to_string().as_bytes(), compact);
    assert_eq!(Json::parse(tree.to_pretty().as_bytes()).as_ref(), Ok(&tree), "written as {}", tree.to_pretty());

    // The encoder of payloads and the writer of trees are two pieces of code for one rule.
    let mut encoded = Vec::new();
    encode_into(&tree, &mut encoded).unwrap_or_else(|error| panic!("read and not encodable: {error}"));
    assert_eq!(encoded, compact);
    assert_eq!(Json::from_serialize(&tree).as_ref(), Ok(&tree));
    assert_eq!(tree.read::<serde_json::Value>().map(|_| ()), Ok(()));
});
