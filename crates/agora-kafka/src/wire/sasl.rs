//! Proves to a broker who this node is.

use std::time::Duration;

use agora_core::{Error, ErrorKind, Result};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use rsasl::prelude::{Mechname, SASLClient, SASLConfig, Session};

use super::api::Api;
use super::versions::Versions;
use crate::credentials::Credentials;
use crate::error::{Refusal, error};

/// The most rounds of an exchange. SCRAM takes three.
const ROUNDS_MAX: usize = 4;
/// How often SCRAM may hash the password. Less than RFC 7677 asks for would make it easy to guess from what was
/// overheard; and a broker must not keep this node busy for as long as it likes. Kafka's own bound is 16,384.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=65_536;

/// Sends a request and waits for its answer, on a connection on which nobody else sends meanwhile.
pub(super) trait Exchange {
    /// Sends it in this version.
    fn call<R: Api>(&mut self, request: &R, version: i16)
    -> impl Future<Output = Result<R::Response>> + Send;
}

/// Proves who this node is. Returns for how long that holds; `None`: for as long as the connection.
///
/// # Errors
/// `Unauthorized`: the broker refused. `Config`: it does not know this way.
pub(super) async fn authenticate(
    exchange: &mut (impl Exchange + Send),
    credentials: &Credentials,
    versions: &Versions,
) -> Result<Option<Duration>> {
    let mechanism = credentials.mechanism_name();
    let handshake = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism));
    let answer = exchange.call(&handshake, versions.of::<SaslHandshakeRequest>()?).await?;
    if let Err(refusal) = Refusal::check(answer.error_code) {
        let unknown = refusal.code == ResponseError::UnsupportedSaslMechanism;
        let error = refusal.into_error().context("kafka.sasl", mechanism);
        let offered: Vec<_> = answer.mechanisms.iter().take(16).map(|name| name.as_str()).collect();
        return Err(if unknown { error.context("offered", offered.join(", ")) } else { error });
    }
    let version = versions.of::<SaslAuthenticateRequest>()?;
    let mut proof = Proof::new(credentials)?;
    let mut said: Option<Bytes> = None;
    let mut lifetime = None;
    for _ in 0..ROUNDS_MAX {
        let Step { message, is_last } = proof.step(said.as_deref())?;
        if let Some(message) = message {
            let request = SaslAuthenticateRequest::default().with_auth_bytes(message.into());
            let answer = exchange.call(&request, version).await?;
            Refusal::check_with(answer.error_code, answer.error_message.as_ref())
                .map_err(|refusal| refusal.into_error().context("kafka.sasl", mechanism))?;
            lifetime = u64::try_from(answer.session_lifetime_ms).ok().filter(|ms| *ms > 0);
            said = Some(answer.auth_bytes);
        }
        if is_last {
            return Ok(lifetime.map(Duration::from_millis));
        }
    }
    Err(error(ErrorKind::Backend, "the broker does not come to an end of the authentication"))
}

/// This side of the exchange.
struct Proof {
    session: Session,
    is_scram: bool,
}

struct Step {
    message: Option<Vec<u8>>,
    is_last: bool,
}

impl Proof {
    fn new(credentials: &Credentials) -> Result<Self> {
        let failed = || error(ErrorKind::Config, "this way to prove who one is cannot be used");
        let password = credentials.password()?;
        let config =
            SASLConfig::with_credentials(None, credentials.user.clone(), password.expose().to_owned())
                .map_err(|_| failed())?;
        let name = Mechname::parse(credentials.mechanism_name().as_bytes()).map_err(|_| failed())?;
        let session = SASLClient::new(config).start_suggested(&[name]).map_err(|_| failed())?;
        Ok(Self { session, is_scram: credentials.mechanism_name() != "PLAIN" })
    }

    fn step(&mut self, said: Option<&[u8]>) -> Result<Step> {
        if let (true, Some(said)) = (self.is_scram, said) {
            check_iterations(said)?;
        }
        let mut message = Vec::new();
        let state = self.session.step(said, &mut message).map_err(|_| not_proven())?;
        Ok(Step { message: state.has_sent_message().then_some(message), is_last: state.is_finished() })
    }
}

/// The broker's own proof is wrong, or is none. What was said in detail stays out: it is made of the password.
fn not_proven() -> Error {
    error(ErrorKind::Unauthorized, "the broker does not prove that it knows the password")
        .help("check `kafka.user` and `kafka.password_file`; if they are right, something else answers in the broker's place")
}

/// Looks at the first message of a SCRAM server, `r=<nonce>,s=<salt>,i=<iterations>` (RFC 5802, section 5).
fn check_iterations(said: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(said);
    let Some(iterations) = text.split(',').find_map(|part| part.strip_prefix("i=")) else { return Ok(()) };
    match iterations.parse::<u32>() {
        Ok(iterations) if ITERATIONS.contains(&iterations) => Ok(()),
        _ => Err(error(ErrorKind::Backend, "the broker asks for a number of iterations that is not allowed")
            .context("least", ITERATIONS.start())
            .context("most", ITERATIONS.end())
            .help("set the user's password anew: `kafka-configs --alter --add-config 'SCRAM-SHA-512=[iterations=8192,..]'`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_can_neither_weaken_the_hash_nor_keep_this_node_busy() {
        for iterations in ["4096", "8192", "65536"] {
            check_iterations(format!("r=abc,s=c2FsdA==,i={iterations}").as_bytes()).unwrap();
        }
        for iterations in ["0", "1", "4095", "65537", "4294967295", "99999999999", "", "-1", "x"] {
            let error = check_iterations(format!("r=abc,s=c2FsdA==,i={iterations}").as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Backend, "{iterations}");
        }
        check_iterations(b"v=cmVzdA==").unwrap();
    }
}
