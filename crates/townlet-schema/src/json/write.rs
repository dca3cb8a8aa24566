//! From a tree to text.

use super::{Json, Number};
use crate::encode::text::{write_finite, write_integer, write_string};

fn scalar(value: &Json, out: &mut Vec<u8>) {
    match value {
        Json::Bool(true) => out.extend_from_slice(b"true"),
        Json::Bool(false) => out.extend_from_slice(b"false"),
        Json::Number(value) => number(value, out),
        Json::String(value) => write_string(value, out),
        Json::Null | Json::Array(_) | Json::Object(_) => out.extend_from_slice(b"null"),
    }
}

fn number(value: &Number, out: &mut Vec<u8>) {
    match (value.as_u64(), value.as_i64()) {
        (Some(value), _) => write_integer(value, out),
        (_, Some(value)) => write_integer(value, out),
        _ => write_finite(value.as_f64(), out),
    }
}

/// Recursion is as deep as the tree: trees from outside are bounded when read.
pub(super) fn compact(value: &Json, out: &mut Vec<u8>) {
    match value {
        Json::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                compact(item, out);
            }
            out.push(b']');
        }
        Json::Object(object) => {
            out.push(b'{');
            for (index, (key, item)) in object.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                compact(item, out);
            }
            out.push(b'}');
        }
        other => scalar(other, out),
    }
}

pub(super) fn pretty(value: &Json) -> String {
    let mut out = Vec::new();
    indented(value, 0, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn indented(value: &Json, depth: usize, out: &mut Vec<u8>) {
    let line = |depth: usize, out: &mut Vec<u8>| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    match value {
        Json::Array(items) if !items.is_empty() => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                line(depth + 1, out);
                indented(item, depth + 1, out);
            }
            line(depth, out);
            out.push(b']');
        }
        Json::Object(object) if !object.is_empty() => {
            out.push(b'{');
            for (index, (key, item)) in object.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                line(depth + 1, out);
                write_string(key, out);
                out.extend_from_slice(b": ");
                indented(item, depth + 1, out);
            }
            line(depth, out);
            out.push(b'}');
        }
        other => compact(other, out),
    }
}
