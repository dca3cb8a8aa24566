//! What holds of every list of findings about a text.

use townlet_policy::Findings;

/// Each has a message and a place in the text, and nothing in it reaches a terminal as a control character.
pub fn have_places(found: &Findings, text: &str) {
    let shown = found.to_string();
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    for finding in found {
        assert!(finding.place.line >= 1 && finding.place.column >= 1 && finding.place.width >= 1, "{finding}");
        assert!(finding.place.line as usize <= lines + 1, "no such line: {finding}");
        assert!(!finding.message.is_empty());
    }
}
