//! The connection against a peer that answers as it likes.

use std::time::Duration;

use agora_core::{ErrorKind, Result};
use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{
    ApiVersionsResponse, FetchRequest, HeartbeatRequest, HeartbeatResponse, ListGroupsRequest,
    ListGroupsResponse,
};
use kafka_protocol::protocol::Encodable;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use super::{Connection, IN_FLIGHT_MAX, RESPONSE_BYTES_MAX};

/// Longer than anything takes that happens at all; the clock of these tests jumps.
const PATIENCE: Duration = Duration::from_secs(30);

fn by() -> Instant {
    Instant::now() + PATIENCE
}

/// The other side of a connection.
struct Peer(DuplexStream);

impl Peer {
    /// The next request: its key, its correlation id.
    async fn heard(&mut self) -> (i16, i32) {
        let length = self.0.read_i32().await.unwrap();
        let key = self.0.read_i16().await.unwrap();
        let _version = self.0.read_i16().await.unwrap();
        let correlation = self.0.read_i32().await.unwrap();
        let mut rest = vec![0; usize::try_from(length).unwrap() - 8];
        self.0.read_exact(&mut rest).await.unwrap();
        (key, correlation)
    }

    async fn says(&mut self, correlation: i32, body: &[u8]) {
        let mut frame = BytesMut::new();
        frame.put_i32(i32::try_from(4 + body.len()).unwrap());
        frame.put_i32(correlation);
        frame.put_slice(body);
        self.0.write_all(&frame).await.unwrap();
    }

    /// Says hello: Heartbeat and ListGroups in their first versions, and Fetch.
    async fn hello(&mut self) {
        let (key, correlation) = self.heard().await;
        assert_eq!(key, 18);
        let api = |key, max| ApiVersion::default().with_api_key(key).with_max_version(max);
        let answer = ApiVersionsResponse::default().with_api_keys(vec![api(1, 12), api(12, 1), api(16, 1)]);
        let mut body = BytesMut::new();
        answer.encode(&mut body, 3).unwrap();
        self.says(correlation, &body).await;
    }

    async fn answers(&mut self, correlation: i32, throttle_ms: i32) {
        let mut body = BytesMut::new();
        HeartbeatResponse::default().with_throttle_time_ms(throttle_ms).encode(&mut body, 1).unwrap();
        self.says(correlation, &body).await;
    }
}

async fn open(stream: DuplexStream) -> Result<Connection> {
    Connection::open(stream, "peer:9092".into(), None, by()).await
}

async fn connected() -> (Connection, Peer) {
    let (ours, theirs) = duplex(1 << 20);
    let mut peer = Peer(theirs);
    let (connection, ()) = tokio::join!(open(ours), peer.hello());
    (connection.unwrap(), peer)
}

/// Asks anything.
async fn beat(connection: &Connection, by: Instant) -> Result<HeartbeatResponse> {
    connection.call(&HeartbeatRequest::default(), by).await
}

