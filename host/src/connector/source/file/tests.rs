//! File sources over real files: formats, bad rows, gzip, positions.

use super::reader::RECORD_BYTES_MAX;
use super::*;
use crate::config::pipeline::{Field, FileFormat, TimeFormat, TimeSpec, ValueForm};
use crate::connector::{ReadStatus, SourceBatch};
use proptest::prelude::*;
use std::io::Write;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn spec(format: FileFormat, value: ValueForm) -> FileSource {
    FileSource { paths: Vec::new(), format, value, time: None, key: None }
}

fn csv(time: &str, key: &str) -> FileSource {
    let time = TimeSpec { field: Field::Column(time.into()), format: TimeFormat::EpochMs };
    FileSource { time: Some(time), key: Some(Field::Column(key.into())), ..spec(FileFormat::Csv, ValueForm::Json) }
}

fn json(time: &str, key: &str) -> FileSource {
    let time = TimeSpec { field: Field::Pointer(time.into()), format: TimeFormat::EpochMs };
    FileSource {
        time: Some(time),
        key: Some(Field::Pointer(key.into())),
        ..spec(FileFormat::JsonLines, ValueForm::Json)
    }
}

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        World { folder: tempfile::tempdir().unwrap() }
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn source(&self, spec: &FileSource, paths: &[&str]) -> Files {
        let paths = paths.iter().map(|p| self.folder.path().join(p)).collect();
        Files::new("s", &FileSource { paths, ..spec.clone() }, Clock::manual(42))
    }

    fn open(&self, spec: &FileSource, name: &str, position: Option<&[u8]>) -> Result<Box<dyn PartitionReader>, String> {
        let source = self.source(spec, &[name]);
        let id = self.folder.path().join(name).to_str().unwrap().to_string();
        source.open(&Partition { id, size: None }, position).map_err(|e| e.to_string())
    }

    fn all(&self, spec: &FileSource, name: &str) -> SourceBatch {
        drain(&mut *self.open(spec, name, None).unwrap(), 1_000)
    }

    /// A text of this world without its folder.
    fn short(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn drain(reader: &mut dyn PartitionReader, max_events: usize) -> SourceBatch {
    let mut out = SourceBatch::default();
    while reader.read(max_events, 1 << 20, &mut out).unwrap() == ReadStatus::More {}
    assert_eq!(reader.read(1, 1, &mut out).unwrap(), ReadStatus::End);
    out.events.check("events").unwrap();
    out
}

fn values(batch: &SourceBatch) -> Vec<String> {
    batch.events.values.iter().map(|v| String::from_utf8_lossy(v.unwrap()).into_owned()).collect()
}

fn keys(batch: &SourceBatch) -> Vec<Option<String>> {
    batch.events.keys.iter().map(|k| k.map(|k| String::from_utf8_lossy(k).into_owned())).collect()
}

const ROWS: &str =
    "\u{FEFF}t,name,note\r\n1,ann,\"says \"\"hi\"\", twice\"\r\n\r\n2,bob,\"two\r\nlines\"\n3,,plain\\x\n4,eve,last";

#[test]
fn csv_rows_become_objects_of_strings_in_column_order() {
    let world = World::new();
    world.write("x.csv", ROWS);
    let all = world.all(&csv("t", "name"), "x.csv");
    assert_eq!(
        values(&all),
        [
            r#"{"t":"1","name":"ann","note":"says \"hi\", twice"}"#,
            r#"{"t":"2","name":"bob","note":"two\r\nlines"}"#,
            r#"{"t":"3","name":"","note":"plain\\x"}"#,
            r#"{"t":"4","name":"eve","note":"last"}"#,
        ]
    );
    assert_eq!(all.events.timestamps, [1, 2, 3, 4]);
    assert_eq!(keys(&all), ["ann", "bob", "", "eve"].map(|k| Some(k.to_string())));
    assert!(all.rejected.is_empty());

    let raw = FileSource { value: ValueForm::Raw, ..csv("t", "name") };
    let all = world.all(&raw, "x.csv");
    assert_eq!(
        values(&all),
        ["1,ann,\"says \"\"hi\"\", twice\"", "2,bob,\"two\r\nlines\"", "3,,plain\\x", "4,eve,last"]
    );
}

#[test]
fn without_a_time_events_have_the_time_of_reading_and_without_a_key_none() {
    let world = World::new();
    world.write("x.csv", "a\n1\n");
    let all = world.all(&spec(FileFormat::Csv, ValueForm::Json), "x.csv");
    assert_eq!((all.events.timestamps.clone(), keys(&all)), (vec![42], vec![None]));
}

#[test]
fn bad_csv_rows_are_refused_one_by_one_with_file_and_line() {
    let world = World::new();
    let text = b"t,k\n5,a\n6\n7,b,c\nsoon,d\n\"8\",\"e\ne\"\n9,\xFF\n10,\"open\n11,f\n";
    world.write("x.csv", text);
    let all = world.all(&csv("t", "k"), "x.csv");
    assert_eq!(all.events.timestamps, [5, 8, 11]);
    assert_eq!(keys(&all)[1].as_deref(), Some("e\ne"));
    let rejected: Vec<_> = all.rejected.iter().map(|r| (world.short(&r.reason), r.time.0)).collect();
    let expected = [
        ("x.csv:3: the row has 1 columns, the header row 2", 5),
        ("x.csv:4: the row has 3 columns, the header row 2", 5),
        ("x.csv:5: time \"soon\" is not a whole number of milliseconds since 1970", 5),
        ("x.csv:8: the row is not UTF-8 (byte 2)", 8),
        ("x.csv:9: a quote is opened and not closed; only this line is left out", 8),
    ];
    assert_eq!(rejected, expected.map(|(why, time)| (why.to_string(), time)));
    let bytes: Vec<&[u8]> = all.rejected.iter().map(|r| &r.value[..]).collect();
    assert_eq!(bytes, [&b"6"[..], b"7,b,c", b"soon,d", b"9,\xFF", b"10,\"open"]);
}

#[test]
fn json_lines_give_time_and_key_by_pointer_and_keep_the_line() {
    let world = World::new();
    let lines = [
        r#"{"at": {"ms": 7}, "user": "a\u0062"}"#,
        r#"  {"user": 12.50, "at": {"ms": "8"}}"#,
        "",
        r#"{"at": {"ms": 9}, "user": null}"#,
        r#"{"at": {"ms": 10}, "user": true}"#,
    ];
    world.write("x.jsonl", lines.join("\r\n"));
    let all = world.all(&json("/at/ms", "/user"), "x.jsonl");
    assert_eq!(values(&all), [lines[0], lines[1], lines[3], lines[4]]);
    assert_eq!(all.events.timestamps, [7, 8, 9, 10]);
    assert_eq!(keys(&all), [Some("ab".into()), Some("12.50".into()), None, Some("true".into())]);
}

#[test]
fn bad_json_lines_are_refused_one_by_one_with_file_and_line() {
    let world = World::new();
    let lines: [&[u8]; 10] = [
        b"{\"t\":1,\"k\":\"a\"}",
        b"{\"t\":2,\"k\":\"a\"",
        b"[1]",
        b"{\"k\":\"a\"}",
        b"{\"t\":3}",
        b"{\"t\":4,\"k\":{}}",
        b"{\"t\":null,\"k\":1}",
        b"{\"t\":1.5,\"k\":1}",
        b"{\"t\":5,\"k\":\"\xFF\"}",
        b"{\"t\":6,\"k\":\"\\ud800\"}",
    ];
    world.write("x.jsonl", lines.join(&b'\n'));
    let all = world.all(&json("/t", "/k"), "x.jsonl");
    assert_eq!(all.events.timestamps, [1]);
    let reasons: Vec<_> = all.rejected.iter().map(|r| world.short(&r.reason)).collect();
    assert_eq!(
        reasons,
        [
            "x.jsonl:2: not JSON: ',' or '}' should be here (byte 14)",
            "x.jsonl:3: not a JSON object",
            "x.jsonl:4: there is no time where its pointer leads",
            "x.jsonl:5: there is no key where its pointer leads",
            "x.jsonl:6: the key is an object or a list; a string, number, true or false is needed",
            "x.jsonl:7: the time is null",
            "x.jsonl:8: time \"1.5\" is not a whole number of milliseconds since 1970",
            "x.jsonl:9: the line is not UTF-8 (byte 12)",
            "x.jsonl:10: the key holds half a surrogate pair",
        ]
    );
    assert_eq!(all.rejected[0].value, lines[1]);
}

#[test]
fn lines_are_values_blank_ones_too() {
    let world = World::new();
    world.write("x.txt", b"to be\r\n\nor not\xFF");
    world.write("empty.txt", "");
    let lines = spec(FileFormat::Lines, ValueForm::Raw);
    let all = world.all(&lines, "x.txt");
    assert_eq!(values(&all), ["to be", "", "or not\u{FFFD}"]);
    assert!(world.all(&lines, "empty.txt").events.is_empty());
}

#[test]
fn a_position_at_every_record_gives_exactly_the_rest_plain_and_gzip() {
    let world = World::new();
    let mut text = "t,k\n".to_string();
    for i in 0..40 {
        text += &match i % 5 {
            0 => format!("{i},\"a\n{i}\"\n"),
            1 => format!("bad{i},b\n\n"),
            2 => format!("{i},c\r\n"),
            _ => format!("{i},d\n"),
        };
    }
    // Two gzip members, cut in the middle of a record.
    let (left, right) = text.as_bytes().split_at(text.len() / 2 + 1);
    world.write("x.csv", &text);
    world.write("x.csv.gz", [gzip(left), gzip(right)].concat());
    let spec = csv("t", "k");
    for name in ["x.csv", "x.csv.gz"] {
        let whole = world.all(&spec, name);
        assert_eq!((whole.events.len(), whole.rejected.len()), (32, 8));
        let mut reader = world.open(&spec, name, None).unwrap();
        let mut given = SourceBatch::default();
        loop {
            let position = reader.position();
            let mut resumed = world.open(&spec, name, Some(&position)).unwrap();
            assert_eq!(resumed.describe_position(), reader.describe_position());
            let rest = drain(&mut *resumed, 3);
            let joined: Vec<_> = values(&given).into_iter().chain(values(&rest)).collect();
            assert_eq!(joined, values(&whole));
            let reasons = given.rejected.iter().chain(&rest.rejected).map(|r| &r.reason);
            assert!(reasons.eq(whole.rejected.iter().map(|r| &r.reason)), "after {} in {name}", joined.len());
            if reader.read(1, 1 << 20, &mut given).unwrap() == ReadStatus::End {
                break;
            }
        }
        let progress = reader.progress();
        assert_eq!(Some(progress.done), progress.total, "{name}");
        assert_eq!(reader.describe_position(), format!("line {} of {name}", 1 + text.matches('\n').count()));
    }
}

#[test]
fn a_file_that_was_replaced_since_is_refused_and_one_that_grew_is_read_on() {
    let world = World::new();
    let lines = spec(FileFormat::Lines, ValueForm::Raw);
    world.write("x", "a\nb\nc\n");
    let mut reader = world.open(&lines, "x", None).unwrap();
    reader.read(2, 100, &mut SourceBatch::default()).unwrap();
    let position = reader.position();
    world.write("x", "a\nb\nc\nd\n");
    let rest = drain(&mut *world.open(&lines, "x", Some(&position)).unwrap(), 9);
    assert_eq!(values(&rest), ["c", "d"]);
    world.write("x", "A\nb\nc\nd\n");
    let error = world.open(&lines, "x", Some(&position)).err().unwrap();
    assert_eq!(
        world.short(&error),
        "source s: x is not the file that was read up to line 3: it begins differently; put the old file back, or run under \
         another pipeline name"
    );
    world.write("x", "a\nb\n");
    let error = world.open(&lines, "x", Some(&position)).err().unwrap();
    assert!(error.contains("it is shorter (4 bytes, 6 then)"), "{error}");
}

#[test]
fn a_gzip_file_that_is_cut_off_or_damaged_gives_what_it_holds_then_says_where() {
    let world = World::new();
    let text: String = (0..20_000).map(|i| format!("line {}\n", i * 7919 % 10_007)).collect();
    let whole = gzip(text.as_bytes());
    let lines = spec(FileFormat::Lines, ValueForm::Raw);
    for (name, damage) in [("cut.gz", "is cut off"), ("bad.gz", "is damaged")] {
        let mut bytes = whole.clone();
        if name == "cut.gz" {
            bytes.truncate(whole.len() * 2 / 3);
        } else {
            let end = bytes.len();
            bytes[end - 6] ^= 0x55; // the checksum
        }
        world.write(name, &bytes);
        let mut reader = world.open(&lines, name, None).unwrap();
        let mut given = SourceBatch::default();
        let error = loop {
            match reader.read(1_000, 1 << 20, &mut given) {
                Ok(status) => assert_eq!(status, ReadStatus::More),
                Err(error) => break error,
            }
        };
        let error = world.short(&error.to_string());
        assert!(error.starts_with(&format!("{name}: the gzip file {damage} near its byte ")), "{error}");
        assert!(error.contains("copy it again and run again"), "{error}");
        assert!(given.events.len() > 1_000);
        let position = reader.position();
        // The whole file, put in its place, goes on where the damaged one stopped.
        if name == "cut.gz" {
            world.write(name, &whole);
            let rest = drain(&mut *world.open(&lines, name, Some(&position)).unwrap(), 5_000);
            let joined: Vec<_> = values(&given).into_iter().chain(values(&rest)).collect();
            assert_eq!(joined, text.lines().collect::<Vec<_>>());
        }
    }
}

#[test]
fn an_over_long_line_is_refused_without_being_held() {
    let world = World::new();
    let mut text = b"first\n".to_vec();
    text.resize(text.len() + RECORD_BYTES_MAX + 300_000, b'x');
    text.extend_from_slice(b"\nlast\n");
    world.write("x.gz", gzip(&text));
    let all = world.all(&spec(FileFormat::Lines, ValueForm::Raw), "x.gz");
    let lengths: Vec<usize> = all.events.values.iter().map(|v| v.map_or(0, <[u8]>::len)).collect();
    assert_eq!(lengths, [5, 4]);
    assert_eq!(world.short(&all.rejected[0].reason), "x.gz:2: a line over 16777216 bytes; these are its first 1024");
    assert_eq!(all.rejected[0].value, [b'x'; 1024]);
}

#[test]
fn wrong_columns_and_headers_are_told_when_the_pipeline_starts() {
    let world = World::new();
    world.write("x.csv", "scheduled,origin\n1,EWR\n");
    world.write("twice.csv", "a,a\n");
    world.write("empty.csv", "\n\n");
    world.write("open.csv", "a,\"b\n1,2\n");
    world.write("latin.csv", b"a,\xE9\n");
    for (name, spec, expected) in [
        (
            "x.csv",
            csv("time", "origin"),
            "x.csv has no column \"time\"; its columns are: scheduled, origin (asked for by time)",
        ),
        (
            "x.csv",
            csv("scheduled", "dest"),
            "x.csv has no column \"dest\"; its columns are: scheduled, origin (asked for by key)",
        ),
        (
            "twice.csv",
            spec(FileFormat::Csv, ValueForm::Json),
            "twice.csv has column \"a\" twice, which a JSON object cannot; rename one, or write value = \"raw\"",
        ),
        (
            "empty.csv",
            csv("t", "k"),
            "empty.csv is empty; a CSV file begins with a header row: remove it, or write one",
        ),
        ("open.csv", csv("a", "b"), "open.csv has a quote in its header row that is never closed"),
        ("latin.csv", csv("a", "b"), "latin.csv has a header row that is not UTF-8; convert the file"),
    ] {
        let error = world.source(&spec, &[name]).partitions().unwrap_err().to_string();
        assert_eq!(world.short(&error), format!("source s: {expected}"));
    }
}

#[test]
fn paths_and_globs_become_partitions_sorted_and_once() {
    let world = World::new();
    for name in ["b.txt", "a.txt", "sub/c.txt", "odd[1].txt", "other.log"] {
        world.write(name, "x\n");
    }
    let lines = spec(FileFormat::Lines, ValueForm::Raw);
    let ids = |paths: &[&str]| {
        let partitions = world.source(&lines, paths).partitions().map_err(|e| world.short(&e.to_string()))?;
        assert!(partitions.iter().all(|p| p.size == Some(2)));
        Ok::<_, String>(partitions.iter().map(|p| world.short(&p.id)).collect::<Vec<_>>())
    };
    assert_eq!(ids(&["*.txt", "a.txt", "sub/../b.txt"]).unwrap(), ["a.txt", "b.txt", "odd[1].txt"]);
    assert_eq!(ids(&["odd[1].txt"]).unwrap(), ["odd[1].txt"]);
    assert_eq!(ids(&["sub/../sub/*"]).unwrap(), ["sub/c.txt"]);
    assert_eq!(ids(&["none.txt"]).unwrap_err(), "sources.s.file.path: none.txt: no such file; check the path");
    assert_eq!(ids(&["*.csv"]).unwrap_err(), "sources.s.file.path: no file fits *.csv; check the pattern");
    assert!(ids(&["sub"]).unwrap_err().contains("sub is a folder; name files"));
}

#[test]
fn limits_end_a_read_early() {
    let world = World::new();
    world.write("x", "0123456789\n".repeat(100));
    let mut reader = world.open(&spec(FileFormat::Lines, ValueForm::Raw), "x", None).unwrap();
    let mut out = SourceBatch::default();
    assert_eq!(reader.read(7, 1 << 20, &mut out).unwrap(), ReadStatus::More);
    assert_eq!(out.events.len(), 7);
    out.events.clear();
    assert_eq!(reader.read(100, 1, &mut out).unwrap(), ReadStatus::More);
    assert_eq!(out.events.len(), 1, "at least one, however small the limit");
}

fn field() -> impl Strategy<Value = String> {
    "[a-c,\"\r\n é\\\\]{0,6}"
}

/// As RFC 4180 writes it; a field that must be quoted is.
fn write_csv(rows: &[Vec<String>], quote_all: bool, crlf: bool) -> String {
    let mut text = String::new();
    for row in rows {
        let fields: Vec<String> = row
            .iter()
            .map(|field| {
                let must = field.contains([',', '"', '\r', '\n']) || field.is_empty();
                if must || quote_all { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.clone() }
            })
            .collect();
        text += &fields.join(",");
        text += if crlf { "\r\n" } else { "\n" };
    }
    text
}

proptest! {
    #[test]
    fn csv_that_was_written_is_read_back_the_same_whatever_the_limits(
        rows in prop::collection::vec(prop::collection::vec(field(), 3), 0..12),
        quote_all in any::<bool>(), crlf in any::<bool>(), zipped in any::<bool>(),
        limits in prop::collection::vec((1usize..4, 1usize..60), 1..5),
    ) {
        let world = World::new();
        let mut all = vec![vec!["x".to_string(), "y".into(), "z".into()]];
        all.extend(rows.iter().cloned());
        let text = write_csv(&all, quote_all, crlf);
        world.write("x.csv", if zipped { gzip(text.as_bytes()) } else { text.into_bytes() });
        let spec = FileSource { key: Some(Field::Column("y".into())), ..spec(FileFormat::Csv, ValueForm::Json) };
        let mut reader = world.open(&spec, "x.csv", None).unwrap();
        let mut out = SourceBatch::default();
        for (max_events, max_bytes) in limits.iter().cycle() {
            if reader.read(*max_events, *max_bytes, &mut out).unwrap() == ReadStatus::End {
                break;
            }
            // Each read on a fresh reader: positions carry everything.
            reader = world.open(&spec, "x.csv", Some(&reader.position())).unwrap();
        }
        prop_assert!(out.rejected.is_empty(), "{:?}", out.rejected);
        let read: Vec<Vec<String>> = values(&out)
            .iter()
            .map(|v| {
                let object: serde_json::Value = serde_json::from_str(v).unwrap();
                ["x", "y", "z"].map(|c| object[c].as_str().unwrap().to_string()).to_vec()
            })
            .collect();
        prop_assert_eq!(&read, &rows);
        let keys: Vec<String> = keys(&out).into_iter().map(Option::unwrap).collect();
        prop_assert_eq!(keys, rows.iter().map(|r| r[1].clone()).collect::<Vec<_>>());
    }
}
