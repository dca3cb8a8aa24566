//! File names from names that a peer chose.

/// The longest file or folder name made from a peer's name, in bytes. Leaves
/// room for `.jsonl` below the 255 bytes that file systems allow.
const LONGEST: usize = 200;

/// Turns a peer's `run_id` or `stream` into one path component.
///
/// Small letters, digits, `-`, `_` and inner `.` stand for themselves; every
/// other byte becomes `%XX`. So the result is never empty, `.`, `..`, hidden or
/// a path of several components, different names give different files (also on
/// file systems that ignore case), and the UUIDs and dotted stream names in use
/// are readable as they are. `None` where it would be longer than 200 bytes or
/// the name is empty.
pub(crate) fn component(name: &str) -> Option<String> {
    if name.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        let inner = at > 0 && at + 1 < name.len();
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => out.push(char::from(byte)),
            b'.' if inner => out.push('.'),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.push('%');
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    (out.len() <= LONGEST).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::component;

    #[test]
    fn names_in_use_stay_readable() {
        assert_eq!(component("town.events").as_deref(), Some("town.events"));
        let run = "0193b0c8-7c1e-7def-8a2b-001122334455";
        assert_eq!(component(run).as_deref(), Some(run));
    }

    #[test]
    fn path_tricks_become_plain_text() {
        for (name, file) in [
            ("..", "%2e%2e"),
            (".", "%2e"),
            ("../../etc/passwd", "%2e.%2f..%2fetc%2fpasswd"),
            ("/abs", "%2fabs"),
            ("a\\b", "a%5cb"),
            ("a\0b", "a%00b"),
            (".hidden", "%2ehidden"),
            ("trailing.", "trailing%2e"),
            ("Town", "%54own"),
            ("100%", "100%25"),
            ("ä", "%c3%a4"),
        ] {
            assert_eq!(component(name).as_deref(), Some(file));
        }
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        assert_eq!(component(""), None);
        assert!(component(&"a".repeat(200)).is_some());
        assert_eq!(component(&"a".repeat(201)), None);
        assert_eq!(component(&"/".repeat(67)), None);
    }
}
