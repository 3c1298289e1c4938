//! Draws a group on the log of a run: who joins and leaves, and what goes wrong in it.

use std::time::Duration;

use super::LEAVE_WITHIN;
use crate::history::Topic;
use crate::sim::fault::Fault;
use crate::sim::plan::{Act, Plan, Profile, Sharing};

/// Adds a group to a plan that is about one, from a generator of its own.
pub(super) fn add(seed: u64, plan: &mut Plan) {
    if plan.profile != Profile::Groups {
        return;
    }
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x67_70);
    plan.group = Some(Sharing { lanes: rng.u8(..10) < 4, each: rng.bool() });
    let (log, heal_at) = (Topic(plan.topics), plan.heal_at);
    let mut between = |least: u64, most: u64| Duration::from_micros(rng.u64(least * 1000..most * 1000));
    let heal_ms = u64::try_from(heal_at.as_millis()).unwrap_or(u64::MAX);
    let mut acts = Vec::new();
    for (at, act) in &plan.acts {
        if let Act::Start(node) = act {
            acts.push((*at + between(1, 500), Act::Join(*node)));
        }
    }
    for n in 0..6 {
        let at = between(1_000, heal_ms);
        let node = u8::try_from(at.subsec_micros() % u32::from(plan.nodes)).unwrap_or(0);
        match n {
            0 | 1 => acts.extend([(at, Act::Quit(node)), (at + between(10, 6_000), Act::Join(node))]),
            2 => acts.push((at, Act::Fault(Fault::EndLeases(log)))),
            3 => acts.push((at, Act::Fault(Fault::Rebalance(log)))),
            _ => acts.push((at, Act::Fault(Fault::LoseAnswers(node, 3)))),
        }
    }
    // Somebody is there to finish: the first two nodes are, at the end.
    for node in 0..2 {
        acts.push((heal_at + LEAVE_WITHIN + between(1_000, 3_000), Act::Join(node)));
    }
    plan.acts.extend(acts);
}
