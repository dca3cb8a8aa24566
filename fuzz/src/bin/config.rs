//! The configuration: any text is refused with places that exist, or loads, and its dump loads as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use townlet_config::{Diagnostics, Loader, Severity};

const FILE: &str = "fuzz.yaml";

fuzz_target!(|bytes: &[u8]| {
    // Files that the text names stay closed: it may name any.
    let loader = Loader::new().skip_files().base_dir("/srv/town").home("/srv/nobody");
    let loaded = loader.load_bytes(FILE, bytes);
    let text = String::from_utf8_lossy(bytes);
    match loaded {
        Err(found) => {
            assert!(found.has_errors(), "refused without an error");
            have_places(&found, &text);
            if let Some(corrected) =
                std::str::from_utf8(bytes).ok().and_then(|text| loader.corrected_block(&found, text))
                && let Err(found) = loader.load_str("corrected", &corrected)
            {
                panic!("the corrected block is refused:\n{found}\n{corrected}");
            }
        }
        Ok(loaded) => {
            assert!(!loaded.warnings.has_errors());
            have_places(&loaded.warnings, &text);
            for dump in [loaded.to_yaml(), loaded.config.to_yaml()] {
                match loader.load_str("dump.yaml", &dump) {
                    Ok(again) => assert_eq!(again.config, loaded.config, "the dump means something else:\n{dump}"),
                    Err(found) => panic!("the dump is refused:\n{found}\n{dump}"),
                }
            }
        }
    }
});

fn have_places(found: &Diagnostics, text: &str) {
    for diagnostic in found {
        let shown = diagnostic.to_string();
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        if diagnostic.line == 0 || diagnostic.file != FILE {
            assert_eq!((diagnostic.line, diagnostic.column), (0, 0), "half a place: {shown}");
            assert!(diagnostic.severity != Severity::Error || !diagnostic.message.is_empty());
            continue;
        }
        // The end of the text is a place too, and so is the line that its last line break begins. As in YAML, a
        // carriage return breaks a line with and without a line feed.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let line = text.split('\n').nth(diagnostic.line as usize - 1);
        let line = line.unwrap_or_else(|| panic!("no line {} in the text: {shown}", diagnostic.line));
        let columns = line.chars().count() + 1;
        assert!(
            (1..=columns).contains(&(diagnostic.column as usize)),
            "column {} of a line with {columns}: {shown}",
            diagnostic.column
        );
    }
}
