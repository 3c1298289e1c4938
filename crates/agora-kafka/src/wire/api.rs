//! The requests that are ever sent, and the highest version of each.
//!
//! The ceilings are what agora was written for and tested with. Those of `Produce`, `OffsetCommit`, `DeleteTopics` and
//! `CreateTopics` are the last that name topics by name alone: Redpanda has no topic ids. Where a broker has them, `Fetch`
//! names topics by id alone: a topic that was deleted and made anew is not read in place of the old one.
//! Those of transactions are the last that leave a producer its epoch until another one takes it (KIP-890 raises it with
//! every transaction).

use std::time::Duration;

use kafka_protocol::messages as m;
use kafka_protocol::protocol::Request;

use super::shape::Shape;
use super::shapes;

/// A request that agora sends.
pub trait Api: Request<Response: Send + 'static> + Send + Sync + 'static {
    /// What the protocol calls it.
    const NAME: &'static str;
    /// The highest version that is asked for.
    const CEILING: i16;

    /// The fields of its answer.
    const SHAPE: Shape;

    /// The highest version in which this very request can be said.
    fn ceiling(&self) -> i16 {
        Self::CEILING
    }

    /// How long the broker may say nothing at all while the answer to this is the next that it owes. `None`: as long as
    /// the deadline allows, for it may have others to wait for.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// For how long, in milliseconds, the broker wants no further request on this connection.
    fn throttle_ms(response: &Self::Response) -> i32;
}

macro_rules! apis {
    ($d:tt $($name:literal $request:ident to $ceiling:literal as $shape:ident $($throttled:ident)?;)+) => {
        $(
            impl Api for m::$request {
                const NAME: &'static str = $name;
                const CEILING: i16 = $ceiling;
                const SHAPE: Shape = shapes::$shape;

                fn throttle_ms(response: &Self::Response) -> i32 {
                    let _ = response;
                    0 $(+ throttle!($throttled response))?
                }
            }
        )+

        /// Calls a function that takes the type of a request once for each of them.
        #[cfg(test)]
        macro_rules! every_api {
            ($function:ident $d(, $argument:expr)?) => {
                $($function::<kafka_protocol::messages::$request>($d($argument)?);)+
                $function::<kafka_protocol::messages::FetchRequest>($d($argument)?);
                $function::<kafka_protocol::messages::ProduceRequest>($d($argument)?);
            };
        }

        #[cfg(test)]
        pub(super) use every_api;
    };
}

macro_rules! throttle {
    (throttled $response:ident) => {
        $response.throttle_time_ms
    };
}

apis! {
    $
    "ListOffsets" ListOffsetsRequest to 7 as LIST_OFFSETS throttled;
    "Metadata" MetadataRequest to 10 as METADATA throttled;
    "OffsetCommit" OffsetCommitRequest to 8 as OFFSET_COMMIT throttled;
    "OffsetFetch" OffsetFetchRequest to 7 as OFFSET_FETCH throttled;
    "FindCoordinator" FindCoordinatorRequest to 3 as FIND_COORDINATOR throttled;
    "JoinGroup" JoinGroupRequest to 9 as JOIN_GROUP throttled;
    "Heartbeat" HeartbeatRequest to 4 as HEARTBEAT throttled;
    "LeaveGroup" LeaveGroupRequest to 4 as LEAVE_GROUP throttled;
    "SyncGroup" SyncGroupRequest to 5 as SYNC_GROUP throttled;
    "DescribeGroups" DescribeGroupsRequest to 5 as DESCRIBE_GROUPS throttled;
    "ListGroups" ListGroupsRequest to 4 as LIST_GROUPS throttled;
    "SaslHandshake" SaslHandshakeRequest to 1 as SASL_HANDSHAKE;
    "ApiVersions" ApiVersionsRequest to 3 as API_VERSIONS throttled;
    "CreateTopics" CreateTopicsRequest to 6 as CREATE_TOPICS throttled;
    "DeleteTopics" DeleteTopicsRequest to 5 as DELETE_TOPICS throttled;
    "DeleteRecords" DeleteRecordsRequest to 2 as DELETE_RECORDS throttled;
    "InitProducerId" InitProducerIdRequest to 4 as INIT_PRODUCER_ID throttled;
    "AddOffsetsToTxn" AddOffsetsToTxnRequest to 3 as ADD_OFFSETS_TO_TXN throttled;
    "EndTxn" EndTxnRequest to 3 as END_TXN throttled;
    "TxnOffsetCommit" TxnOffsetCommitRequest to 3 as TXN_OFFSET_COMMIT throttled;
    "OffsetForLeaderEpoch" OffsetForLeaderEpochRequest to 4 as OFFSET_FOR_LEADER_EPOCH throttled;
    "DescribeConfigs" DescribeConfigsRequest to 4 as DESCRIBE_CONFIGS throttled;
    "DescribeLogDirs" DescribeLogDirsRequest to 4 as DESCRIBE_LOG_DIRS throttled;
    "SaslAuthenticate" SaslAuthenticateRequest to 2 as SASL_AUTHENTICATE;
    "CreatePartitions" CreatePartitionsRequest to 3 as CREATE_PARTITIONS throttled;
    "DeleteGroups" DeleteGroupsRequest to 2 as DELETE_GROUPS throttled;
    "IncrementalAlterConfigs" IncrementalAlterConfigsRequest to 1 as INCREMENTAL_ALTER_CONFIGS throttled;
    "OffsetDelete" OffsetDeleteRequest to 0 as OFFSET_DELETE throttled;
}

/// How long a broker may be silent beyond the time for which it was asked to wait. Nobody ends a connection to a machine that
/// is gone: without this, its users would find out by the deadline of a whole answer.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// A link that is slower, in bytes a second, is as good as none: what is sent may be on its way for so long.
const LINK_RATE_MIN: u64 = 64 << 10;

fn patience(asked_ms: i32, bytes: usize) -> Duration {
    let asked = Duration::from_millis(u64::try_from(asked_ms).unwrap_or(0));
    let sending = Duration::from_millis(bytes as u64 * 1000 / LINK_RATE_MIN);
    asked + SILENCE_MAX + sending
}

impl Api for m::ProduceRequest {
    const NAME: &'static str = "Produce";
    const CEILING: i16 = 9;
    const SHAPE: Shape = shapes::PRODUCE;

    fn patience(&self) -> Option<Duration> {
        let parts = self.topic_data.iter().flat_map(|topic| &topic.partition_data);
        let bytes = parts.filter_map(|part| Some(part.records.as_ref()?.len())).sum();
        Some(patience(self.timeout_ms, bytes))
    }

    fn throttle_ms(response: &Self::Response) -> i32 {
        response.throttle_time_ms
    }
}

/// The last version of `Fetch` that names topics by name.
const FETCH_BY_NAME: i16 = 12;

impl Api for m::FetchRequest {
    const NAME: &'static str = "Fetch";
    const CEILING: i16 = 13;
    const SHAPE: Shape = shapes::FETCH;

    fn ceiling(&self) -> i16 {
        let has_ids = self.topics.iter().all(|topic| !topic.topic_id.is_nil());
        if has_ids { Self::CEILING } else { FETCH_BY_NAME }
    }

    fn patience(&self) -> Option<Duration> {
        Some(patience(self.max_wait_ms, 0))
    }

    fn throttle_ms(response: &Self::Response) -> i32 {
        response.throttle_time_ms
    }
}
