//! What the author of a backend gives to the suite.

use std::time::Duration;

use agora_core::Result;
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::transport::Transport;
use async_trait::async_trait;

/// What a message of this backend carries beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carries {
    /// The backend's own key of a message.
    pub keys: bool,
    /// The backend's own headers.
    pub headers: bool,
    /// The backend's own time of a record of a log.
    pub time: bool,
}

impl Carries {
    /// All of it.
    pub const ALL: Self = Self { keys: true, headers: true, time: true };
    /// The bytes alone.
    pub const NOTHING: Self = Self { keys: false, headers: false, time: false };
}

/// What an environment can or cannot be made to do.
pub type Ability = std::result::Result<(), Cannot>;

/// Why something cannot be done here: a sentence for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cannot(pub String);

fn cannot(what: &str) -> Ability {
    Err(Cannot(format!("this subject cannot {what}")))
}

/// A backend and an environment to judge it in.
///
/// Only the first three methods must be written. The others are what an environment may be able to do besides; a case
/// that needs what it cannot is reported as *not possible here*, and never as passed.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// What the report calls it.
    fn name(&self) -> &str;

    /// Connects one node of a cluster. All nodes that are connected here can reach each other.
    ///
    /// # Errors
    /// Any: the case fails.
    async fn connect(&self, cluster: &ClusterName, node: &NodeName) -> Result<Box<dyn Transport>>;

    /// The least number of cases that must pass. Fewer is a failure, even where none failed: cases must not vanish
    /// unseen. Fixed by the author, and raised with the suite.
    fn minimum(&self) -> usize;

    /// What messages carry beside their bytes.
    fn carries(&self) -> Carries {
        Carries::ALL
    }

    /// How long the suite waits for what is to come. Default: 10 s.
    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// How long the suite waits to see that nothing comes, where no later message can show it. Default: 300 ms.
    fn quiet(&self) -> Duration {
        Duration::from_millis(300)
    }

    /// A password or token that the backend was given, which must never be seen in an error or a printout.
    fn secret(&self) -> Option<&str> {
        None
    }

    /// Cuts a node off from everything else.
    ///
    /// # Errors
    /// [`Cannot`], by default.
    async fn cut(&self, node: &NodeName) -> Ability {
        let _ = node;
        cannot("cut a node off from the others")
    }

    /// Ends what [`cut`](Subject::cut) began.
    ///
    /// # Errors
    /// [`Cannot`], by default.
    async fn heal(&self, node: &NodeName) -> Ability {
        let _ = node;
        cannot("heal a cut")
    }

    /// Stops the server and starts it again, with what it has stored.
    ///
    /// # Errors
    /// [`Cannot`], by default.
    async fn restart_server(&self) -> Ability {
        cannot("restart a server")
    }

    /// Gives a log so many lanes, which has fewer.
    ///
    /// # Errors
    /// [`Cannot`], by default.
    async fn grow(&self, cluster: &ClusterName, topic: &TopicName, lanes: u32) -> Ability {
        let _ = (cluster, topic, lanes);
        cannot("give a log more lanes")
    }

    /// Makes retention drop all records of a log but the last `keep`.
    ///
    /// # Errors
    /// [`Cannot`], by default.
    async fn trim(&self, cluster: &ClusterName, topic: &TopicName, keep: usize) -> Ability {
        let _ = (cluster, topic, keep);
        cannot("make retention drop records at will")
    }
}
