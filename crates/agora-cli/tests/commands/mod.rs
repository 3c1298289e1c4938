//! Each command with its options, in a space of the test's own.

mod admin;
mod doctor;
mod group;
mod peek;
mod publish;
mod subscribe;
mod tools;

use agora::memory::{Space, SpaceConfig};
use serde_json::Value;

pub(crate) use crate::support::{Ended, Running, World};

pub(crate) fn space() -> Space {
    Space::new(SpaceConfig::default())
}

/// Runs to the end in this space, which must be exit code 0, and gives the lines of JSON.
pub(crate) async fn json(space: &Space, args: &[&str]) -> Vec<Value> {
    World::over(space).run(&[args, &["--json"]].concat()).await.assert_code(0).json()
}

/// Runs to the end in this space, which must be exit code 0, and gives the lines for people.
pub(crate) async fn lines(space: &Space, args: &[&str]) -> Vec<String> {
    World::over(space).run(args).await.assert_code(0).stdout
}

/// The field of each object that has it.
pub(crate) fn field<'a>(objects: &'a [Value], name: &str) -> Vec<&'a Value> {
    objects.iter().filter_map(|object| object.get(name)).collect()
}

/// What went wrong, as JSON.
pub(crate) fn error(ended: &Ended) -> Value {
    serde_json::from_str(ended.stderr.last().unwrap()).unwrap()
}
