//! Answers.

use std::fmt::Write;
use std::time::SystemTime;

use serde::Serialize;

const JSON: &str = "application/json";

/// An answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Response {
    /// An answer with a body of this media type.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, headers: Vec::new(), body: body.into() }
    }

    /// An answer in plain text.
    pub fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }

    /// An answer in JSON; 500 where `body` cannot be written as such.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(text) => Self::new(status, JSON, text),
            Err(_) => Self::error(500, "the answer cannot be written as JSON"),
        }
    }

    /// A refusal with its reason, as `{"error":"…"}`.
    pub fn error(status: u16, reason: &str) -> Self {
        Self::json(status, &serde_json::json!({ "error": reason }))
    }

    /// The same with one more header. A value that could break the head, such
    /// as one with a line break, is left out.
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.bytes().any(|byte| byte.is_ascii_control()) {
            self.headers.push((name, value));
        }
        self
    }

    /// The same, asking to come again after so many seconds (RFC 9110, section 10.2.3).
    pub fn retry_after(self, seconds: u32) -> Self {
        self.with_header("Retry-After", seconds.to_string())
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The head, up to and with the empty line.
    pub(super) fn head(&self, keep_alive: bool, now: SystemTime) -> Vec<u8> {
        let mut head =
            format!("HTTP/1.1 {} {}\r\nDate: {}\r\n", self.status, reason(self.status), httpdate::fmt_http_date(now));
        // Writing to a string cannot fail.
        let _ = write!(head, "Content-Type: {}\r\nContent-Length: {}\r\n", self.content_type, self.body.len());
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
        head.push_str(if keep_alive { "Connection: keep-alive\r\n\r\n" } else { "Connection: close\r\n\r\n" });
        head.into_bytes()
    }
}

/// RFC 9110, section 15: the phrase is for people only, and may be empty.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_cannot_break_the_head() {
        let answer = Response::error(503, "busy").retry_after(3).with_header("X-Note", "a\r\nSet-Cookie: b");
        let head = String::from_utf8(answer.head(false, SystemTime::UNIX_EPOCH)).unwrap();
        assert_eq!(
            head,
            "HTTP/1.1 503 Service Unavailable\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: \
             application/json\r\nContent-Length: 16\r\nRetry-After: 3\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        );
    }
}
