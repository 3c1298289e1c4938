//! The requests that are ever sent, and the highest version of each.
//!
//! The ceilings are what agora was written for and tested with. Those of `Fetch`, `Metadata`, `Produce`, `OffsetCommit`,
//! `DeleteTopics` and `CreateTopics` are the last that name topics by name alone: Redpanda has no topic ids. Those of
//! transactions are the last that leave a producer its epoch until another one takes it (KIP-890 raises it with every
//! transaction).

use kafka_protocol::messages as m;
use kafka_protocol::protocol::Request;

/// A request that agora sends.
pub trait Api: Request<Response: Send + 'static> + Send + Sync + 'static {
    /// What the protocol calls it.
    const NAME: &'static str;
    /// The highest version that is asked for.
    const CEILING: i16;

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
    "Fetch" FetchRequest to 12 throttled;
    "ListOffsets" ListOffsetsRequest to 7 throttled;
    "Metadata" MetadataRequest to 9 throttled;
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
    "AddOffsetsToTxn" AddOffsetsToTxnRequest to 3 throttled;
    "EndTxn" EndTxnRequest to 3 throttled;
    "TxnOffsetCommit" TxnOffsetCommitRequest to 3 throttled;
    "OffsetForLeaderEpoch" OffsetForLeaderEpochRequest to 4 throttled;
    "DescribeConfigs" DescribeConfigsRequest to 4 throttled;
    "DescribeLogDirs" DescribeLogDirsRequest to 4 throttled;
    "SaslAuthenticate" SaslAuthenticateRequest to 2;
    "CreatePartitions" CreatePartitionsRequest to 3 throttled;
    "DeleteGroups" DeleteGroupsRequest to 2 throttled;
    "IncrementalAlterConfigs" IncrementalAlterConfigsRequest to 1 throttled;
    "OffsetDelete" OffsetDeleteRequest to 0 throttled;
}
