//! Which version of a request is sent: the highest that the broker, the messages and agora's ceiling have in common.

use std::collections::BTreeMap;

use agora_core::{ErrorKind, Result};
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::protocol::{Message, VersionRange};

use super::api::Api;
use crate::error::error;

/// The most APIs that are remembered. Kafka 4.1 has 90.
const APIS_MAX: usize = 1024;

/// What a broker can do, by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Versions(BTreeMap<i16, VersionRange>);

impl Versions {
    pub(super) fn new(response: &ApiVersionsResponse) -> Self {
        let ranges = response.api_keys.iter().take(APIS_MAX);
        Self(
            ranges
                .map(|api| (api.api_key, VersionRange { min: api.min_version, max: api.max_version }))
                .collect(),
        )
    }

    /// The version of this request for this broker.
    ///
    /// # Errors
    /// `Unsupported`: there is none.
    pub(super) fn of<R: Api>(&self) -> Result<i16> {
        self.up_to::<R>(R::CEILING)
    }

    /// The same, where this very request cannot be said in a higher one.
    ///
    /// # Errors
    /// As [`of`](Versions::of).
    pub(super) fn up_to<R: Api>(&self, ceiling: i16) -> Result<i16> {
        let VersionRange { min, max } = <R as Message>::VERSIONS;
        let ours = VersionRange { min, max: max.min(ceiling) };
        let theirs = self.0.get(&R::KEY);
        let common = theirs.map(|theirs| ours.intersect(theirs)).filter(|common| !common.is_empty());
        common.map(|common| common.max).ok_or_else(|| {
            let theirs = theirs.map_or("none".to_owned(), range);
            error(ErrorKind::Unsupported, "the broker and agora have no version of a request in common")
                .context("request", R::NAME)
                .context("agora's", range(&ours))
                .context("the broker's", theirs)
                .help("use Apache Kafka 2.4 or newer, or Redpanda; a broker that is newer than agora needs a newer agora")
        })
    }
}

fn range(range: &VersionRange) -> String {
    format!("{} to {}", range.min, range.max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::api_versions_response::ApiVersion;
    use kafka_protocol::messages::fetch_request::FetchTopic;
    use kafka_protocol::messages::{
        FetchRequest, MetadataRequest, OffsetDeleteRequest, SaslHandshakeRequest,
    };

    fn versions(ranges: &[(i16, i16, i16)]) -> Versions {
        let api = |(key, min, max): &(i16, i16, i16)| {
            ApiVersion::default().with_api_key(*key).with_min_version(*min).with_max_version(*max)
        };
        Versions::new(&ApiVersionsResponse::default().with_api_keys(ranges.iter().map(api).collect()))
    }

    #[test]
    fn the_highest_that_all_have_is_taken() {
        let kafka = versions(&[(1, 4, 18), (3, 0, 13), (17, 0, 1)]);
        assert_eq!(kafka.of::<FetchRequest>().unwrap(), 13, "topic ids");
        assert_eq!(kafka.up_to::<FetchRequest>(FetchRequest::default().ceiling()).unwrap(), 13, "no topic");
        let by_name = FetchRequest::default().with_topics(vec![FetchTopic::default()]);
        assert_eq!(kafka.up_to::<FetchRequest>(by_name.ceiling()).unwrap(), 12);
        assert_eq!(kafka.of::<MetadataRequest>().unwrap(), 10, "no topics by id alone");
        assert_eq!(kafka.of::<SaslHandshakeRequest>().unwrap(), 1);
        let redpanda = versions(&[(1, 4, 11), (3, 0, 8)]);
        assert_eq!(redpanda.of::<FetchRequest>().unwrap(), 11);
        assert_eq!(redpanda.of::<MetadataRequest>().unwrap(), 8);
    }

    #[test]
    fn without_a_common_version_both_ranges_are_told() {
        for (broker, theirs) in [(versions(&[(1, 14, 18)]), "14 to 18"), (versions(&[(1, 0, 3)]), "0 to 3")] {
            let error = broker.of::<FetchRequest>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            let text = error.to_string();
            assert!(text.contains("Fetch") && text.contains("4 to 13") && text.contains(theirs), "{text}");
        }
        let error = versions(&[]).of::<OffsetDeleteRequest>().unwrap_err();
        assert!(error.to_string().contains("the broker's: none"), "{error}");
    }
}
