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

/// What a policy says of a rule with this limit: in a block, in braces, and as the value of a name.
fn told_of(limit: &str) -> [String; 3] {
    let head = "metrics: { ok: { unit: ratio, worse: down } }\n";
    [
        format!("{head}rules:\n  - id: a\n    metric: ok\n    require: {limit}\n    action: hold\n"),
        format!("{head}rules:\n  - {{ id: a, metric: ok, require: {limit}, action: hold }}\n"),
        format!("{head}rules:\n  ok: {limit}\n"),
    ]
    .map(|text| {
        let mut found = Findings::new("p.yaml", &text);
        townlet_policy::Policy::read(&text, &mut found);
        found.to_string()
    })
}

/// The table of what YAML makes of a limit that is not in quotes.
#[test]
fn every_trap_of_unquoted_limits_is_explained_where_it_stands() {
    for (limit, quoted) in [
        (">5", "write \">5\", in quotes"),
        ("> 5", "write \"> 5\", in quotes"),
        (">= 0.98", "write \">= 0.98\", in quotes"),
        (">=0.98", "write \">=0.98\", in quotes"),
        ("!= 0", "write \"!= 0\", in quotes"),
        (">= 99.5%", "write \">= 99.5%\", in quotes"),
    ] {
        for told in told_of(limit) {
            assert!(told.contains("error[yaml_trap]") && told.contains(quoted), "{limit}\n{told}");
        }
    }
    // Text as hoped; the last one names neither an action nor a time, and is told so.
    for limit in ["< 0.2", "<= 0.5", "== 0", "< 20 %"] {
        let [block, flow, bare] = told_of(limit);
        assert_eq!((block.as_str(), flow.as_str()), ("", ""), "{limit}");
        assert!(bare.contains("rules is a list, and 'ok' is a key") && bare.contains("action: hold"), "{bare}");
    }
    // A word is a word, and a unit has to fit.
    let [block, ..] = told_of("yes");
    assert!(block.contains("error[unknown_metric]"), "{block}");
    let [block, ..] = told_of("< 200 ms");
    assert!(block.contains("error[unit]") && block.contains("the limit is in ms and the metric in ratio"), "{block}");
}
