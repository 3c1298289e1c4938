//! Servers for people come up in the background, are seen, and are ended by whoever asks later.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::TcpListener;

use agora_testbed::services::{self, Service};
use agora_testbed::{Program, free_port};

#[tokio::test]
async fn they_come_up_once_and_are_ended_once_and_keep_their_data() {
    let directory = services::directory().with_file_name(format!("up-{}", std::process::id()));
    for Service { name, program, .. } in services::USUAL {
        let service = Service { name, program, port: free_port().unwrap() };
        assert_eq!(service.running(&directory).unwrap(), None);
        assert!(service.up(&directory).await.unwrap());
        let id = service.running(&directory).unwrap();
        assert!(id.is_some(), "{name}");
        assert!(!service.up(&directory).await.unwrap(), "{name} is up already");
        assert_eq!(service.running(&directory).unwrap(), id, "{name} is the one that it was");
        assert!(service.down(&directory).await.unwrap());
        assert_eq!(service.running(&directory).unwrap(), None);
        assert!(!service.down(&directory).await.unwrap(), "{name} is down already");
        assert!(directory.join(name).join("server.log").exists());
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn a_port_of_somebody_else_is_refused_with_who_to_ask() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let service = Service { name: "nats", program: Program::Nats, port };
    let directory = services::directory().with_file_name(format!("taken-{}", std::process::id()));
    let failure = service.up(&directory).await.unwrap_err().to_string();
    assert!(failure.contains(&format!("ss -ltnp 'sport = :{port}'")), "{failure}");
    assert!(!directory.exists(), "nothing was made");
}

#[test]
fn the_compose_file_has_the_same_servers_on_the_same_ports() {
    let text = include_str!("../../../docs/compose.yaml");
    for service in services::USUAL {
        let (_, entry) = text.split_once(&format!("\n  {}:\n", service.name)).unwrap();
        let image = entry.lines().next().unwrap().rsplit(':').next().unwrap();
        let mut numbers = image.split('.').map(|number| number.parse::<u32>());
        let version = (numbers.next().unwrap().unwrap(), numbers.next().unwrap().unwrap());
        assert!(version >= service.program.least(), "{}: {version:?} is too old", service.name);
        let ports = entry.lines().find(|line| line.trim().starts_with("ports:")).unwrap();
        assert!(ports.contains(&format!("\"127.0.0.1:{}:", service.port)), "{ports}");
    }
}
