//! Lengths of functions. The sources are formatted by rustfmt (CI sees to that), so a function ends at the first closing
//! brace that stands as far in as its signature.

/// A function and how long it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    /// The line of its signature, counted from 1.
    pub(super) line: usize,
    /// From its signature to its closing brace.
    pub(super) lines: usize,
}

/// The functions of a source that have a body.
pub(super) fn functions(source: &str) -> Vec<Function<'_>> {
    let lines: Vec<&str> = source.lines().collect();
    let function = |at: usize| {
        let name = function_name(lines[at])?;
        Some(Function { name, line: at + 1, lines: body_end(&lines[at..])? + 1 })
    };
    (0..lines.len()).filter_map(function).collect()
}

/// Where the function that begins with the first of these lines ends; nothing if it is only declared.
fn body_end(lines: &[&str]) -> Option<usize> {
    let opening = lines.iter().position(|line| line.ends_with(['{', ';']) || line.ends_with("{}"))?;
    match lines[opening] {
        line if line.ends_with(';') => None,
        line if line.ends_with('}') => Some(opening),
        _ => {
            let signature = lines[0];
            let indent = signature.len() - signature.trim_start().len();
            let closes = |line: &&str| line.trim_start() == "}" && line.len() == indent + 1;
            Some(opening + lines[opening..].iter().position(closes)?)
        }
    }
}

/// The name, if the line begins a function.
fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let qualifies =
        |word: &str| matches!(word, "const" | "async" | "unsafe" | "extern" | "\"C\"") || word.starts_with("pub");
    let begins = before.is_empty() || before.ends_with(' ');
    (begins && before.split_whitespace().all(qualifies)).then(|| after.split(['(', '<']).next().unwrap_or(after))
}

#[cfg(test)]
mod tests {
    use super::functions;

    #[test]
    fn lengths() {
        let check = |source: &str, expected: &[(&str, usize, usize)]| {
            let found = functions(source);
            let found: Vec<_> = found.iter().map(|found| (found.name, found.line, found.lines)).collect();
            assert_eq!(found, expected, "{source}");
        };
        check("fn a() {\n    if b {\n    }\n}\n", &[("a", 1, 4)]);
        check("//! x\npub(crate) async fn a<T>(\n    b: T,\n) -> C\nwhere\n    T: D,\n{\n}\n", &[("a", 2, 7)]);
        check("trait A {\n    fn b();\n    fn c() {}\n    fn d() {\n    }\n}\n", &[("c", 3, 1), ("d", 4, 2)]);
        check("/// a fn b() {\nlet fn_c = |d| {\n};\nlet e: fn (f) = {\n};\n", &[]);
    }
}
