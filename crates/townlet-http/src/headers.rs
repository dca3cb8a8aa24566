//! Headers that let us in, as one text: `name=value,name=value` with values in percent encoding, which is the form of
//! `OTEL_EXPORTER_OTLP_HEADERS` (OpenTelemetry, "Protocol Exporter"; W3C Baggage).

use percent_encoding::percent_decode_str;
use reqwest::header::HeaderName;

use crate::Secret;

/// What the client says by itself, or must not say twice.
const OURS: [&str; 9] = [
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "transfer-encoding",
    "user-agent",
];

/// Reads them. An error says which of them is wrong, and quotes no value.
pub(crate) fn pairs(text: &str) -> Result<Vec<(HeaderName, Secret)>, String> {
    let mut all: Vec<(HeaderName, Secret)> = Vec::new();
    let members = (1..).zip(text.split(',')).filter(|(_, member)| !member.trim().is_empty());
    for (n, member) in members {
        let (name, value) = member.split_once('=').ok_or_else(|| format!("header {n} has no `=`"))?;
        let name = name.trim().to_ascii_lowercase();
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("header {n} has no name of a header"))?;
        if OURS.contains(&name.as_str()) {
            return Err(format!("header {n}, {name}, is set by the client itself"));
        }
        if all.iter().any(|(earlier, _)| *earlier == name) {
            return Err(format!("header {n}, {name}, is there already"));
        }
        let value = percent_decode_str(value.trim()).decode_utf8().ok().and_then(|text| Secret::new(text.into_owned()));
        let value = value.ok_or_else(|| format!("header {n}, {name}, is empty, or has what no header can carry"))?;
        all.push((name, value));
    }
    if all.is_empty() { Err("there is no header in it: write name=value,name=value".to_owned()) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let all = pairs(text)?;
        Ok(all.into_iter().map(|(name, value)| (name.to_string(), value.reveal().to_owned())).collect())
    }

    #[test]
    fn values_are_decoded_and_names_know_no_case() {
        let both = read(" Authorization = Bearer%20a%2Cb%3D=, x-api-key=k;1 ,").unwrap();
        let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(both, [of("authorization", "Bearer a,b=="), of("x-api-key", "k;1")]);
        // What is no escape stays as it is.
        assert_eq!(read("a=100%").unwrap(), [of("a", "100%")]);
    }

    #[test]
    fn what_no_request_can_carry_is_refused_without_its_value() {
        for (text, why) in [
            ("", "no header in it"),
            (" , ", "no header in it"),
            ("hunter2", "header 1 has no `=`"),
            ("a=b,=hunter2", "header 2 has no name"),
            ("a b=hunter2", "header 1 has no name"),
            ("a=", "header 1, a, is empty"),
            ("a=hunter2%0d%0aHost:x", "header 1, a, is empty, or has"),
            ("a=%ff", "header 1, a, is empty, or has"),
            ("Content-Type=hunter2", "header 1, content-type, is set by"),
            ("a=1,A=hunter2", "header 2, a, is there already"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
