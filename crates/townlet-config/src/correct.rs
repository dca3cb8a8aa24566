//! Putting a configuration right by the fixes that its findings carry.

use crate::diagnostic::Diagnostics;
use crate::origin::{Given, Place};
use crate::yaml::{self, Entry, Node, Value};

/// A change that removes the cause of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fix {
    /// The key at the place goes.
    Remove,
    /// The key at the place gets another name.
    Rename(String),
    /// The value at the place is written so.
    Value(String),
    /// The key at the place moves to this dotted key.
    Move(String),
}

/// Applies every fix; `None` where an error has none or two of them clash.
pub(crate) fn correct(diagnostics: &Diagnostics, text: &str) -> Option<String> {
    let mut syntax = Diagnostics::default();
    let mut tree = yaml::parse("", text, &mut syntax)?;
    if syntax.has_errors() || diagnostics.unlisted() > 0 {
        return None;
    }
    for diagnostic in diagnostics.errors() {
        let fix = diagnostic.fix.as_ref()?;
        apply(&mut tree, fix, (diagnostic.line, diagnostic.column))?;
    }
    Some(yaml::print(&telemetry_only(tree), &|_| None))
}

/// The blocks that are ours; the host's stay out of what is printed.
fn telemetry_only(tree: Node) -> Node {
    let Value::Map(entries) = tree.value else { return tree };
    let ours = entries.into_iter().filter_map(|mut entry| match entry.key.as_str() {
        "telemetry" => Some(entry),
        "runtime" => {
            if let Value::Map(inner) = &mut entry.node.value {
                inner.retain(|e| e.key == "telemetry");
            }
            (!entry.node.entries().is_empty()).then_some(entry)
        }
        _ => None,
    });
    Node::new(Value::Map(ours.collect()), tree.place)
}

fn apply(tree: &mut Node, fix: &Fix, at: (u32, u32)) -> Option<()> {
    match fix {
        Fix::Value(text) => {
            let node = find_value(tree, at)?;
            node.value = Value::Scalar { text: text.clone(), plain: true };
        }
        Fix::Rename(name) => {
            let (entries, i) = find_entry(tree, at)?;
            if entries.iter().any(|e| e.key == *name) {
                return None;
            }
            entries[i].key.clone_from(name);
        }
        Fix::Remove => {
            let (entries, i) = find_entry(tree, at)?;
            entries.remove(i);
        }
        Fix::Move(key) => {
            let path: Vec<&str> = key.split('.').collect();
            if path.iter().try_fold(&*tree, |node, step| node.get(step)).is_some() {
                return None;
            }
            let (entries, i) = find_entry(tree, at)?;
            let Entry { node, .. } = entries.remove(i);
            tree.put(&path, Given { value: node.value, place: node.place });
        }
    }
    Some(())
}

fn is_at(place: &Place, at: (u32, u32)) -> bool {
    place.origin == crate::origin::Origin::File { line: at.0, column: at.1 }
}

/// The mapping that holds the key at a place, and the key's index in it.
fn find_entry(node: &mut Node, at: (u32, u32)) -> Option<(&mut Vec<Entry>, usize)> {
    match &mut node.value {
        Value::Map(entries) => match entries.iter().position(|e| is_at(&e.place, at)) {
            Some(i) => Some((entries, i)),
            None => entries.iter_mut().find_map(|e| find_entry(&mut e.node, at)),
        },
        Value::List(items) => items.iter_mut().find_map(|item| find_entry(item, at)),
        Value::Null | Value::Scalar { .. } => None,
    }
}

/// The scalar at a place; of nested nodes that start there, the innermost.
fn find_value(node: &mut Node, at: (u32, u32)) -> Option<&mut Node> {
    match node.value {
        Value::Scalar { .. } => is_at(&node.place, at).then_some(node),
        Value::Map(ref mut entries) => entries.iter_mut().find_map(|e| find_value(&mut e.node, at)),
        Value::List(ref mut items) => items.iter_mut().find_map(|item| find_value(item, at)),
        Value::Null => None,
    }
}
