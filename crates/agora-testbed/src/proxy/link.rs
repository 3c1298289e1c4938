//! One connection: from the client here, and from here to the server.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::flow::{Flow, Way};
use super::pump::Pump;

/// What every connection shares with the switches.
#[derive(Debug)]
pub(super) struct Switches {
    /// By [`Way`].
    pub(super) flows: [watch::Sender<Flow>; 2],
    /// Bytes that passed since the start, by [`Way`].
    pub(super) passed: [watch::Sender<u64>; 2],
    /// Connections of clients that stand, the half-open ones included.
    pub(super) standing: watch::Sender<usize>,
}

impl Switches {
    pub(super) fn new() -> Self {
        let flow = || watch::Sender::new(Flow::Open);
        Self {
            flows: [flow(), flow()],
            passed: [watch::Sender::new(0), watch::Sender::new(0)],
            standing: watch::Sender::new(0),
        }
    }
}

/// One more while it lives.
pub(super) struct Count(Arc<Switches>);

impl Count {
    pub(super) fn one_more(of: &Arc<Switches>) -> Self {
        of.standing.send_modify(|count| *count += 1);
        Self(of.clone())
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.standing.send_modify(|count| *count -= 1);
    }
}

/// Whether one side of a connection may go on: until a word is sent or its sender is gone. Dropped when the side is
/// closed, which its sender can wait for.
pub(super) type Leave = watch::Receiver<()>;

/// Serves one client until its connection has ended.
pub(super) async fn serve(
    mut client: TcpStream,
    server_port: u16,
    (count, mut leave): (Count, Leave),
    mut server_leave: Leave,
) {
    let ended = async {
        let mut server = TcpStream::connect(("127.0.0.1", server_port)).await?;
        let passed = tokio::select! {
            biased;
            _ = server_leave.changed() => Ok(Passed::HalfOpen),
            passed = pass(&mut client, &mut server, &count.0) => passed.map(|()| Passed::Ended),
        };
        if passed.is_err() {
            server.set_zero_linger()?;
        }
        drop(server);
        drop(server_leave);
        passed
    };
    let goes_on = tokio::select! {
        biased;
        _ = leave.changed() => None,
        passed = ended => passed.ok(),
    };
    match goes_on {
        Some(Passed::Ended) => {}
        None => drop(client.set_zero_linger()),
        Some(Passed::HalfOpen) => {
            // The client goes on talking to nobody.
            let _ = leave.changed().await;
            let _ = client.set_zero_linger();
        }
    }
    drop(client);
    drop((count, leave));
}

enum Passed {
    Ended,
    HalfOpen,
}

async fn pass(client: &mut TcpStream, server: &mut TcpStream, switches: &Switches) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let flow = |way: Way| switches.flows[way as usize].subscribe();
    let passed = |way: Way| &switches.passed[way as usize];
    let (up, down) = (Way::ToServer, Way::ToClient);
    let up = Pump { flow: flow(up), passed: passed(up), from: from_client, to: to_server };
    let down = Pump { flow: flow(down), passed: passed(down), from: from_server, to: to_client };
    tokio::try_join!(up.run(), down.run()).map(drop)
}
