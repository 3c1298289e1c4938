//! What an error code of a broker means: the kind, what became of the request, what helps.
//!
//! The codes are those of `org.apache.kafka.common.protocol.Errors`.

use std::fmt;

use agora_core::transport::Outcome;
use agora_core::{Error, ErrorKind};
use kafka_protocol::ResponseError as Code;
use kafka_protocol::protocol::StrBytes;

use super::error;

/// The longest text of a broker that is repeated in an error, in characters.
const SAID_CHARS_MAX: usize = 300;

/// What is to be done before the same request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cure {
    /// Nothing helps: the request itself is refused.
    None,
    /// It passes by itself.
    Wait,
    /// Ask who leads the partition, or who the controller is.
    Metadata,
    /// Ask who the coordinator is.
    Coordinator,
    /// Join the group anew: the member, or its generation, is not known any more.
    Join,
    /// Begin as a new producer: the broker has forgotten this one, or another one took its place.
    Producer,
    /// Look where the log begins and ends.
    Offset,
}

/// A broker said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error code.
    pub code: Code,
    said: Option<String>,
}

impl Refusal {
    /// Looks at an error code.
    ///
    /// # Errors
    /// What it says, where it is not 0.
    pub fn check(code: i16) -> Result<(), Self> {
        Self::check_with(code, None)
    }

    /// Looks at an error code that comes with the broker's own words.
    ///
    /// # Errors
    /// What it says, where it is not 0.
    pub fn check_with(code: i16, said: Option<&StrBytes>) -> Result<(), Self> {
        let Some(code) = Code::try_from_code(code) else { return Ok(()) };
        // What a broker says goes into logs and onto terminals.
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let said = said.map(|said| said.chars().take(SAID_CHARS_MAX).map(plain).collect::<String>());
        Err(Self { code, said: said.filter(|said| !said.is_empty()) })
    }

    /// A topic does not have a partition.
    pub(crate) fn unknown_partition() -> Self {
        Self { code: Code::UnknownTopicOrPartition, said: None }
    }

    /// Nobody leads a partition.
    pub(crate) fn no_leader() -> Self {
        Self { code: Code::LeaderNotAvailable, said: None }
    }

    /// What helps.
    pub fn cure(&self) -> Cure {
        match self.code {
            Code::NotLeaderOrFollower
            | Code::LeaderNotAvailable
            | Code::UnknownTopicOrPartition
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::ListenerNotFound
            | Code::ReplicaNotAvailable
            | Code::KafkaStorageError
            | Code::NetworkException
            | Code::NotController
            | Code::BrokerNotAvailable
            | Code::StaleControllerEpoch => Cure::Metadata,
            Code::NotCoordinator | Code::CoordinatorNotAvailable => Cure::Coordinator,
            Code::UnknownMemberId
            | Code::IllegalGeneration
            | Code::RebalanceInProgress
            | Code::MemberIdRequired
            | Code::FencedMemberEpoch
            | Code::StaleMemberEpoch => Cure::Join,
            Code::OutOfOrderSequenceNumber
            | Code::UnknownProducerId
            | Code::InvalidProducerEpoch
            | Code::InvalidProducerIdMapping => Cure::Producer,
            Code::OffsetOutOfRange => Cure::Offset,
            // To Kafka's own client it is no reason to give up either.
            Code::ConcurrentTransactions => Cure::Wait,
            code if code.is_retriable() => Cure::Wait,
            _ => Cure::None,
        }
    }

    /// Can the very same request succeed later, with nothing but [`Cure::Wait`], [`Cure::Metadata`] or
    /// [`Cure::Coordinator`] before it?
    pub fn is_retryable(&self) -> bool {
        matches!(self.cure(), Cure::Wait | Cure::Metadata | Cure::Coordinator)
    }

    /// What is certain of a write that was answered so.
    pub fn outcome(&self) -> Outcome {
        match self.code {
            // Appended by the leader, and perhaps nowhere else.
            Code::NotEnoughReplicasAfterAppend
            | Code::RequestTimedOut
            | Code::NetworkException
            | Code::KafkaStorageError
            | Code::UnknownServerError
            // It was appended before, or so it seems to the broker.
            | Code::DuplicateSequenceNumber
            | Code::Unknown(_) => Outcome::Unknown,
            _ => Outcome::NotStored,
        }
    }

    /// The error, without the topic or the group: whoever asked adds them as context.
    pub fn into_error(self) -> Error {
        let (kind, message, help) = meaning(self.code);
        let mut error = error(kind, message).context("code", &self);
        if let Some(said) = self.said {
            error = error.context("the broker says", said);
        }
        if help.is_empty() { error } else { error.help(help) }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        refusal.into_error()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Code::Unknown(code) => write!(f, "{code}"),
            code => write!(f, "{} {code:?}", code.code()),
        }
    }
}

