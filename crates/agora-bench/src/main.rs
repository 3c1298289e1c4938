//! `cargo xtask bench kafka|nats|redis`: see the library.
#![forbid(unsafe_code)]

#[tokio::main(worker_threads = 2)]
async fn main() {
    agora_bench::run().await;
}
