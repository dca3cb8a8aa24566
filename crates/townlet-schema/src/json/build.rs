//! From a typed value to a tree.

use serde::ser::Serialize;

use super::Json;
use crate::encode::encode_into;
use crate::error::{EncodeError, EncodeErrorKind};

/// By way of the text, so that a tree can never differ from what is sent.
pub(super) fn build<T: Serialize + ?Sized>(value: &T) -> Result<Json, EncodeError> {
    let mut text = Vec::new();
    encode_into(value, &mut text)?;
    Json::parse(&text).map_err(|e| EncodeError::new(EncodeErrorKind::Custom, format!("encoded text: {e}")))
}
