//! What the leader of a group does: it shares out what all members want.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agora_core::ErrorKind;
use bytes::Bytes;
use futures_util::future::join_all;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::watch;
use tokio::time::Instant;

use super::assign::{Assignor, Wish};
use super::calls::Place;
use super::protocol;
use super::words::{Joined, Trouble};
use crate::brokers::{Kind, Target};
use crate::error::{Refusal, error};

/// How long it may take to find out how many partitions there are.
const LOOK_WAIT: Duration = Duration::from_secs(5);
/// The most topics that are shared out in one group. Members that want more get nothing of the others.
const TOPICS_MAX: usize = 4096;

/// `ConfigResource.Type.BROKER` of Kafka.
const BROKER: i8 = 4;
const SESSION_MIN: &str = "group.min.session.timeout.ms";
const SESSION_MAX: &str = "group.max.session.timeout.ms";

/// How many partitions each topic of a group has, now and later: where there are more, the group is shared out anew.
pub(super) type Counts = Vec<watch::Receiver<u32>>;

impl Place {
    /// Waits for what one gets; says before what everybody gets, where one leads.
    pub(super) async fn part(
        &self,
        joined: Joined,
        within: Duration,
    ) -> (Counts, Result<BTreeSet<i32>, Trouble>) {
        let mut counts = Counts::new();
        let part = async {
            let mut assignments = BTreeMap::new();
            if let Some(leads) = &joined.leads {
                let wish = |(id, instance, said): &(String, Option<String>, Bytes)| {
                    protocol::wish(id, instance.as_deref(), said)
                };
                let wishes: Vec<Wish> = leads.members.iter().map(wish).collect();
                let partitions = self.partitions(&wishes, &mut counts).await?;
                if !leads.is_settled {
                    assignments = self.share(&joined.protocol, &wishes, &partitions)?;
                }
            }
            let said = self.sync(&joined, assignments, within).await?;
            protocol::assigned(&said, &self.topic).ok_or_else(|| {
                let error = error(ErrorKind::Backend, "the leader of the group says what cannot be read");
                Trouble::Final(self.told(error).context("protocol", &joined.protocol))
            })
        };
        let part = part.await;
        (counts, part)
    }

    async fn partitions(
        &self,
        wishes: &[Wish],
        counts: &mut Counts,
    ) -> Result<BTreeMap<String, u32>, Trouble> {
        let topics: BTreeSet<String> = wishes.iter().flat_map(|wish| wish.topics.clone()).collect();
        let by = Instant::now() + LOOK_WAIT;
        let look = |topic: String| async move {
            let count = self.brokers.partitions(&topic, by).await;
            (topic, count)
        };
        let mut partitions = BTreeMap::new();
        for (topic, count) in join_all(topics.into_iter().take(TOPICS_MAX).map(look)).await {
            match count {
                Ok(count) => {
                    partitions.insert(topic, *count.borrow());
                    counts.push(count);
                }
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unauthorized) => {
                    tracing::warn!(group = %self.group, %topic, %error, "nobody gets anything of a topic");
                }
                Err(error) => return Err(self.trouble(error)),
            }
        }
        Ok(partitions)
    }

    fn share(
        &self,
        protocol: &str,
        wishes: &[Wish],
        partitions: &BTreeMap<String, u32>,
    ) -> Result<BTreeMap<String, Bytes>, Trouble> {
        let assignor = Assignor::of(protocol).ok_or_else(|| {
            let error = error(ErrorKind::Backend, "the group shares out in a way that nobody offered");
            Trouble::Final(self.told(error).context("protocol", protocol))
        })?;
        let assigned = assignor.assign(wishes, partitions).into_iter();
        let assigned = assigned.map(|(member, topics)| Ok((member, protocol::assignment(&topics)?)));
        assigned.collect::<agora_core::Result<_>>().map_err(Trouble::Final)
    }

    /// Which session timeouts the coordinator allows; `None`: it does not say.
    pub(super) async fn session_bounds(&self) -> Option<(Duration, Duration)> {
        let by = Instant::now() + LOOK_WAIT;
        let node = self.brokers.coordinator(Kind::Group, &self.group, by).await.ok()?;
        let keys = [SESSION_MIN, SESSION_MAX].map(StrBytes::from_static_str);
        let broker = DescribeConfigsResource::default()
            .with_resource_type(BROKER)
            .with_resource_name(StrBytes::from_string(node.to_string()))
            .with_configuration_keys(Some(keys.into()));
        let request = DescribeConfigsRequest::default().with_resources(vec![broker]);
        let judge = |answer: &DescribeConfigsResponse| {
            answer.results.iter().try_for_each(|result| Refusal::check(result.error_code))
        };
        let answer = self.beats.ask(Target::Node(node), &request, LOOK_WAIT, by, judge).await.ok()?;
        let of = |key: &str| {
            let configs = answer.results.iter().flat_map(|result| &result.configs);
            let value = configs
                .filter(|config| config.name.as_str() == key)
                .find_map(|config| config.value.as_ref())?;
            value.as_str().parse().ok().map(Duration::from_millis)
        };
        Some((of(SESSION_MIN)?, of(SESSION_MAX)?))
    }
}
