//! Writes or compares the generated JSON Schemas.
//!
//! They live in a folder of `DIR` named after the current version, beside those
//! of earlier ones. `schemas --bless DIR` writes them; `schemas --check DIR`
//! exits 1 and names each file that differs from what the types say.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--check", dir] => check(&current(dir)),
        ["--bless", dir] => bless(&current(dir)),
        _ => Err("usage: schemas --check DIR | --bless DIR".to_owned()),
    };
    match done {
        Ok(message) => {
            println!("{message}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn current(dir: &str) -> PathBuf {
    Path::new(dir).join(townlet_schema::SchemaVersion::CURRENT.to_string())
}

fn check(dir: &Path) -> Result<String, String> {
    let schemas = townlet_schema::json_schemas();
    let mut wrong = Vec::new();
    for (name, text) in &schemas {
        match std::fs::read_to_string(dir.join(name)) {
            Ok(committed) if committed == *text => {}
            Ok(_) => wrong.push(format!("{name} differs from the types")),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    let entries = std::fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".schema.json") && !schemas.iter().any(|(known, _)| *known == name) {
            wrong.push(format!("{name} belongs to no type"));
        }
    }
    if wrong.is_empty() {
        return Ok(format!("{} schemas match the types", schemas.len()));
    }
    Err(format!("{}\nrun `schemas --bless {}` and review the change", wrong.join("\n"), dir.display()))
}

fn bless(dir: &Path) -> Result<String, String> {
    let schemas = townlet_schema::json_schemas();
    std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for (name, text) in &schemas {
        std::fs::write(dir.join(name), text).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(format!("wrote {} schemas to {}", schemas.len(), dir.display()))
}
