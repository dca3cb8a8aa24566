//! Trees with places, and the traps.

use townlet_policy::{Code, Findings, yaml};

#[test]
fn nodes_remember_where_they_stood() {
    let text = "rules:\n  - when: \"p95 > 5\"\n";
    let mut found = Findings::new("p.yaml", text);
    let tree = yaml::parse(text, &mut found).unwrap();
    let when = tree.get("rules").and_then(|r| r.items()[0].get("when")).unwrap();
    assert_eq!((when.text(), when.text_place().line, when.text_place().column), (Some("p95 > 5"), 2, 12));
    assert!(found.is_empty());
}

#[test]
fn a_limit_that_yaml_takes_for_its_own_is_explained() {
    for value in [">5", "> 5", ">= 0.98", ">=0.98", "!= 0"] {
        let text = format!("a: 1\nlimit: {value}\n");
        let mut found = Findings::new("p.yaml", &text);
        yaml::parse(&text, &mut found);
        let first = found.iter().next().unwrap_or_else(|| panic!("{value} was read"));
        assert_eq!((first.code, first.place.line, first.place.column), (Code::YamlTrap, 2, 8), "{found}");
    }
}

#[test]
fn text_in_blocks_is_no_trap() {
    for text in ["a: |\n  *5 things\n", "a: >\n  folded\n  text\n", "a: \">5\"\n"] {
        let mut found = Findings::new("p.yaml", text);
        assert!(yaml::parse(text, &mut found).is_some() && found.is_empty(), "{found}");
    }
}
