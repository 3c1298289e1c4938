//! The first words on a connection.

use agora_core::{ErrorKind, Result};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::StrBytes;

use super::api::Api;
use super::sasl::Exchange;
use super::versions::Versions;
use crate::error::{Refusal, error};

/// Asks a broker which versions it has, and tells it who asks (KIP-511).
///
/// # Errors
/// `Unsupported`: it is too old.
pub(super) async fn hello(exchange: &mut (impl Exchange + Send)) -> Result<Versions> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("agora"))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    let answer = exchange.call(&request, ApiVersionsRequest::CEILING).await?;
    match Refusal::check(answer.error_code) {
        Ok(()) => Ok(Versions::new(&answer)),
        Err(refusal) if refusal.code == ResponseError::UnsupportedVersion => {
            Err(error(ErrorKind::Unsupported, "the broker is too old")
                .help("use Kafka 2.4 or newer, or Redpanda"))
        }
        Err(refusal) => Err(refusal.into_error()),
    }
}
