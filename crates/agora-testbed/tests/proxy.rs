//! Each switch of the proxy does to a connection what it says.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::ErrorKind;
use std::time::Duration;

use agora_testbed::{Flow, Proxy, Way};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

/// Long enough for anything that is to happen; what is not to happen is proven by what comes after it.
const SOON: Duration = Duration::from_secs(10);

struct Pair {
    proxy: Proxy,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

impl Pair {
    async fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let proxy = Proxy::to(listener.local_addr().unwrap().port()).await.unwrap();
        let client = connect(&proxy).await;
        let (server, _) = listener.accept().await.unwrap();
        Self { proxy, listener, client, server }
    }
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap()
}

async fn hear(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut heard = vec![0; bytes];
    timeout(SOON, stream.read_exact(&mut heard)).await.unwrap().unwrap();
    heard
}

/// What one read finds.
async fn next(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut heard = vec![0; 100_000];
    let read = timeout(SOON, stream.read(&mut heard)).await.unwrap()?;
    heard.truncate(read);
    Ok(heard)
}

async fn is_reset(stream: &mut TcpStream) -> bool {
    next(stream).await.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn open_it_passes_both_ways_and_the_end_as_well() {
    let mut pair = Pair::new().await;
    let long = vec![7; 1_000_000];
    let (told, heard) = tokio::join!(pair.client.write_all(&long), hear(&mut pair.server, long.len()));
    told.unwrap();
    assert!(heard == long);
    pair.server.write_all(b"back").await.unwrap();
    assert_eq!(hear(&mut pair.client, 4).await, b"back");
    assert_eq!((pair.proxy.passed(Way::ToServer), pair.proxy.passed(Way::ToClient)), (1_000_000, 4));
    pair.client.shutdown().await.unwrap();
    assert_eq!(next(&mut pair.server).await.unwrap(), b"");
    pair.server.write_all(b"last").await.unwrap();
    assert_eq!(hear(&mut pair.client, 4).await, b"last");
}

#[tokio::test]
async fn a_cut_holds_what_is_sent_and_a_heal_lets_it_pass() {
    let mut pair = Pair::new().await;
    pair.proxy.cut();
    pair.client.write_all(b"held").await.unwrap();
    let mut second = connect(&pair.proxy).await;
    second.write_all(b"too").await.unwrap();
    pair.proxy.connected(2).await;
    let (mut second_server, _) = pair.listener.accept().await.unwrap();
    assert_eq!(pair.proxy.passed(Way::ToServer), 0);
    pair.proxy.heal();
    assert_eq!(hear(&mut pair.server, 4).await, b"held");
    assert_eq!(hear(&mut second_server, 3).await, b"too");
}

#[tokio::test]
async fn a_cut_of_one_way_leaves_the_other() {
    let mut pair = Pair::new().await;
    pair.proxy.set(Way::ToClient, Flow::Held);
    pair.client.write_all(b"ask").await.unwrap();
    assert_eq!(hear(&mut pair.server, 3).await, b"ask");
    pair.server.write_all(b"answer").await.unwrap();
    pair.client.write_all(b"again").await.unwrap();
    assert_eq!(hear(&mut pair.server, 5).await, b"again");
    assert_eq!(pair.proxy.passed(Way::ToClient), 0);
    pair.proxy.reset().await;
    assert!(is_reset(&mut pair.client).await, "the answer was never heard");
}

#[tokio::test]
async fn a_sender_who_is_held_is_held_back_in_the_end() {
    let mut pair = Pair::new().await;
    pair.proxy.cut();
    let endless = vec![0; 64 << 20];
    let written = timeout(Duration::from_millis(300), pair.client.write_all(&endless)).await;
    assert!(written.is_err(), "64 MiB fit into the buffers of a cut connection");
}

#[tokio::test]
async fn swallowed_bytes_are_gone_and_their_connection_is_reset_afterwards() {
    let mut pair = Pair::new().await;
    pair.proxy.set(Way::ToServer, Flow::Swallowed);
    // More than any buffer takes: somebody reads it.
    pair.client.write_all(&vec![0; 64 << 20]).await.unwrap();
    pair.server.write_all(b"unheard of").await.unwrap();
    assert_eq!(hear(&mut pair.client, 10).await, b"unheard of");
    pair.proxy.heal();
    assert!(is_reset(&mut pair.server).await);
    assert_eq!(pair.proxy.passed(Way::ToServer), 0);
}

#[tokio::test]
async fn late_bytes_come_late_and_in_order() {
    let mut pair = Pair::new().await;
    let (start, late) = (Instant::now(), Duration::from_millis(50));
    pair.proxy.set(Way::ToServer, Flow::Late(late));
    for byte in 0..100_u8 {
        pair.client.write_all(&[byte]).await.unwrap();
    }
    assert_eq!(hear(&mut pair.server, 100).await, (0..100).collect::<Vec<u8>>());
    assert!(start.elapsed() >= late);
}

#[tokio::test]
async fn a_slow_line_takes_the_time_of_its_rate() {
    let mut pair = Pair::new().await;
    pair.proxy.set(Way::ToServer, Flow::Slow(100_000));
    let start = Instant::now();
    pair.client.write_all(&[1; 20_000]).await.unwrap();
    hear(&mut pair.server, 20_000).await;
    assert!(start.elapsed() >= Duration::from_millis(199), "{:?}", start.elapsed());
}

#[tokio::test]
async fn sliced_writes_arrive_in_slices() {
    let mut pair = Pair::new().await;
    pair.proxy.set(Way::ToServer, Flow::Sliced(3));
    pair.client.write_all(b"0123456789").await.unwrap();
    let first = next(&mut pair.server).await.unwrap();
    assert!(!first.is_empty() && first.len() < 10, "{first:?}");
    let rest = hear(&mut pair.server, 10 - first.len()).await;
    assert_eq!([first, rest].concat(), b"0123456789");
}

#[tokio::test]
async fn a_reset_comes_after_just_so_many_bytes() {
    let mut pair = Pair::new().await;
    pair.client.write_all(b"before").await.unwrap();
    assert_eq!(hear(&mut pair.server, 6).await, b"before");
    pair.proxy.set(Way::ToServer, Flow::ResetAfter(4));
    pair.client.write_all(b"0123456789").await.unwrap();
    pair.proxy.passes(Way::ToServer, 10).await;
    assert!(is_reset(&mut pair.client).await);
    assert_eq!(pair.proxy.passed(Way::ToServer), 10);
}

#[tokio::test]
async fn a_reset_reaches_both_sides_and_new_connections_stand() {
    let mut pair = Pair::new().await;
    pair.proxy.reset().await;
    assert_eq!(pair.proxy.connections(), 0);
    assert!(is_reset(&mut pair.client).await);
    assert!(next(&mut pair.server).await.map_or(true, |heard| heard.is_empty()));
    let mut client = connect(&pair.proxy).await;
    client.write_all(b"new").await.unwrap();
    let (mut server, _) = pair.listener.accept().await.unwrap();
    assert_eq!(hear(&mut server, 3).await, b"new");
}

#[tokio::test]
async fn half_open_the_server_has_ended_and_the_client_does_not_know() {
    let mut pair = Pair::new().await;
    pair.proxy.half_open().await;
    assert!(next(&mut pair.server).await.map_or(true, |heard| heard.is_empty()));
    pair.client.write_all(b"anybody?").await.unwrap();
    assert_eq!(pair.proxy.connections(), 1);
    let error = pair.client.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "nothing was heard, not even an end");
    pair.proxy.reset().await;
    assert!(is_reset(&mut pair.client).await);
}

#[tokio::test]
async fn it_refuses_and_accepts_again_on_the_same_port_and_what_stands_goes_on() {
    let mut pair = Pair::new().await;
    pair.proxy.refuse().await;
    let refused = TcpStream::connect(("127.0.0.1", pair.proxy.port())).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    pair.client.write_all(b"still here").await.unwrap();
    assert_eq!(hear(&mut pair.server, 10).await, b"still here");
    pair.proxy.accept().await.unwrap();
    connect(&pair.proxy).await;
    pair.listener.accept().await.unwrap();
}

#[tokio::test]
async fn while_the_server_is_down_who_comes_is_reset() {
    let pair = Pair::new().await;
    drop(pair.listener);
    let mut client = connect(&pair.proxy).await;
    assert!(is_reset(&mut client).await);
}

#[tokio::test]
async fn dropped_it_closes_everything() {
    let mut pair = Pair::new().await;
    let port = pair.proxy.port();
    drop(pair.proxy);
    assert!(is_reset(&mut pair.client).await);
    let mut connected = TcpStream::connect(("127.0.0.1", port)).await;
    while connected.is_ok() {
        connected = TcpStream::connect(("127.0.0.1", port)).await;
    }
    assert_eq!(connected.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
