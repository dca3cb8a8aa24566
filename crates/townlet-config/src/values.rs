//! Values inside lists and free-form mappings.

use crate::context::Context;
use crate::diagnostic::Code;
use crate::yaml::{Entry, Node, Number, Value, number};

/// A list of texts, or a finding.
pub(crate) fn names_of(ctx: &mut Context<'_>, key: &str, node: &Node) -> Option<Vec<String>> {
    let Value::List(items) = &node.value else {
        let message = format!("{key} takes a list of names, not {}", node.describe());
        let report = ctx.error(Code::WrongType, &node.place, key, message);
        if let Value::Scalar { text, .. } = &node.value {
            report.help(format!("write [{text}]"));
        }
        return None;
    };
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        match &item.value {
            Value::Scalar { text, .. } if !text.trim().is_empty() => names.push(text.clone()),
            _ => {
                let message = format!("{key} takes names, not {}", item.describe());
                ctx.error(Code::WrongType, &item.place, key, message);
                return None;
            }
        }
    }
    Some(names)
}

/// A whole number that is a value of a mapping.
pub(crate) fn count_of(ctx: &mut Context<'_>, key: &str, entry: &Entry) -> Option<u64> {
    if let Value::Scalar { text, plain: true } = &entry.node.value
        && let Some(Number::Whole(n)) = number(text)
        && let Ok(n) = u64::try_from(n)
    {
        return Some(n);
    }
    let message = format!("{key} takes a whole number, 0 or more, not {}", entry.node.describe());
    ctx.error(Code::WrongType, &entry.node.place, key, message);
    None
}
