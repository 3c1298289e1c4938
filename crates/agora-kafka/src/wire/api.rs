//! The requests that are ever sent, and the highest version of each.
//!
//! The ceilings are what agora was written for and tested with. Those of `Produce`, `OffsetCommit`, `DeleteTopics` and
//! `CreateTopics` are the last that name topics by name alone: Redpanda has no topic ids. Where a broker has them, `Fetch`
//! names topics by id alone: a topic that was deleted and made anew is not read in place of the old one.

use kafka_protocol::messages as m;
use kafka_protocol::protocol::Request;

/// A request that agora sends.
pub trait Api: Request<Response: Send + 'static> + Send + Sync + 'static {
    /// What the protocol calls it.
    const NAME: &'static str;
    /// The highest version that is asked for.
    const CEILING: i16;

    /// The highest version in which this very request can be said.
    fn ceiling(&self) -> i16 {
        Self::CEILING
    }

    /// For how long, in milliseconds, the broker wants no further request on this connection.
    fn throttle_ms(response: &Self::Response) -> i32;
}

macro_rules! apis {
    ($($name:literal $request:ident to $ceiling:literal $($throttled:ident)?;)+) => {
        $(
            impl Api for m::$request {
                const NAME: &'static str = $name;
                const CEILING: i16 = $ceiling;

                fn throttle_ms(response: &Self::Response) -> i32 {
                    let _ = response;
                    0 $(+ throttle!($throttled response))?
                }
            }
        )+
    };
}

macro_rules! throttle {
    (throttled $response:ident) => {
        $response.throttle_time_ms
    };
}

apis! {
    "Produce" ProduceRequest to 9 throttled;
    "ListOffsets" ListOffsetsRequest to 7 throttled;
    "Metadata" MetadataRequest to 10 throttled;
    "OffsetCommit" OffsetCommitRequest to 8 throttled;
    "OffsetFetch" OffsetFetchRequest to 7 throttled;
    "FindCoordinator" FindCoordinatorRequest to 3 throttled;
    "JoinGroup" JoinGroupRequest to 9 throttled;
    "Heartbeat" HeartbeatRequest to 4 throttled;
    "LeaveGroup" LeaveGroupRequest to 4 throttled;
    "SyncGroup" SyncGroupRequest to 5 throttled;
    "DescribeGroups" DescribeGroupsRequest to 5 throttled;
    "ListGroups" ListGroupsRequest to 4 throttled;
    "SaslHandshake" SaslHandshakeRequest to 1;
    "ApiVersions" ApiVersionsRequest to 3 throttled;
    "CreateTopics" CreateTopicsRequest to 6 throttled;
    "DeleteTopics" DeleteTopicsRequest to 5 throttled;
    "DeleteRecords" DeleteRecordsRequest to 2 throttled;
    "InitProducerId" InitProducerIdRequest to 4 throttled;
    "OffsetForLeaderEpoch" OffsetForLeaderEpochRequest to 4 throttled;
    "DescribeConfigs" DescribeConfigsRequest to 4 throttled;
    "DescribeLogDirs" DescribeLogDirsRequest to 4 throttled;
    "SaslAuthenticate" SaslAuthenticateRequest to 2;
    "CreatePartitions" CreatePartitionsRequest to 3 throttled;
    "DeleteGroups" DeleteGroupsRequest to 2 throttled;
    "IncrementalAlterConfigs" IncrementalAlterConfigsRequest to 1 throttled;
    "OffsetDelete" OffsetDeleteRequest to 0 throttled;
}

/// The last version of `Fetch` that names topics by name.
const FETCH_BY_NAME: i16 = 12;

impl Api for m::FetchRequest {
    const NAME: &'static str = "Fetch";
    const CEILING: i16 = 13;

    fn ceiling(&self) -> i16 {
        let has_ids = self.topics.iter().all(|topic| !topic.topic_id.is_nil());
        if has_ids { Self::CEILING } else { FETCH_BY_NAME }
    }

    fn throttle_ms(response: &Self::Response) -> i32 {
        response.throttle_time_ms
    }
}
