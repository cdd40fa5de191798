//! Mistakes in operators without code: each error's whole text, with its place and its mend; and what good ones become.

use super::super::super::builtin::*;
use super::super::super::decimal::Decimal;
use super::super::super::document::Document;
use super::super::super::pipeline::{Edge, OperatorKind, Pipeline};
use std::path::Path;

/// Parses a pipeline with `text` as the rest of `[operators.op]`, which begins at line 8.
fn read(text: &str) -> Result<Pipeline, String> {
    let text = format!(
        "[pipeline]\nname = \"p\"\n[sources.a]\nstream = \"s/a\"\n[sources.b]\nstream = \"s/b\"\n[operators.op]\n{text}\n\
         [sinks.out]\ninput = [\"op\", \"a\", \"b\"]\nstream = \"s/out\"\n"
    );
    let document = Document::parse("p.toml".into(), text).unwrap();
    super::super::pipeline(&document, Path::new("/p/p.toml")).map_err(|e| e.to_string())
}

fn builtin(text: &str) -> Builtin {
    let pipeline = read(text).unwrap();
    let OperatorKind::Builtin(builtin) = &pipeline.operators[0].kind else { panic!("{pipeline:?}") };
    (**builtin).clone()
}

fn number(text: &str) -> Decimal {
    Decimal::parse(text.as_bytes()).unwrap()
}

#[test]
fn a_select_is_read_whole_and_stays_where_its_events_are() {
    let text = r#"input = "a"
select = { where = [{ field = "/k", in = ["x", 2, true] }, { field = "/n", modulo = 123, equals = 0 }, { field = "/n", above = 1.5, at_most = "10" }], key = "/id", output = { id = "/id", p = { field = "/p", times = 0.908 }, t = "time" } }"#;
    let condition = |field: &str, test| Condition { field: field.into(), test };
    let bounds = Test::Within { least: Some(number("1.5")), above: true, greatest: Some(number("10")), below: false };
    let constants = vec![Scalar::Text("x".into()), Scalar::Number(number("2")), Scalar::Flag(true)];
    let expected = SelectSpec {
        conditions: vec![
            condition("/k", Test::In(constants)),
            condition("/n", Test::Modulo { by: 123, equals: 0 }),
            condition("/n", bounds),
        ],
        key: Some(KeySpec::First(vec!["/id".into()])),
        output: Some(vec![
            ("id".into(), SelectColumn::Field("/id".into())),
            ("p".into(), SelectColumn::Times("/p".into(), number("0.908"))),
            ("t".into(), SelectColumn::Time),
        ]),
    };
    assert_eq!(builtin(text), Builtin::Select(expected));
    assert_eq!(read(text).unwrap().operators[0].inputs[0].edge, Edge::Forward);
}

#[test]
fn windows_of_every_kind_are_read() {
    let windows = |text: &str| {
        let text = format!("input = \"a\"\nwindow = {{ {text}, output = {{ n = \"count\" }} }}");
        let Builtin::Window(spec) = builtin(&text) else { panic!() };
        (spec.windows, spec.trigger)
    };
    let aligned = |size_ms, slide_ms, offset_ms| Windows::Aligned { size_ms, slide_ms, offset_ms };
    assert_eq!(windows("tumbling = \"10s\""), (aligned(10_000, 10_000, 0), Trigger::END));
    assert_eq!(windows("sliding = \"10s\", slide = \"2s\", offset = \"1s\"").0, aligned(10_000, 2_000, 1_000));
    assert_eq!(windows("session = \"10s\"").0, Windows::Session(Gap::Fixed(10_000)));
    assert_eq!(windows("session = { gap = \"/g\" }").0, Windows::Session(Gap::Field("/g".into())));
    assert_eq!(windows("global = true"), (Windows::Global, Trigger::END));
    let count = Trigger { at_end: false, count: Some(3), every: None };
    assert_eq!(windows("global = true, trigger = { count = 3 }").1, count);
    let every = Trigger { at_end: true, count: None, every: Some((1_000, Clock::Processing)) };
    assert_eq!(windows("tumbling = \"1m\", trigger = { every = \"1s\", clock = \"processing\" }").1, every);
}

