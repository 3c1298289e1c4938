//! The settings of topics and brokers, as the brokers have them.

use std::collections::BTreeMap;

use agora_core::Result;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::brokers::{Line, TRY_WAIT, Target};
use crate::error::{Refusal, odd};

/// For how long a topic keeps what was published, in milliseconds; -1: for ever.
pub(crate) const RETENTION: &str = "retention.ms";
/// The largest batch that a topic takes, in bytes.
pub(crate) const TOPIC_BYTES_MAX: &str = "max.message.bytes";
/// The same of a broker, for topics that say nothing else.
pub(crate) const BROKER_BYTES_MAX: &str = "message.max.bytes";
/// What is done with what is old: `delete`, `compact` or both.
pub(crate) const CLEANUP: &str = "cleanup.policy";

/// Whose settings they are. The numbers are those of `ConfigResource.Type` of Kafka.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of<'a> {
    /// A topic, by its name on the servers.
    Topic(&'a str),
    /// A broker, by its id.
    Broker(i32),
}

/// The values of these settings. What the broker does not tell is left out.
///
/// # Errors
/// `Unauthorized`: the access rules do not allow to look (`DescribeConfigs`). `NotFound`. `Unreachable`.
pub(crate) async fn describe(
    line: &Line,
    of: Of<'_>,
    names: &[&'static str],
    by: Instant,
) -> Result<BTreeMap<String, String>> {
    let (kind, name, target) = match of {
        Of::Topic(topic) => (2, topic.to_owned(), Target::Any),
        Of::Broker(node) => (4, node.to_string(), Target::Node(node)),
    };
    let keys = names.iter().map(|name| StrBytes::from_static_str(name)).collect();
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(StrBytes::from_string(name))
        .with_configuration_keys(Some(keys));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let judge = |answer: &DescribeConfigsResponse| {
        answer
            .results
            .iter()
            .try_for_each(|result| Refusal::check_with(result.error_code, result.error_message.as_ref()))
    };
    let answer = line.ask(target, &request, TRY_WAIT, by, judge).await?;
    let result = answer.results.into_iter().next().ok_or_else(|| odd("no settings are in it"))?;
    let told = result
        .configs
        .into_iter()
        .filter_map(|config| Some((config.name.as_str().to_owned(), config.value?.as_str().to_owned())));
    Ok(told.collect())
}
