//! Sentences taken apart.

/// The numbers of a text, each with what it is rounded by, in milliseconds where it is a time.
pub fn numbers(text: &str) -> Vec<[f64; 2]> {
    let mut found = vec![];
    let mut rest = text;
    while let Some(begin) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let number = &rest[begin..];
        let end = number.find(|letter: char| !letter.is_ascii_digit() && letter != ',' && letter != '.');
        let digits = number[..end.unwrap_or(number.len())].trim_end_matches(['.', ',']);
        rest = &number[digits.len()..];
        let unit = match rest {
            _ if rest.starts_with(" ms") => 1.0,
            _ if rest.starts_with(" µs") => 0.001,
            _ if rest.starts_with(" s") && !rest[2..].starts_with(char::is_alphabetic) => 1_000.0,
            _ => 1.0,
        };
        let value: f64 = digits.replace(',', "").parse().unwrap();
        // Three significant digits, of which zeros at the end are left out.
        let rounded = if value >= 100.0 {
            0.5
        } else if value >= 10.0 {
            0.05
        } else {
            0.005
        };
        found.push([value * unit, rounded * unit]);
    }
    found
}

/// Checks the numbers of a text against recomputed ones, in its order.
#[track_caller]
pub fn assert_numbers(text: &str, recomputed: &[f64]) {
    let shown = numbers(text);
    assert_eq!(shown.len(), recomputed.len(), "{text}: {recomputed:?}");
    for ([shown, rounded], recomputed) in shown.into_iter().zip(recomputed) {
        assert!((shown - recomputed).abs() <= rounded * 1.001 + 1e-9, "{text}: {shown}, not {recomputed}");
    }
}

/// What a text has in the places of a template's `{}`.
pub fn parts<'a>(template: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let (begin, rest) = template.split_once("{}")?;
    let (between, end) = rest.rsplit_once("{}").map_or(("", rest), |(between, end)| (between, end));
    let mut rest = text.strip_prefix(begin)?.strip_suffix(end)?;
    let mut found = vec![];
    for piece in between.split("{}").filter(|piece| !piece.is_empty()) {
        let (part, later) = rest.split_once(piece)?;
        found.push(part);
        rest = later;
    }
    found.push(rest);
    Some(found)
}
