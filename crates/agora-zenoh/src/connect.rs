//! Opening a session: the checks before it, and the bound on its time.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use agora_core::{Error, ErrorKind, Result};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;
use tokio::time::timeout;
use zenoh::internal::runtime::{DynamicRuntime, Runtime, RuntimeBuilder, ZRuntime};
use zenoh::{Session, Wait};

use crate::config::ZenohConfig;
use crate::error::error;
use crate::handles::Handles;

/// A session, and the runtime below it, which can do what a session cannot: dial a peer, close one connection, and
/// close all in a given time.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) session: Session,
    pub(crate) runtime: Runtime,
    pub(crate) handles: Arc<Handles>,
}

impl Network {
    /// What `zenoh::open` does, keeping hold of the runtime. Blocks.
    fn open(config: zenoh::Config) -> zenoh::Result<Self> {
        let subscribers = config.aggregation().subscribers().clone();
        let publishers = config.aggregation().publishers().clone();
        ZRuntime::Application.block_in_place(async {
            let mut runtime = RuntimeBuilder::new(config).build().await?;
            let handles = Arc::new(Handles::default());
            DynamicRuntime::from(runtime.clone()).new_handler(Arc::clone(&handles) as _);
            let session = zenoh::session::init(runtime.clone().into())
                .aggregated_subscribers(subscribers)
                .aggregated_publishers(publishers)
                .await?;
            match runtime.start().await {
                Ok(()) => Ok(Self { session, runtime, handles }),
                Err(cause) => {
                    drop(runtime.close().timeout(CLOSE_WAIT).await);
                    Err(cause)
                }
            }
        })
    }

    /// Ends the session and every connection. Blocks, for at most about `wait`.
    pub(crate) fn close(&self, wait: Duration) -> zenoh::Result<()> {
        let session = self.session.close().timeout(wait).wait();
        let runtime = self.runtime.close().timeout(wait).wait();
        session.and(runtime)
    }
}

/// How long closing may take where nobody waits for it.
pub(crate) const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// Opens a session within `wait`.
pub(crate) async fn open(config: &ZenohConfig, wait: Duration) -> Result<Network> {
    check_runtime()?;
    let config = config.clone();
    let (done, opened) = oneshot::channel();
    // Opening blocks: it connects, and then listens for a moment to who is there.
    thread::Builder::new()
        .name("agora-zenoh-open".into())
        .spawn(move || {
            let network = config.native().and_then(|native| Network::open(native).map_err(failed));
            if let Err(Ok(network)) = done.send(network) {
                // Nobody waits any more.
                drop(network.close(CLOSE_WAIT));
            }
        })
        .map_err(|cause| error(ErrorKind::Runtime, "cannot start a thread").source(cause))?;
    match timeout(wait, opened).await {
        Ok(Ok(network)) => network,
        Ok(Err(_)) => Err(error(ErrorKind::Backend, "zenoh panicked while it opened a session")),
        Err(_) => Err(error(ErrorKind::Unreachable, "nobody answered in time")
            .context("waited", format!("{wait:?}"))
            .help("check the endpoints, and that this node may reach their ports")),
    }
}

/// Zenoh panics in a runtime of one thread.
fn check_runtime() -> Result<()> {
    let help = "use #[tokio::main(flavor = \"multi_thread\")]; one worker thread is enough";
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::CurrentThread) => {
            Err(error(ErrorKind::Runtime, "zenoh cannot run in a current-thread tokio runtime").help(help))
        }
        Ok(_) => Ok(()),
        Err(_) => Err(error(ErrorKind::Runtime, "not called from a tokio runtime").help(help)),
    }
}

/// Zenoh's errors are texts; these are the ones that an operator can do something about.
fn failed(cause: zenoh::Error) -> Error {
    let text = cause.to_string();
    let has = |part: &str| text.contains(part);
    if has("Unable to connect") || has("timeout") || has("Unable to find") {
        error(ErrorKind::Unreachable, "nobody could be reached")
            .help("check the endpoints, and that a router or peer runs there")
            .source(text)
    } else if has("listener") || has("bind") || has("Address already in use") {
        error(ErrorKind::Config, "cannot listen")
            .help("`listen` must name an address of this machine and a free port; port 0 takes any")
            .source(text)
    } else {
        error(ErrorKind::Backend, "zenoh could not open a session").source(text)
    }
}
