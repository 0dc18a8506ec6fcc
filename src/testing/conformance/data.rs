//! Checks of data: what comes back is what went in, at the edges too.

use super::stage::{Check, LONG, Stage, Verdict, holding};
use super::{Data, Subject};

pub(super) fn checks<S: Subject>() -> Vec<Check<S>> {
    vec![
        Check {
            name: "empty_data_comes_back",
            statement: "a session may hold nothing, empty texts, lists and objects, and null",
            run: empty_data,
        },
        Check {
            name: "unicode_comes_back",
            statement: "names and texts of any script come back, and no two are taken for one",
            run: unicode,
        },
        Check {
            name: "nested_data_comes_back",
            statement: "lists in objects in lists come back",
            run: nested,
        },
        Check {
            name: "numbers_come_back",
            statement: "integers of 64 bits and doubles come back, to the last digit",
            run: numbers,
        },
        Check {
            name: "large_data_comes_back",
            statement: "48 KiB in one value and in a thousand come back",
            run: large,
        },
    ]
}

/// Creates with the data, and saves it over something else: it comes back both times.
fn both_ways<S: Subject>(stage: &Stage<S>, data: &Data) -> Verdict {
    let created = stage.create(data, LONG)?;
    stage.expect(&created, data, "after its creation")?;
    let id = stage.create(&holding("user", "ada"), LONG)?;
    let saved = stage.save(&id, data, LONG)?;
    stage.expect(&saved, data, "after a save")
}

fn of(values: &[(&str, &str)]) -> Data {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn empty_data<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    both_ways(stage, &Data::new())?;
    let values = [("", "\"\""), ("list", "[]"), ("null", "null"), ("object", "{}"), (" ", "\" \"")];
    both_ways(stage, &of(&values))
}

fn unicode<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let values = [
        ("naïve", "\"composed\""),
        ("nai\u{308}ve", "\"decomposed\""),
        ("Straße", "\"ß, ſ and ẞ\""),
        ("日本語", "\"שלום, مرحبا, 👩‍👩‍👧\""),
        ("k", "\"small\""),
        ("K", "\"capital\""),
        ("\u{212A}", "\"kelvin\""),
        ("line\u{2028}end", "\"\\u0000 \\\" \\\\ \\n\u{7f}\u{fffd}\u{10ffff}\""),
    ];
    both_ways(stage, &of(&values))
}

fn nested<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let objects = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
    let mixed = r#"{"cart":[{"count":2,"name":"tea"},{"count":1,"name":"pot"}],"guest":false}"#;
    both_ways(stage, &of(&[("deep", &deep), ("objects", &objects), ("mixed", mixed)]))
}

fn numbers<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let numbers = [
        "0",
        "-1",
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        "0.1",
        "-0.0",
        "5e-324",
        "2.2250738585072014e-308",
        "1.7976931348623157e308",
    ];
    let values = numbers.map(|number| (number, number));
    both_ways(stage, &of(&values))?;
    both_ways(stage, &of(&[("all", &format!("[{}]", numbers.join(",")))]))
}

fn large<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    both_ways(stage, &holding("one", &"x".repeat(48 << 10)))?;
    let value = |number: u32| (format!("name {number}"), format!("\"{:032}\"", number));
    both_ways(stage, &(0..1000).map(value).collect())
}
