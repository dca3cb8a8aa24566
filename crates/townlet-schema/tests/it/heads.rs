//! A reader of many heads says of each line what is said of it alone.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use townlet_schema::{HeadReader, read_head};

/// Members as lines have them at their beginning: right ones, odd ones, wrong ones.
const NAMING: [&str; 14] = [
    r#""schema_version":"1.1.0""#,
    r#""schema_version":"1.0.0""#,
    r#""schema_version":7"#,
    r#""payload_type":"event""#,
    r#""payload_type":"snapshot""#,
    r#""payload_type":"dream""#,
    r#""run_id":"01932c07-1d3a-7cc2-8f6e-0123456789ab""#,
    r#""run_id":"ö""#,
    r#""run_id":"a\u0062c""#,
    r#""stream":"town.events""#,
    r#""stream":"town.events.x""#,
    r#""str\u0065am":"town.health""#,
    r#""stream":null"#,
    r#" "stream" : "town.health" "#,
];

const FURTHER: [&str; 14] = [
    r#""stream":"again""#,
    r#""payload_type":"event""#,
    r#""seq":1"#,
    r#""seq":18446744073709551615"#,
    r#""seq":-1"#,
    r#""tick":3"#,
    r#" "tick":4 "#,
    r#""base_seq":2"#,
    r#""event":"agent.reading""#,
    r#""event":{"deep":[1,2]}"#,
    r#""payload":{"seq":1,"stream":"inner"}"#,
    r#""dto_schema_version":"0.2.0""#,
    r#""x":[1,]"#,
    "",
];

fn line() -> impl Strategy<Value = Vec<u8>> {
    let members = (vec(select(&NAMING[..]), 0..5), vec(select(&FURTHER[..]), 0..4), any::<u8>());
    members.prop_map(|(naming, further, spoiled)| {
        let members: Vec<&str> = naming.into_iter().chain(further).collect();
        let mut line = format!("{{{}}}", members.join(",")).into_bytes();
        // Now and then one is cut short, or has a byte that is no text.
        match spoiled {
            0..=9 => line.truncate(line.len() * usize::from(spoiled) / 10),
            10..=19 => line.extend_from_slice(b" x"),
            20..=29 => {
                let at = line.len() * usize::from(spoiled - 20) / 10;
                line[at] = 0xff;
            }
            _ => {}
        }
        line
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_came_before_a_line_it_is_read_as_if_it_were_the_first(
        lines in vec(line(), 1..12),
        order in vec(any::<prop::sample::Index>(), 1..60),
    ) {
        let mut heads = HeadReader::default();
        for index in order {
            let line = index.get(&lines);
            prop_assert_eq!(heads.read(line), read_head(line), "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn lines_that_begin_as_others_do_and_go_on_otherwise_are_read_to_their_end(
        naming in vec(select(&NAMING[..]), 1..5),
        ends in vec(vec(select(&FURTHER[..]), 0..5), 2..20),
    ) {
        let mut heads = HeadReader::default();
        for end in ends {
            let members: Vec<&str> = naming.iter().copied().chain(end).collect();
            let line = format!("{{{}}}", members.join(","));
            prop_assert_eq!(heads.read(line.as_bytes()), read_head(line.as_bytes()), "{}", line);
        }
    }
}
