//! A list that is written as one text, as variables and URLs have to.

/// Splits `a,b` or `["a", "b"]`. `begins` says whether an entry may begin with this text: a comma before anything else
/// belongs to the entry, as one within a password does.
pub(super) fn split(text: &str, begins: impl Fn(&str) -> bool) -> Vec<String> {
    if let Some(list) = in_brackets(text.trim()) {
        return list;
    }
    let mut list: Vec<String> = Vec::new();
    for part in text.split(',') {
        match list.last_mut() {
            Some(last) if !begins(part.trim_start()) => {
                last.push(',');
                last.push_str(part);
            }
            _ => list.push(part.to_owned()),
        }
    }
    list.into_iter().map(|part| part.trim().to_owned()).collect()
}

/// The entries of `["a", "b"]` or `['a', 'b']`. `None` where it is anything else: `[::1]:7447` is a host.
fn in_brackets(text: &str) -> Option<Vec<String>> {
    let mut rest = text.strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut list = Vec::new();
    loop {
        let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let (entry, after) = rest[1..].split_once(quote)?;
        list.push(entry.to_owned());
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(list);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_one_text() {
        for (text, expected) in [
            ("a", &["a"][..]),
            ("a, b ,c", &["a", "b", "c"]),
            ("[\"a\",\"b\"]", &["a", "b"]),
            ("[ 'a' , 'b' ]", &["a", "b"]),
            ("[::1]:7447", &["[::1]:7447"]),
            ("[\"a\"", &["[\"a\""]),
            ("[\"a\" \"b\"]", &["[\"a\" \"b\"]"]),
            ("a,", &["a", ""]),
            ("", &[""]),
        ] {
            assert_eq!(split(text, |_| true), expected, "{text}");
        }
        let url = |text: &str| text.starts_with("redis");
        assert_eq!(split("redis://:x,y@a, rediss://b", url), ["redis://:x,y@a", "rediss://b"]);
    }
}
