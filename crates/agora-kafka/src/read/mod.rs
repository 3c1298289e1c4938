//! Reading: what the partitions of a log hold, batch by batch, and the hub that fetches it for all lanes.
//!
//! For whoever needs records with their offsets, as groups do:
//!
//! ```text
//! let hub = Hub::new(&brokers);                              // one for each transport; its task ends with the brokers
//! let bell = Arc::new(Notify::new());                        // one for all lanes of a member, or one for each
//! let mut lane = hub.lane("topic on the server", 3, offset, &bell);
//! lane.recv(records_max, &mut into).await?;                  // waits for this lane alone, is cancel safe
//! if !lane.take(records_max, &mut into)? {                   // never waits, for members with many lanes:
//!     bell.notified().await;                                 // rings when there is something to take of any of them
//! }
//! lane.position();                                           // what to commit when all that was told is done
//! drop(lane);                                                // revoked
//! ```
//!
//! What comes is [`FromLane`]. A lane that is not asked is paused: it reads ahead as far as [`READ_AHEAD_BYTES`] and then
//! costs its broker nothing. It follows its leader by itself, and says [`FromLane::Moved`] so that a reader who must know
//! whether the log is still the same one can find out; a member of a group need not. After [`FromLane::Rewound`] nothing
//! comes: look at [`offsets::bounds`] and open it anew.
//!
//! Two connections to each broker serve all lanes, however many: `desk` says how.

mod batch;
mod codec;
mod desk;
mod hub;
mod lane;
mod last;
mod live;
mod log;
pub mod offsets;
mod opened;
mod record;
mod slot;
mod trip;

pub use batch::{Batch, Header, Step, Walk, Why};
pub use codec::Codec;
pub use hub::Hub;
pub use lane::{FromLane, Lane};
pub use live::LiveInbox;
pub use log::LogReader;
pub use opened::{Aborted, Fetched, Opened, Piece};
pub use record::{BATCH_BYTES_MAX, HEADERS_MAX, Record, Records};
pub use slot::READ_AHEAD_BYTES;