#[tokio::test(start_paused = true)]
async fn answers_go_to_the_requests_in_their_order() {
    let (connection, mut peer) = connected().await;
    let list = ListGroupsRequest::default();
    let both = async { tokio::join!(beat(&connection, by()), connection.call(&list, by()),) };
    let peer = async {
        let (first, second) = (peer.heard().await, peer.heard().await);
        assert_eq!((first.0, second.0), (12, 16), "both are sent before either is answered");
        peer.answers(first.1, 0).await;
        let mut body = BytesMut::new();
        ListGroupsResponse::default().with_error_code(15).encode(&mut body, 1).unwrap();
        peer.says(second.1, &body).await;
    };
    let ((first, second), ()) = tokio::join!(both, peer);
    assert_eq!(first.unwrap().error_code, 0);
    assert_eq!(second.unwrap().error_code, 15);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_await_an_answer() {
    let (connection, mut peer) = connected().await;
    let calls: Vec<_> = (0..IN_FLIGHT_MAX + 2)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { beat(&connection, by()).await })
        })
        .collect();
    let mut heard = Vec::new();
    for _ in 0..IN_FLIGHT_MAX {
        heard.push(peer.heard().await.1);
    }
    let more = tokio::time::timeout(Duration::from_secs(1), peer.heard()).await;
    assert!(more.is_err(), "one more was sent");
    for correlation in heard {
        peer.answers(correlation, 0).await;
    }
    for _ in 0..2 {
        let (_, correlation) = peer.heard().await;
        peer.answers(correlation, 0).await;
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_wants_a_pause_gets_one() {
    let (connection, mut peer) = connected().await;
    let peer = async {
        let (_, correlation) = peer.heard().await;
        peer.answers(correlation, 5000).await;
        let told = Instant::now();
        let (_, correlation) = peer.heard().await;
        assert!(told.elapsed() >= Duration::from_secs(5), "{:?}", told.elapsed());
        peer.answers(correlation, 0).await;
    };
    let calls = async {
        beat(&connection, by()).await.unwrap();
        // Whose deadline ends before the pause does is told that nothing was sent.
        let error = beat(&connection, Instant::now() + Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        beat(&connection, by()).await.unwrap();
    };
    tokio::join!(peer, calls);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_ends_the_connection() {
    let (connection, mut peer) = connected().await;
    let soon = Instant::now() + Duration::from_secs(1);
    let (first, second) = tokio::join!(beat(&connection, soon), beat(&connection, by()));
    let first = first.unwrap_err();
    assert!(first.to_string().contains("no answer came in time"), "{first}");
    for error in [first, second.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    }
    let after = beat(&connection, by()).await.unwrap_err();
    assert_eq!(after.kind(), ErrorKind::Unreachable, "{after}");
    let _ = (peer.heard().await, peer.heard().await);
    assert_eq!(peer.0.read(&mut [0]).await.unwrap(), 0, "it is closed");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_falls_silent_over_a_fetch_is_given_up_before_the_deadline_of_the_answer() {
    let (connection, mut peer) = connected().await;
    let asked = Duration::from_millis(500);
    let fetch = FetchRequest::default().with_max_wait_ms(500);
    let began = Instant::now();
    let peer = async {
        let (_, correlation) = peer.heard().await;
        // An answer that comes bit by bit is none that does not come.
        let head = [&100_i32.to_be_bytes()[..], &correlation.to_be_bytes()].concat();
        for byte in head {
            tokio::time::sleep(Duration::from_secs(2)).await;
            peer.0.write_all(&[byte]).await.unwrap();
        }
        peer
    };
    let (answer, _peer) = tokio::join!(connection.call(&fetch, by()), peer);
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(began.elapsed(), Duration::from_secs(2 * 8 + 3) + asked);
    // What may wait for others has until its deadline.
    let (connection, _peer) = connected().await;
    let began = Instant::now();
    beat(&connection, by()).await.unwrap_err();
    assert_eq!(began.elapsed(), PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_leaves_the_others_their_answers() {
    let (connection, mut peer) = connected().await;
    {
        let mut gone = Box::pin(beat(&connection, by()));
        tokio::select! {
            biased;
            _ = &mut gone => panic!("nobody has answered"),
            heard = peer.heard() => assert_eq!(heard.1, 2),
        }
    }
    let answering = async {
        let (_, correlation) = peer.heard().await;
        peer.answers(2, 0).await;
        peer.answers(correlation, 0).await;
    };
    let (answer, ()) = tokio::join!(beat(&connection, by()), answering);
    answer.unwrap();
}

#[tokio::test(start_paused = true)]
async fn hostile_bytes_end_the_connection_and_nothing_else() {
    let too_long = i32::try_from(RESPONSE_BYTES_MAX + 1).unwrap();
    let alert = [0x15, 3, 3, 0, 2, 2, 70];
    let frame = |length: i32, rest: &[u8]| [&length.to_be_bytes()[..], rest].concat();
    for (what, bytes) in [
        ("an answer over the limit", frame(too_long, &[])),
        ("a negative length", frame(-1, &[0; 8])),
        ("no room for a correlation id", frame(3, &[0; 3])),
        ("an answer to nothing", frame(4, &9999_i32.to_be_bytes())),
        ("an answer cut short", frame(5, &[0, 0, 0, 2, 0])),
        ("an alert of TLS", alert.to_vec()),
        ("a web page", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
    ] {
        let (connection, mut peer) = connected().await;
        let hostile = async {
            peer.heard().await;
            peer.0.write_all(&bytes).await.unwrap();
        };
        let (answer, ()) = tokio::join!(beat(&connection, by()), hostile);
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::OutcomeUnknown, "{what}");
        assert!(connection.is_over(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_two_billion_ends_the_connection_and_not_the_process() {
    let (connection, mut peer) = connected().await;
    let hostile = async {
        let (_, correlation) = peer.heard().await;
        // Throttle time, error code, and so many groups.
        let body = [&[0; 6][..], &i32::MAX.to_be_bytes()].concat();
        peer.says(correlation, &body).await;
    };
    let list = ListGroupsRequest::default();
    let (answer, ()) = tokio::join!(connection.call(&list, by()), hostile);
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    assert!(error.to_string().contains("more than there is"), "{error}");
    assert!(connection.is_over());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_given_up_at_the_deadline() {
    let (ours, _silent) = duplex(1 << 10);
    let began = Instant::now();
    let error = open(ours).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert_eq!(began.elapsed(), PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_uses_is_closed() {
    let (connection, mut peer) = connected().await;
    let why = connection.over().await;
    assert!(why.to_string().contains("not used for long"), "{why}");
    assert_eq!(peer.0.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_is_closed_when_the_last_user_has_gone_and_every_answer_has_come() {
    let (connection, mut peer) = connected().await;
    let call = tokio::spawn({
        let connection = connection.clone();
        async move { beat(&connection, by()).await }
    });
    let (_, correlation) = peer.heard().await;
    drop(connection);
    peer.answers(correlation, 0).await;
    call.await.unwrap().unwrap();
    assert_eq!(peer.0.read(&mut [0]).await.unwrap(), 0);
}
