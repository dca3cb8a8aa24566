//! Checks of what we take from outside. The lists are those of `deny.toml`, so `cargo deny check` says the same.

use super::model::Workspace;

pub(super) fn no_banned_crate_in_the_graph(workspace: &Workspace) -> Vec<String> {
    let banned = banned_crates(workspace.text("deny.toml"));
    if banned.is_empty() {
        return vec!["deny.toml bans nothing, or cannot be read: `deny = [` with `crate = \"…\"` entries".to_owned()];
    }
    let present = workspace.externals.iter().filter(|package| banned.contains(&package.name.as_str()));
    present.map(|package| format!("{} {} is banned by deny.toml", package.name, package.version)).collect()
}

pub(super) fn every_licence_is_allowed(workspace: &Workspace) -> Vec<String> {
    let allowed = allowed_licences(workspace.text("deny.toml"));
    let mut found = Vec::new();
    for package in &workspace.externals {
        match package.licence.as_deref() {
            None => found.push(format!("{} {} states no licence", package.name, package.version)),
            Some(expression) if !is_allowed(expression, &allowed) => {
                found.push(format!("{} {}: `{expression}` is not allowed by deny.toml", package.name, package.version));
            }
            Some(_) => {}
        }
    }
    found
}

/// The names in `crate = "…"` of deny.toml. A version range after `@` or `:` is not used here, so a ban is whole.
fn banned_crates(deny: &str) -> Vec<&str> {
    let entries = deny.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    entries.filter_map(|line| line.split_once("crate = \"")?.1.split_once('"')).map(|(name, _)| name).collect()
}

/// The strings of the `allow = [ … ]` list of deny.toml.
fn allowed_licences(deny: &str) -> Vec<&str> {
    let list = deny.split_once("allow = [").and_then(|(_, rest)| rest.split_once(']')).map_or("", |(list, _)| list);
    let entries = list.lines().map(|line| line.split_once('#').map_or(line, |(entry, _)| entry));
    entries.flat_map(|line| line.split('"').skip(1).step_by(2)).collect()
}

/// Whether an SPDX expression can be met with the allowed licences alone.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    // Manifests from before SPDX expressions write `MIT/Apache-2.0`.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut place = 0;
    let verdict = either(&words, &mut place, allowed);
    verdict && place == words.len()
}

fn either(words: &[&str], place: &mut usize, allowed: &[&str]) -> bool {
    let mut verdict = all(words, place, allowed);
    while words.get(*place) == Some(&"OR") {
        *place += 1;
        verdict |= all(words, place, allowed);
    }
    verdict
}

fn all(words: &[&str], place: &mut usize, allowed: &[&str]) -> bool {
    let mut verdict = one(words, place, allowed);
    while words.get(*place) == Some(&"AND") {
        *place += 1;
        verdict &= one(words, place, allowed);
    }
    verdict
}

fn one(words: &[&str], place: &mut usize, allowed: &[&str]) -> bool {
    let Some(word) = words.get(*place) else { return false };
    *place += 1;
    if *word == "(" {
        let verdict = either(words, place, allowed);
        let closed = words.get(*place) == Some(&")");
        *place += 1;
        return verdict && closed;
    }
    if words.get(*place) == Some(&"WITH") {
        let exception = words.get(*place + 1).copied().unwrap_or_default();
        *place += 2;
        return allowed.contains(&format!("{word} WITH {exception}").as_str());
    }
    allowed.contains(word)
}
