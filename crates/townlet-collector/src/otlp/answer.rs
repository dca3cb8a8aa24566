//! Bodies of answers.

use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use prost::Message;
use serde_json::json;

use super::{Encoding, Received, Signal};

/// `google.rpc.Status`, as far as OTLP uses it.
#[derive(Clone, PartialEq, Eq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
}

impl Encoding {
    /// The body of a 200: full success, or a partial one with a reason.
    pub fn taken(self, signal: Signal, received: &Received) -> Vec<u8> {
        let rejected = i64::try_from(received.rejected).unwrap_or(i64::MAX);
        let message = received.reason.clone().unwrap_or_default();
        let partial = rejected > 0;
        match self {
            // The responses of all signals have the same tags.
            Self::Protobuf => {
                let partial = ExportLogsPartialSuccess { rejected_log_records: rejected, error_message: message };
                let partial_success = (rejected > 0).then_some(partial);
                ExportLogsServiceResponse { partial_success }.encode_to_vec()
            }
            // The library writes the number as a number, which protobuf's JSON does not.
            Self::Json if partial => {
                let name = match signal {
                    Signal::Logs => "rejectedLogRecords",
                    Signal::Metrics => "rejectedDataPoints",
                    Signal::Traces => "rejectedSpans",
                };
                json!({"partialSuccess": {name: rejected.to_string(), "errorMessage": message}})
                    .to_string()
                    .into_bytes()
            }
            Self::Json => b"{}".to_vec(),
        }
    }

    /// The body of a 4xx or 5xx.
    pub fn failed(self, message: &str) -> Vec<u8> {
        match self {
            Self::Protobuf => Status { message: message.to_owned() }.encode_to_vec(),
            Self::Json => json!({ "message": message }).to_string().into_bytes(),
        }
    }
}