#[test]
fn aggregates_rows_and_joins_are_read() {
    let Builtin::Window(spec) = builtin(
        r#"input = "a"
window = { tumbling = "10s", rows = { top = 2, by = "/p", order = "least", ties = true }, having = { where = [{ field = "/x", exists = true }] }, output = { s = "window.start", f = "/f", m = { avg = "/p", decimals = 0 }, c = { count = true, where = [{ field = "/y", differs = "z" }] } } }"#,
    ) else {
        panic!()
    };
    let top = Top { n: 2, by: "/p".into(), least: true, ties: true };
    assert_eq!(spec.rows, Some(Rows { top: Some(top), distinct: false, conditions: Vec::new() }));
    assert_eq!(spec.having, Some((1, vec![Condition { field: "/x".into(), test: Test::Exists(true) }])));
    let average =
        Aggregate { function: Function::Avg { decimals: 0 }, field: Some("/p".into()), conditions: Vec::new() };
    assert_eq!(spec.output[2], ("m".into(), WindowColumn::Aggregate(average)));
    let join = builtin(
        r#"inputs = [{ from = "a" }, { from = "b" }]
join = { within = { before = "1s", after = "5s" }, where = [{ field = "right/at", at_most = "left/to" }], output = { x = "left/x", y = "right/y/z" } }"#,
    );
    let expected = JoinSpec {
        interval_ms: Some((-1_000, 5_000)),
        conditions: vec![PairCondition {
            field: (Side::Right, "/at".into()),
            at_least: None,
            at_most: Some((Side::Left, "/to".into())),
        }],
        output: vec![("x".into(), Side::Left, "/x".into()), ("y".into(), Side::Right, "/y/z".into())],
    };
    assert_eq!(join, Builtin::Join(expected));
    let Builtin::WindowJoin(spec) = builtin(
        r#"inputs = [{ from = "a" }, { from = "b" }]
join = { sliding = "10s", slide = "5s", lateness = "1s", late_output = true, unmatched = "left", output = { x = "left/x", to = "window.end" } }"#,
    ) else {
        panic!()
    };
    assert_eq!(spec.window.windows, Windows::Aligned { size_ms: 10_000, slide_ms: 5_000, offset_ms: 0 });
    assert_eq!((spec.window.lateness_ms, spec.window.late_output), (1_000, true));
    assert_eq!((spec.keep_left, spec.keep_right), (true, false));
    let column = PairColumn::Field(Side::Left, "/x".into());
    assert_eq!(spec.output, [("x".into(), column), ("to".into(), PairColumn::Window(WindowColumn::End))]);
    let lookup = builtin(
        r#"inputs = [{ from = "a" }, { from = "b" }]
lookup = { missing = "null", output = { x = "right/x" } }"#,
    );
    let expected = LookupSpec { keep_missing: true, output: vec![("x".into(), Side::Right, "/x".into())] };
    assert_eq!(lookup, Builtin::Lookup(expected));
    assert_eq!(
        builtin("input = \"a\"\ndistinct = { ttl = \"1h\" }"),
        Builtin::Distinct(DistinctSpec { ttl_ms: Some(3_600_000) })
    );
}

