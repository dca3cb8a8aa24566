//! Who speaks: the resource and the scope of everything that is sent.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::value::{attribute, string};

/// The resource of a run: the operator's attributes, and which run it is.
pub(crate) fn resource(attributes: &[(String, String)], run_id: &str) -> Resource {
    let mut all = Vec::with_capacity(attributes.len() + 2);
    if attributes.iter().all(|(name, _)| name != "service.name") {
        all.push(attribute("service.name", string("townlet")));
    }
    all.extend(attributes.iter().map(|(name, value)| attribute(name, string(value.as_str()))));
    all.push(attribute("service.instance.id", string(run_id)));
    Resource { attributes: all, ..Resource::default() }
}

pub(crate) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}
