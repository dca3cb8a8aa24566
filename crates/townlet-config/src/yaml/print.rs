//! Tree to text: block style, one key a line, text quoted where it must be.

use super::{Node, Value, number};

/// Prints a mapping. `note` may add a comment to the line of a dotted key.
pub(crate) fn print(root: &Node, note: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    write_map(&mut out, root, 0, "", note);
    out
}

fn write_map(out: &mut String, node: &Node, indent: usize, path: &str, note: &dyn Fn(&str) -> Option<String>) {
    for entry in node.entries() {
        let key = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
        pad(out, indent);
        out.push_str(&text(&entry.key, false));
        out.push(':');
        write_value(out, &entry.node, indent + 2, &key, note);
    }
}

/// Writes what stands after `key:` or `-`, up to the end of the line or block.
fn write_value(out: &mut String, node: &Node, indent: usize, path: &str, note: &dyn Fn(&str) -> Option<String>) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            write_map(out, node, indent, path, note);
        }
        Value::List(items) if !items.iter().all(is_short) => {
            end_line(out, path, note);
            for item in items {
                pad(out, indent);
                out.push('-');
                write_item(out, item, indent + 2);
            }
        }
        _ => {
            out.push(' ');
            out.push_str(&inline(node));
            end_line(out, path, note);
        }
    }
}

/// An item of a block list, without notes; the first key of a mapping stands
/// beside the dash.
fn write_item(out: &mut String, node: &Node, indent: usize) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            let mut block = String::new();
            write_map(&mut block, node, indent, "", &|_| None);
            out.push(' ');
            out.push_str(block.trim_start_matches(' '));
        }
        _ => write_value(out, node, indent, "", &|_| None),
    }
}

fn end_line(out: &mut String, path: &str, note: &dyn Fn(&str) -> Option<String>) {
    if let Some(note) = note(path) {
        out.push_str("  # ");
        // A line break would end the comment and start a key.
        out.extend(note.chars().map(|c| if c.is_control() { ' ' } else { c }));
    }
    out.push('\n');
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn is_short(node: &Node) -> bool {
    matches!(node.value, Value::Scalar { .. } | Value::Null)
}

fn inline(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".into(),
        Value::Scalar { text: t, plain } => text(t, *plain),
        Value::List(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Map(_) => "{}".into(),
    }
}

/// A scalar that reads back as it was: bare where it is safe everywhere in YAML,
/// otherwise double-quoted. `plain` text may be a number or a boolean.
fn text(text: &str, plain: bool) -> String {
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.'))
        || (plain && number(text).is_some());
    let safe = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+'));
    // Words that some YAML version reads as something else.
    let lower = text.to_ascii_lowercase();
    let special = matches!(lower.as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "y" | "n")
        || number(text).is_some()
        || super::is_nan_or_infinite(text);
    if starts && safe && (plain || !special) {
        return text.into();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c if c.is_alphanumeric() => out.push(c),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}