#[test]
fn mistakes_say_their_place_and_their_mend() {
    for (text, expected) in [
        (
            "input = \"a\"",
            "7:1: operator \"op\" does nothing; write component = \"path/of/the/project\" or \"operator.wasm\", or one of select, window, join, lookup, distinct",
        ),
        (
            "input = \"a\"\ndistinct = {}\nselect = { key = \"/a\" }",
            "9:1: operator \"op\" has both select and distinct; keep one",
        ),
        (
            "input = \"a\"\ndistinct = {}\nconfig = {}",
            "10:1: \"config\" is of components; a built-in operator has none",
        ),
        ("input = \"a\"\nselect = {}", "9:10: operators.op.select selects nothing; write where, key or output"),
        (
            "input = \"a\"\nselect = { key = \"id\" }",
            "9:18: \"id\" is not a field; write a JSON pointer, as in \"/field\" or \"/outer/inner\" ('~' is \"~0\" and '/' in a name \"~1\")",
        ),
        (
            "input = \"a\"\nselect = { where = [{ field = \"/a\" }] }",
            "9:21: [operators.op.select.where[0]]: say what the field must be with one of equals, differs, in, not_in, exists, with modulo and equals, or with bounds (at_least or above, at_most or below)",
        ),
        (
            "input = \"a\"\nselect = { where = [{ field = \"/a\", equal = 1 }] }",
            "9:37: unknown key \"equal\" in [operators.op.select.where[0]] (did you mean \"equals\"?); known here: field, equals, differs, in, not_in, modulo, at_least, above, at_most, below, exists",
        ),
        (
            "input = \"a\"\nwindow = { output = { n = \"count\" } }",
            "9:10: [operators.op.window] has no windows; write tumbling = \"10s\", sliding = \"10s\" with slide = \"2s\", session = \"10s\" or global = true",
        ),
        (
            "input = \"a\"\nwindow = { tumbling = \"1s\", session = \"1s\", output = { n = \"count\" } }",
            "9:29: [operators.op.window] has both tumbling and session; keep one",
        ),
        (
            "input = \"a\"\nwindow = { tumbling = \"1s\", slide = \"1s\", output = { n = \"count\" } }",
            "9:29: only sliding windows have \"slide\"; remove it",
        ),
        (
            "input = \"a\"\nwindow = { tumbling = \"1s\", offset = \"2s\", output = { n = \"count\" } }",
            "9:38: operators.op.window.offset is 2000 ms; write less than the distance of windows, 1000 ms",
        ),
        (
            "input = \"a\"\nwindow = { global = true, lateness = \"1s\", output = { n = \"count\" } }",
            "9:27: \"lateness\" has no meaning for a global window, for which nothing is late; remove it",
        ),
        (
            "input = \"a\"\nwindow = { tumbling = \"1s\", trigger = { at_end = false }, output = { n = \"count\" } }",
            "9:39: operators.op.window.trigger: the window would never give a result; write count or every",
        ),
        (
            "input = \"a\"\nwindow = { sliding = \"1h\", slide = \"1ms\", trigger = { count = 1 }, output = { n = \"count\" } }",
            "9:10: operators.op.window: each event would be kept in 3600000 windows; triggers, discard and clock = \"processing\" let windows share nothing: leave them out, or write a slide of at least a 1000th of the size",
        ),
        (
            "input = \"a\"\nwindow = { tumbling = \"1s\", output = { n = \"/n\" } }",
            "9:44: operators.op.window.output.n: a result of a window is of many events; say which value of \"/n\", as in { max = \"/n\" } or { last = \"/n\" }, or add rows for a result per event",
        ),
        (
            "input = \"a\"\nwindow = { tumbling = \"1s\", output = { n = { total = \"/n\" } } }",
            "9:46: unknown key \"total\" in [operators.op.window.output.n]; known here: count, sum, min, max, avg, first, last, decimals, where",
        ),
        (
            "input = \"a\"\nwindow = { tumbling = \"1s\", output = {} }",
            "9:38: operators.op.window.output is empty; name at least one member of the result",
        ),
        (
            "inputs = [{ from = \"a\" }, { from = \"b\" }]\njoin = { lateness = \"1s\", output = { x = \"left/x\" } }",
            "9:10: \"lateness\" is of a join in windows; write tumbling, sliding or session with it, or remove it",
        ),
        (
            "inputs = [{ from = \"a\" }, { from = \"b\" }]\njoin = { session = \"1s\", within = { after = \"1s\" }, output = { x = \"left/x\" } }",
            "9:26: a join is within windows or within a time of each event; remove one of the two",
        ),
        (
            "inputs = [{ from = \"a\" }, { from = \"b\" }]\njoin = { output = { x = \"/x\" } }",
            "9:25: operators.op.join.output.x is \"/x\"; write \"left/field\" or \"right/field\" (the first and the second input)",
        ),
    ] {
        assert_eq!(read(text).unwrap_err(), format!("p.toml:{expected}"), "{text}");
    }
    let many: Vec<String> = (0..33).map(|i| format!("f{i} = \"/f{i}\"")).collect();
    let error = read(&format!("input = \"a\"\nselect = {{ output = {{ {} }} }}", many.join(", "))).unwrap_err();
    assert!(error.contains("names 33 different fields; the most is 32"), "{error}");
}
