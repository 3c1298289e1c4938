//! Links in Markdown lead to files that are there, within this repository.

use std::path::{Component, Path, PathBuf};

use super::Complaint;
use crate::workspace;

/// Checks every relative link of the file. `exists` tells whether a full path leads to something.
pub(super) fn check(path: &Path, text: &str, exists: impl Fn(&Path) -> bool) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        for target in targets(line) {
            let directory = path.parent().unwrap_or(Path::new(""));
            match resolve(directory, target) {
                None => {
                    complaints.push(Complaint::new(number, format!("`{target}` leads out of the repository")))
                }
                Some(file) if !exists(&workspace::root().join(&file)) => {
                    complaints.push(Complaint::new(number, format!("`{target}` leads nowhere")));
                }
                Some(_) => {}
            }
        }
        for page in pages(line).filter(|page| !exists(&workspace::root().join(page))) {
            complaints.push(Complaint::new(number, format!("there is no `{page}`")));
        }
    }
    complaints
}

/// The pages of the documentation that a line names in words, by their path from the root.
fn pages(line: &str) -> impl Iterator<Item = &str> {
    // NNNN stands for any number.
    let named =
        |word: &&str| word.starts_with("docs/") && word.ends_with(".md") && !word.contains([' ', 'N']);
    line.split('`').filter(named)
}

/// Where every page of the documentation is listed.
const INDEX: &str = "docs/README.md";

/// The pages of the documentation that its index does not lead to: nobody would find them.
pub(super) fn not_in_index(files: &[(PathBuf, String)]) -> Vec<String> {
    let index = files.iter().find(|(path, _)| path == Path::new(INDEX));
    let listed: Vec<PathBuf> = index.map_or_else(Vec::new, |(_, text)| {
        text.lines().flat_map(targets).filter_map(|target| resolve(Path::new("docs"), target)).collect()
    });
    let pages = files.iter().map(|(path, _)| path).filter(|path| {
        path.starts_with("docs") && path.extension().is_some_and(|extension| extension == "md")
    });
    pages
        .filter(|path| *path != Path::new(INDEX) && !listed.contains(path))
        .map(|path| format!("{}: {INDEX} does not lead to it", path.display()))
        .collect()
}

/// The relative targets of the links in a line, without their anchors.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', ' ']).next()?;
        let file = target.split('#').next()?;
        // `crate::Name` is a link that rustdoc follows, and checks.
        let elsewhere = file.is_empty() || file.contains(":");
        (!elsewhere).then_some(file)
    })
}

/// The path from the root, or `None` where it leads above it.
fn resolve(directory: &Path, target: &str) -> Option<PathBuf> {
    let mut resolved = PathBuf::new();
    for part in directory.join(target).components() {
        match part {
            Component::Normal(name) => resolved.push(name),
            Component::CurDir => {}
            Component::ParentDir if resolved.pop() => {}
            _ => return None,
        }
    }
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_from_where_they_stand() {
        let exists = |path: &Path| path == workspace::root().join("docs/a.md");
        let text = "\
[good](a.md) and [its part](./a.md#part), [here](#part), [the web](https://example.com/x)
[gone](b.md) [above](../docs/a.md)
```text
[not a link](c.md)
```
[out](../../a.md)
[the machine](/etc/hosts)
see `docs/nowhere.md`, and `docs/a.md`
";
        let found: Vec<(usize, String)> = check(Path::new("docs/index.md"), text, exists)
            .into_iter()
            .map(|complaint| (complaint.line, complaint.what))
            .collect();
        let expected = [
            (2, "`b.md` leads nowhere"),
            (6, "`../../a.md` leads out of the repository"),
            (7, "`/etc/hosts` leads out of the repository"),
            (8, "there is no `docs/nowhere.md`"),
        ];
        assert_eq!(found, expected.map(|(line, what)| (line, what.to_owned())));
    }

    #[test]
    fn a_page_that_the_index_forgets_is_named() {
        let file = |path: &str, text: &str| (PathBuf::from(path), text.to_owned());
        let files = [
            file(INDEX, "[a](a.md) and [one](decisions/1.md#why)\n"),
            file("docs/a.md", ""),
            file("docs/decisions/1.md", ""),
            file("docs/decisions/2.md", ""),
            file("docs/picture.svg", ""),
            file("README.md", ""),
        ];
        assert_eq!(not_in_index(&files), ["docs/decisions/2.md: docs/README.md does not lead to it"]);
    }
}
