//! Two documents, field by field: two manifests, or two decisions.

use serde_json::Value;

/// One field that differs. A field that one side does not have is `None` there.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Where: `artifacts[service-api].digest`.
    pub path: String,
    /// What it was.
    pub before: Option<Value>,
    /// What it is.
    pub after: Option<Value>,
}

/// What differs between two JSON documents, in the order of the paths.
///
/// Items of lists are known by what names them (`name`, `id`, `path`, `digest`, `statement`, `code`), so that one more
/// artifact is one difference, wherever it stands. Lists whose items have no such name are compared by position.
#[must_use]
pub fn diff(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(String::new(), Some(before), Some(after), &mut found);
    found
}

fn walk(path: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(inner, old.get(name), new.get(name), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            let (old_names, new_names) = (names(old), names(new));
            let mut all = old_names.clone();
            all.extend(new_names.iter().filter(|name| !old_names.contains(name)).cloned());
            for name in all {
                let item = |names: &[String], items: &[Value]| {
                    names.iter().position(|one| *one == name).and_then(|at| items.get(at)).cloned()
                };
                let (old, new) = (item(&old_names, old), item(&new_names, new));
                walk(format!("{path}[{name}]"), old.as_ref(), new.as_ref(), found);
            }
        }
        (before, after) if before != after => {
            found.push(Difference { path, before: before.cloned(), after: after.cloned() });
        }
        _ => {}
    }
}

/// What names each item: all by the same member, no two alike; otherwise by position.
fn names(items: &[Value]) -> Vec<String> {
    let by = |member: &str| -> Option<Vec<String>> {
        let named = items.iter().map(|item| item.get(member)?.as_str().map(str::to_owned));
        let named: Vec<String> = named.collect::<Option<_>>()?;
        let mut once = named.clone();
        once.sort();
        once.dedup();
        (once.len() == named.len()).then_some(named)
    };
    let texts = items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
    let members = ["name", "id", "path", "digest", "statement", "code"];
    let texts = texts.filter(|texts| {
        let mut once = texts.clone();
        once.sort();
        once.dedup();
        once.len() == texts.len()
    });
    texts
        .or_else(|| members.iter().find_map(|member| by(member)))
        .unwrap_or_else(|| (0..items.len()).map(|at| at.to_string()).collect())
}