const MAKE_TOPIC: &str = "make it with `agora topics create` or `kafka-topics --create --topic <name>`, and see that its name is spelt \
                          as in the configuration";
const REPLICAS: &str = "fewer replicas are in sync than `min.insync.replicas` of the topic asks for: look for brokers that are down, \
                        `kafka-topics --describe --under-min-isr-partitions`";
const TOO_LARGE: &str = "raise `max.message.bytes` of the topic (`message.max.bytes` of the brokers), or publish less in one event";

/// The kind of a code, what happened, and what to do.
fn meaning(code: Code) -> (ErrorKind, &'static str, &'static str) {
    use ErrorKind as Kind;
    match code {
        Code::TopicAuthorizationFailed => (
            Kind::Unauthorized,
            "the access rules do not allow this on the topic",
            "give the principal `Describe` and, as it needs, `Read`, `Write`, `Create`, `Alter` or `Delete` on the topic: \
             `kafka-acls --add --allow-principal User:<user> --operation <operation> --topic <topic>`",
        ),
        Code::GroupAuthorizationFailed => (
            Kind::Unauthorized,
            "the access rules do not allow this on the group",
            "give the principal `Read` on the group, and `Describe` to look at it: \
             `kafka-acls --add --allow-principal User:<user> --operation Read --group <group>`",
        ),
        Code::ClusterAuthorizationFailed => (
            Kind::Unauthorized,
            "the access rules do not allow this on the cluster",
            "give the principal `Create` on the topic or the cluster to make topics, `Describe` and `DescribeConfigs` to look \
             at it, and `IdempotentWrite` where the brokers are older than 2.8: \
             `kafka-acls --add --allow-principal User:<user> --operation <operation> --cluster`",
        ),
        Code::TransactionalIdAuthorizationFailed => (
            Kind::Unauthorized,
            "the access rules do not allow this transactional id",
            "give the principal `Write` and `Describe` on it: \
             `kafka-acls --add --allow-principal User:<user> --operation Write --transactional-id <id>`",
        ),
        Code::SaslAuthenticationFailed => (
            Kind::Unauthorized,
            "the broker refused the credentials",
            "check `kafka.user`, `kafka.password_file` and `kafka.sasl`, and on the servers \
             `kafka-configs --describe --entity-type users --entity-name <user>`",
        ),
        Code::IllegalSaslState => (
            Kind::Config,
            "the broker wants no credentials on this port",
            "name the port of a listener SASL_PLAINTEXT or SASL_SSL in `kafka.brokers`, or leave `kafka.user` out",
        ),
        Code::UnsupportedSaslMechanism => (
            Kind::Config,
            "the broker does not know this way to prove who one is",
            "set `kafka.sasl` to one that the broker offers, or add it to its `sasl.enabled.mechanisms`",
        ),
        Code::UnknownTopicOrPartition | Code::UnknownTopicId => {
            (Kind::NotFound, "there is no such topic, or it has no such partition", MAKE_TOPIC)
        }
        Code::TopicAlreadyExists => (Kind::Conflict, "a topic of this name is there already", ""),
        Code::InvalidTopicException => (
            Kind::Config,
            "the brokers do not take this name for a topic",
            "a name has at most 249 of A-Z a-z 0-9 . _ -, and two topics must not differ in dots and underscores alone",
        ),
        Code::InvalidPartitions => (
            Kind::Config,
            "the topic cannot have so many partitions",
            "ask for at least one; a topic that is there can only get more than it has",
        ),
        Code::InvalidReplicationFactor => (
            Kind::Config,
            "the topic cannot have so many replicas",
            "ask for at least one, and for no more than there are brokers",
        ),
        Code::InvalidReplicaAssignment => (Kind::Config, "the replicas cannot be placed so", ""),
        Code::InvalidConfig => {
            (Kind::Config, "a setting is not known to the brokers, or its value is none", "")
        }
        Code::PolicyViolation => (
            Kind::Config,
            "a policy of the brokers does not allow it",
            "ask who runs them for `create.topic.policy.class.name` and `alter.config.policy.class.name`",
        ),
        Code::TopicDeletionDisabled => {
            (Kind::Unsupported, "the brokers delete no topics", "set `delete.topic.enable=true` on them")
        }
        Code::MessageTooLarge | Code::RecordListTooLarge => {
            (Kind::TooLarge, "the brokers take no message of this size", TOO_LARGE)
        }
        Code::NotEnoughReplicas => (Kind::Unreachable, "too few replicas are in sync", REPLICAS),
        Code::NotEnoughReplicasAfterAppend => {
            (Kind::OutcomeUnknown, "too few replicas were in sync after the leader had taken it", REPLICAS)
        }
        Code::RequestTimedOut => (
            Kind::OutcomeUnknown,
            "the brokers were not done with it in time",
            "look for brokers that are down or slow: `kafka-topics --describe --under-replicated-partitions`",
        ),
        Code::KafkaStorageError => {
            (Kind::OutcomeUnknown, "a disk of the broker has failed", "look at the log of the broker")
        }
        Code::NetworkException | Code::UnknownServerError => {
            (Kind::OutcomeUnknown, "something went wrong within the broker", "its log says what")
        }
        Code::DuplicateSequenceNumber => {
            (Kind::OutcomeUnknown, "the broker takes it for something that it has stored already", "")
        }
        Code::LeaderNotAvailable | Code::EligibleLeadersNotAvailable | Code::PreferredLeaderNotAvailable => (
            Kind::Unreachable,
            "the partition has no leader now",
            "look for brokers that are down: `kafka-topics --describe --unavailable-partitions`",
        ),
        Code::NotLeaderOrFollower
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::ReplicaNotAvailable
        | Code::ListenerNotFound
        | Code::OffsetNotAvailable => (Kind::Unreachable, "another broker leads the partition now", ""),
        Code::NotController | Code::StaleControllerEpoch => {
            (Kind::Unreachable, "another broker is the controller now", "")
        }
        Code::NotCoordinator => (Kind::Unreachable, "another broker coordinates this now", ""),
        Code::CoordinatorNotAvailable | Code::CoordinatorLoadInProgress => (
            Kind::Unreachable,
            "nobody coordinates this now",
            "right after a start it passes; else look at the topic `__consumer_offsets`: are its partitions online, and can its \
             replication factor be met?",
        ),
        Code::ThrottlingQuotaExceeded => (
            Kind::Unreachable,
            "a quota of the brokers is used up",
            "wait, or raise the quota: `kafka-configs --describe --entity-type users --entity-type clients`",
        ),
        Code::GroupIdNotFound => (Kind::NotFound, "there is no such group", ""),
        Code::NonEmptyGroup => (
            Kind::Conflict,
            "the group has members",
            "stop them first: what they do not know of cannot be changed under them",
        ),
        Code::GroupSubscribedToTopic => {
            (Kind::Conflict, "members of the group read this topic", "stop them first")
        }
        Code::InconsistentGroupProtocol => (
            Kind::Conflict,
            "the other members of the group share the partitions out in another way",
            "let all of them use `range` or `roundrobin`, and no group name serve two kinds of client",
        ),
        Code::InvalidSessionTimeout => (
            Kind::Config,
            "the brokers do not allow this session timeout",
            "`kafka.session_timeout` must lie between `group.min.session.timeout.ms` (6 s where nobody changed it) and \
             `group.max.session.timeout.ms` of the brokers",
        ),
        Code::GroupMaxSizeReached => {
            (Kind::Conflict, "the group has as many members as the brokers allow", "raise `group.max.size`")
        }
        Code::UnknownMemberId
        | Code::IllegalGeneration
        | Code::FencedMemberEpoch
        | Code::StaleMemberEpoch => (Kind::Conflict, "the group has gone on without this member", ""),
        Code::RebalanceInProgress | Code::MemberIdRequired => {
            (Kind::Conflict, "the group shares its partitions out anew", "")
        }
        Code::FencedInstanceId => (
            Kind::Conflict,
            "another node is the same member of the group",
            "give each node a name of its own",
        ),
        Code::InvalidProducerEpoch | Code::ProducerFenced | Code::TransactionCoordinatorFenced => {
            (Kind::Conflict, "another producer has taken the place of this one", "")
        }
        Code::InvalidTxnState => (Kind::Conflict, "another has ended the transaction", ""),
        Code::ConcurrentTransactions => {
            (Kind::Unreachable, "the transaction before this one is still being ended", "")
        }
        Code::UnstableOffsetCommit => {
            (Kind::Unreachable, "offsets of the group are being committed by a transaction", "")
        }
        Code::InvalidTransactionTimeout => (
            Kind::Config,
            "the brokers let no transaction stay open for so long",
            "raise `transaction.max.timeout.ms` of the brokers",
        ),
        Code::OutOfOrderSequenceNumber | Code::UnknownProducerId | Code::InvalidProducerIdMapping => {
            (Kind::Conflict, "the broker does not know how far this producer was", "")
        }
        Code::OffsetOutOfRange => (Kind::NotFound, "the log does not hold this position (any more)", ""),
        Code::OffsetMetadataTooLarge | Code::InvalidCommitOffsetSize => (
            Kind::TooLarge,
            "the brokers keep no cursor of this size",
            "raise `offset.metadata.max.bytes` of the brokers",
        ),
        Code::UnsupportedVersion => (
            Kind::Unsupported,
            "the broker does not know this version of the request",
            "use Kafka 2.4 or newer, or Redpanda",
        ),
        Code::UnsupportedForMessageFormat => (
            Kind::Unsupported,
            "the topic is kept in a format that is too old",
            "set `message.format.version` of the topic to 0.11 or newer",
        ),
        Code::UnsupportedCompressionType => (
            Kind::Unsupported,
            "the topic's compression is too new for this request",
            "set `compression.type` of the topic to one of gzip, snappy, lz4, zstd or producer",
        ),
        Code::InvalidTimestamp => (
            Kind::Config,
            "the brokers do not take a record of this time",
            "is the clock right? See `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms` of the topic",
        ),
        Code::InvalidRecord => (
            Kind::Config,
            "the brokers do not take this record",
            "a compacted topic (`cleanup.policy=compact`) takes no record without a key",
        ),
        Code::SecurityDisabled => {
            (Kind::Unsupported, "the brokers have no access rules", "set `authorizer.class.name`")
        }
        code if code.is_retriable() => (Kind::Unreachable, "the broker cannot do it now", ""),
        _ => (Kind::Backend, "the broker refused", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: Code) -> Refusal {
        Refusal::check(code.code()).unwrap_err()
    }

    #[test]
    fn no_code_is_no_refusal() {
        assert_eq!(Refusal::check(0), Ok(()));
    }

    #[test]
    fn every_code_has_a_kind_a_cure_and_an_outcome() {
        use ErrorKind as Kind;
        for (code, kind, cure, outcome) in [
            (Code::NotLeaderOrFollower, Kind::Unreachable, Cure::Metadata, Outcome::NotStored),
            (Code::LeaderNotAvailable, Kind::Unreachable, Cure::Metadata, Outcome::NotStored),
            (Code::UnknownTopicOrPartition, Kind::NotFound, Cure::Metadata, Outcome::NotStored),
            (Code::RequestTimedOut, Kind::OutcomeUnknown, Cure::Wait, Outcome::Unknown),
            (Code::NotEnoughReplicas, Kind::Unreachable, Cure::Wait, Outcome::NotStored),
            (Code::NotEnoughReplicasAfterAppend, Kind::OutcomeUnknown, Cure::Wait, Outcome::Unknown),
            (Code::MessageTooLarge, Kind::TooLarge, Cure::None, Outcome::NotStored),
            (Code::TopicAuthorizationFailed, Kind::Unauthorized, Cure::None, Outcome::NotStored),
            (Code::NotCoordinator, Kind::Unreachable, Cure::Coordinator, Outcome::NotStored),
            (Code::CoordinatorLoadInProgress, Kind::Unreachable, Cure::Wait, Outcome::NotStored),
            (Code::UnknownMemberId, Kind::Conflict, Cure::Join, Outcome::NotStored),
            (Code::UnknownProducerId, Kind::Conflict, Cure::Producer, Outcome::NotStored),
            (Code::OffsetOutOfRange, Kind::NotFound, Cure::Offset, Outcome::NotStored),
            (Code::InvalidReplicationFactor, Kind::Config, Cure::None, Outcome::NotStored),
            (Code::Unknown(4711), Kind::Backend, Cure::None, Outcome::Unknown),
        ] {
            let refusal = refusal(code);
            assert_eq!((refusal.cure(), refusal.outcome()), (cure, outcome), "{code:?}");
            assert_eq!(refusal.into_error().kind(), kind, "{code:?}");
        }
    }

    #[test]
    fn an_unknown_outcome_is_told_by_the_kind_too() {
        for code in (-1..200).filter(|code| *code != 0) {
            let refusal = Refusal::check(code).unwrap_err();
            let is_open = refusal.clone().into_error().kind() == ErrorKind::OutcomeUnknown;
            // A code that nobody knows says nothing at all; it is an error of the backend.
            if !matches!(refusal.code, Code::Unknown(_)) {
                assert_eq!(is_open, refusal.outcome() == Outcome::Unknown, "{refusal}");
            }
        }
    }

    #[test]
    fn what_the_broker_says_is_repeated_within_bounds() {
        let said = StrBytes::from_string(format!("no\x1b[31m{}", "x".repeat(1000)));
        let text = Refusal::check_with(44, Some(&said)).unwrap_err().into_error().to_string();
        assert!(text.contains("44 PolicyViolation") && text.contains("no [31m"), "{text}");
        assert!(text.len() < 600 && !text.contains('\x1b'), "{text}");
    }
}
