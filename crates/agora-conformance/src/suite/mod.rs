//! The suite that every backend must pass, as a library: for the backends of this house and for those of others.
//!
//! A [`Subject`] connects nodes of a backend. [`run`] plays every [`Case`] on it and gives a [`Report`]. A case that is
//! about a capability which the backend has not plays its negative form: it shows that the backend refuses with
//! `Unsupported` and says what to use instead. Nothing is skipped: each case is *passed*, *unsupported* (and shown to
//! be), *not possible here* (with the reason), or *failed*.
//!
//! ```
//! use agora_conformance::suite::{self, MemorySubject, Selection};
//! use std::sync::Arc;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), suite::UnknownCase> {
//! let selection = Selection::matching("cursors.")?;
//! let report = suite::run(Arc::new(MemorySubject::with_server()), &selection).await;
//! assert!(report.is_success(), "{report}");
//! # Ok(()) }
//! ```
//!
//! `docs/writing-a-backend.md` leads from an empty crate to a passing suite.

mod case;
mod cases;
pub mod cli;
mod junit;
mod member;
mod memory;
mod negative;
mod node;
mod report;
mod run;
mod select;
mod stage;
mod subject;
mod ticks;

pub(crate) use case::ensure;
pub use case::{Case, Fault, Need, Verdict};
pub use cases::all as cases;
pub use memory::MemorySubject;
pub use report::{Entry, Outcome, Report, Totals};
pub use run::run;
pub use select::{Selection, UnknownCase};
pub use stage::Stage;
pub use subject::{Ability, Cannot, Carries, Subject};
