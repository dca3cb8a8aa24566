//! `{{NAME}}` in a draft becomes the value of a variable. One that is not set, or empty, is an error: the predecessor
//! wrote nothing in its place, and the release went out under the name "".

use townlet_policy::yaml::{Node, Value};
use townlet_policy::{Code, Findings};

use crate::fields::Reader;

/// What a variable is; `None` where it is not set.
pub type Variables<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Replaces variables in every text of a tree.
pub(super) fn expand(node: &mut Node, variables: &Variables<'_>, found: &mut Findings) {
    let place = node.place;
    match &mut node.value {
        Value::Null => {}
        Value::List(items) => items.iter_mut().for_each(|item| expand(item, variables, found)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| expand(&mut entry.node, variables, found)),
        Value::Scalar { text, .. } => match expanded(text, variables) {
            Ok(new) => *text = new,
            Err((message, help)) => Reader { found }.fault(Code::Value, place, message, &help),
        },
    }
}

/// Values are put in as they are: what looks like a variable in one stays text.
fn expanded(text: &str, variables: &Variables<'_>) -> Result<String, (String, String)> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(start) = rest.find("{{") {
        out.push_str(&rest[..start]);
        let Some(end) = rest[start..].find("}}") else {
            return Err(("{{ opens a variable and nothing closes it".into(), "write {{NAME}}".into()));
        };
        let name = rest[start + 2..start + end].trim();
        let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if name.is_empty() || !letters {
            let what = format!("'{}' is no name of a variable", name.escape_debug());
            return Err((what, "names have letters, digits and _".into()));
        }
        match variables(name).filter(|value| !value.trim().is_empty()) {
            Some(value) => out.push_str(&value),
            None => return Err((format!("the variable {name} is not set, or empty"), format!("export {name}=…"))),
        }
        rest = &rest[start + end + 2..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::expanded;

    #[test]
    fn variables_are_replaced_wherever_they_stand_and_never_blanked() {
        let variables = |name: &str| match name {
            "SHA" => Some("abc".to_owned()),
            "SLY" => Some("{{SHA}}".to_owned()),
            "EMPTY" => Some(" ".to_owned()),
            _ => None,
        };
        for (text, read) in
            [("{{SHA}}", "abc"), ("v-{{ SHA }}-{{SHA}}", "v-abc-abc"), ("{{SLY}}", "{{SHA}}"), ("}}", "}}")]
        {
            assert_eq!(expanded(text, &variables).as_deref(), Ok(read));
        }
        for text in ["{{UNSET}}", "{{EMPTY}}", "v-{{UNSET}}", "{{SHA", "{{}}", "{{a b}}"] {
            assert!(expanded(text, &variables).is_err(), "{text}");
        }
    }
}
