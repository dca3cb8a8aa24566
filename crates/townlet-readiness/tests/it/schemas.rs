//! The committed JSON Schemas: the same as the types, and true of what is written.

use std::path::Path;

use serde_json::Value;
use townlet_readiness::report::{SCHEMA_VERSION, json_schemas};

use crate::support::{Project, exits};

/// Writes them anew with `UPDATE_SCHEMAS=1`. A released version is frozen: a change of a type is a new version.
#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(SCHEMA_VERSION);
    for (name, schema) in json_schemas() {
        let path = folder.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let committed: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(committed, schema, "{name}: run the test with UPDATE_SCHEMAS=1");
    }
}

#[test]
fn what_is_written_is_valid_and_what_is_cut_out_of_it_is_not() {
    let mut project = Project::new();
    project.does("a", [exits(1), exits(0)]).does("tool", [exits(0).prints("1\n")]);
    let yaml = "tools: { tool: [tool] }\nsuites:\n- { name: a, kind: unit, command: [a], retries: 1, thresholds: { \
                max_flake_rate: 0.5 } }\n- { name: b, kind: security, command: [b] }";
    let finished = project.run("r1", yaml);
    let written = [serde_json::to_value(&finished.report).unwrap(), serde_json::to_value(&finished.scorecard).unwrap()];
    for ((name, schema), record) in json_schemas().into_iter().zip(written) {
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator.iter_errors(&record).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
        for key in ["schema_version", "run_id", "overall_passed", "started_at"] {
            let mut cut = record.clone();
            cut.as_object_mut().unwrap().remove(key);
            assert!(!validator.is_valid(&cut), "{name} without {key}");
        }
        let mut cut = record.clone();
        // Null, and there.
        cut["revision"]["modified"] = Value::Null;
        assert!(validator.is_valid(&cut), "{name}");
        cut["revision"].as_object_mut().unwrap().remove("modified");
        assert!(!validator.is_valid(&cut), "{name} without revision.modified");
        let mut more = record.clone();
        more.as_object_mut().unwrap().insert("more".into(), 1.into());
        assert!(!validator.is_valid(&more), "{name} with more");
        let mut newer = record;
        newer["schema_version"] = "2.0".into();
        assert!(!validator.is_valid(&newer), "{name} of another version");
    }
}
