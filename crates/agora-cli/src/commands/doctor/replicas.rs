//! Do as many servers keep each log as should? Asked of backends that tell.

use agora::core::transport::{LaneServers, Support};
use agora::{Bus, TopicName};

use super::check::Check;
use super::cluster::list;

const NAME: &str = "replicas";

/// `None` where the backend does not tell.
pub(super) async fn check(bus: &Bus) -> Option<Check> {
    if bus.capabilities().admin != Support::Yes {
        return None;
    }
    let admin = bus.admin().ok()?;
    match admin.short_lanes().await {
        Ok(short) => short.map(|short| of(&short)),
        // What cannot be looked at may be as it should.
        Err(error) => {
            let help = error.help_text().unwrap_or("look at the log with -v, and at the backend");
            Some(Check::yellow(NAME, error.to_string(), help))
        }
    }
}

fn of(short: &[(TopicName, u32, LaneServers)]) -> Check {
    let words = |lanes: Vec<&(TopicName, u32, LaneServers)>| {
        let word = |(topic, lane, servers): &(TopicName, u32, LaneServers)| {
            let [replicas, in_sync] = [&servers.replicas, &servers.in_sync].map(|names| names.join(","));
            format!("lane {lane} of {topic} (in sync: {in_sync}; should be: {replicas})")
        };
        list(lanes.into_iter().map(word).collect())
    };
    let lost: Vec<_> = short.iter().filter(|(_, _, servers)| servers.leader.is_none()).collect();
    if !lost.is_empty() {
        return Check::red(
            NAME,
            format!("nobody leads {}", words(lost)),
            "bring back the servers that are named: until then nothing can be published there or read",
        );
    }
    if !short.is_empty() {
        return Check::yellow(
            NAME,
            format!("fewer servers than should keep {}", words(short.iter().collect())),
            "look for servers that are down or slow: with one less, publishing may be refused or something be lost",
        );
    }
    Check::green(NAME, "every lane is kept by all the servers that should")
}

#[cfg(test)]
mod tests {
    use super::super::check::Status;
    use super::*;

    fn lane(number: u32, leader: Option<&str>, in_sync: &[&str]) -> (TopicName, u32, LaneServers) {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let servers = LaneServers {
            leader: leader.map(str::to_owned),
            replicas: names(&["0", "1", "2"]),
            in_sync: names(in_sync),
        };
        (TopicName::new("orders").unwrap(), number, servers)
    }

    #[test]
    fn a_lane_that_nobody_leads_is_red_and_one_that_is_short_is_yellow() {
        assert_eq!(of(&[]).status, Status::Green);
        let short = of(&[lane(0, Some("1"), &["1", "2"])]);
        assert_eq!(short.status, Status::Yellow);
        assert!(short.found.contains("lane 0 of orders (in sync: 1,2; should be: 0,1,2)"), "{}", short.found);
        let lost = of(&[lane(0, Some("1"), &["1", "2"]), lane(3, None, &["0"])]);
        assert_eq!(lost.status, Status::Red);
        assert!(lost.found.contains("lane 3") && !lost.found.contains("lane 0"), "{}", lost.found);
    }
}
