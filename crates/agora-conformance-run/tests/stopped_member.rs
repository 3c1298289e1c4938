//! A member of a group is stopped (SIGSTOP) for longer than its lease, and comes back as if nothing had been.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use agora_conformance::faults::{self, Act, GROUP, LEASE, On, Rules, Run, World};
use agora_conformance::suite::{Fault, Verdict};
use agora_conformance_run::faults::{KafkaWorld, NatsWorld, RedisWorld};
use agora_core::id::{Incarnation, NodeId, SourceId};
use agora_testbed::Program;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::mpsc;

/// Killed with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn play(world: Arc<dyn World>, backend: &'static str, address: String) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
    let case =
        |run| -> agora_core::transport::BoxFuture<Verdict> { Box::pin(stopped(run, backend, address)) };
    let played = faults::play(world, "stopped_member", On::Each, case, &directory).await;
    played.unwrap_or_else(|why| panic!("{why}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_nats_its_work_goes_to_the_others_and_its_late_words_are_void() {
    let world = Arc::new(NatsWorld::start().await.unwrap());
    let address = world.address().await;
    play(world, "nats", address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_its_work_goes_to_the_others_and_its_late_words_are_void() {
    let world = Arc::new(RedisWorld::start(Program::Redis).await.unwrap());
    let address = world.address().await;
    play(world, "redis", address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_kafka_its_lanes_go_to_the_others_and_its_late_words_are_void() {
    let world = Arc::new(KafkaWorld::start().await.unwrap());
    let address = world.address().await;
    play(world, "kafka", address).await;
}

async fn stopped(run: Run, backend: &str, address: String) -> Verdict {
    let (a, b) = run.pair().await?;
    a.publish_all(20).await?;
    let lease = LEASE.as_millis().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_member"))
        .args([backend, &address, run.cluster().as_str(), run.topic().as_str(), GROUP, &lease])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Fault::Broken(format!("no process: {error}")))?;
    let (tell, mut told) = mpsc::channel(1000);
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let child = Killed(child);
    let pid = Pid::from_raw(i32::try_from(child.0.id()).unwrap());
    let (elsewhere, history) = (run.member_elsewhere(), run.clone());
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            history.remark(format!("the other process: {line}"));
            if let Some(event) = line.strip_prefix("done ") {
                let numbers: Vec<u64> = event.split(' ').map(|word| word.parse().unwrap()).collect();
                let (node, incarnation) = (NodeId(numbers[1]), Incarnation(numbers[2]));
                let lane = u32::try_from(numbers[3]).unwrap();
                elsewhere.has_done(SourceId { node, incarnation }, lane, numbers[0]);
            }
            let _ = tell.blocking_send(line);
        }
    });
    // In the middle of its third event, with more of them read ahead.
    for _ in 0..5 {
        run.soon("the other process works", told.recv()).await?;
    }
    run.remark("the other process stops itself");
    let member = b.join(Arc::new(|_, _| Act::Done)).await?;
    member.has_begun(&run, 18).await?;
    run.remark("the other process goes on");
    kill(pid, Signal::SIGCONT).unwrap();
    let publishing = a.publish_on(Duration::from_millis(20))?;
    // It ends what it had begun, and is a good member again.
    let is_done = async { while told.recv().await.is_some_and(|line| !line.starts_with("done")) {} };
    run.soon("the other process ends what it had begun", is_done).await?;
    let begins = async { while told.recv().await.is_some_and(|line| !line.starts_with("begin")) {} };
    run.soon("the other process begins something new", begins).await?;
    drop(publishing);
    run.finish(Rules { handled_again: true, ..Rules::default() }).await
}
