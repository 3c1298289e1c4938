//! `cargo xtask bench nats|redis`: see the library.
#![forbid(unsafe_code)]

#[tokio::main(worker_threads = 2)]
async fn main() {
    agora_bench::run().await;
}
