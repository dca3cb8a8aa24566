//! How a call ends: codes, messages, and when to come again.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use prost::Message;

/// Of the codes of gRPC, those that this listener gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Code {
    Ok = 0,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl Code {
    /// The name that gRPC gives it, for metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: Code,
    message: String,
    retry_after: Option<u32>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Eq, Message)]
struct Details {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Eq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`, in whole seconds.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

impl Status {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// Unavailable for so many seconds.
    pub(super) fn later(seconds: u32, message: impl Into<String>) -> Self {
        Self { code: Code::Unavailable, message: message.into(), retry_after: Some(seconds) }
    }

    /// The trailers that say so.
    pub(super) fn trailers(&self) -> HeaderMap {
        let mut trailers = ok_or(self.code);
        insert(&mut trailers, "grpc-message", &percent(&self.message));
        if let Some(seconds) = self.retry_after {
            let info = RetryInfo { retry_delay: Some(Delay { seconds: i64::from(seconds) }) }.encode_to_vec();
            insert(&mut trailers, "google.rpc.retryinfo-bin", &STANDARD_NO_PAD.encode(&info));
            let details = Details {
                code: self.code as i32,
                message: self.message.clone(),
                details: vec![Detail { type_url: RETRY_INFO.to_owned(), value: info }],
            };
            insert(&mut trailers, "grpc-status-details-bin", &STANDARD_NO_PAD.encode(details.encode_to_vec()));
        }
        trailers
    }
}

/// The trailers of a call that ends with this code, and nothing to say about it.
pub(super) fn ok_or(code: Code) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    insert(&mut trailers, "grpc-status", &(code as i32).to_string());
    trailers
}

fn insert(trailers: &mut HeaderMap, name: &'static str, value: &str) {
    // All that comes here is printable ASCII.
    if let Ok(value) = HeaderValue::from_str(value) {
        trailers.insert(HeaderName::from_static(name), value);
    }
}

/// As gRPC wants its messages: whatever is not printable ASCII, and `%`, as `%XX`.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_travels_in_printable_ascii() {
        let trailers = Status::new(Code::InvalidArgument, "50 % ü\r\n").trailers();
        assert_eq!(trailers["grpc-status"], "3");
        assert_eq!(trailers["grpc-message"], "50 %25 %C3%BC%0D%0A");
        assert!(!trailers.contains_key("grpc-status-details-bin"));
    }

    #[test]
    fn when_to_come_again_stands_where_the_specification_and_where_pythons_sdk_look() {
        let trailers = Status::later(10, "no").trailers();
        assert_eq!(
            (&trailers["grpc-status"], &trailers["grpc-message"]),
            (&"14".parse().unwrap(), &"no".parse().unwrap())
        );
        let bytes = |name: &str| STANDARD_NO_PAD.decode(trailers[name].as_bytes()).unwrap();
        assert_eq!(bytes("google.rpc.retryinfo-bin"), b"\x0a\x02\x08\x0a");
        let url = b"type.googleapis.com/google.rpc.RetryInfo";
        let any = [b"\x0a\x28", &url[..], b"\x12\x04\x0a\x02\x08\x0a"].concat();
        let whole = [b"\x08\x0e\x12\x02no\x1a", &[u8::try_from(any.len()).unwrap()][..], &any].concat();
        assert_eq!(bytes("grpc-status-details-bin"), whole);
    }
}
