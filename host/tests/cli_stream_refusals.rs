//! The verbs on streams refuse what cannot be done: the error names the stream, the segment where there is one, and the mend, and the
//! stream is afterwards what it was. With and without an owner that runs beside.

mod tidemill;

use tidemill::DataDir;

/// An append of the wrong kind, a bad cut, a sealed segment, a stream that is not there.
#[test]
fn nothing_is_changed_by_what_is_refused() {
    let data = DataDir::new();
    data.run(&["stream", "create", "demo/s", "--segments", "2"]).ok();
    data.run_with(&["stream", "append", "demo/s", "--key", "k"], b"1\n2\n3\n").ok();
    data.run(&["stream", "scale", "demo/s", "--segments", "3"]).ok();
    let state = || {
        let described = data.run(&["stream", "describe", "demo/s", "--json"]).json();
        (described, data.run(&["stream", "cat", "demo/s"]).ok())
    };
    let before = state();
    let refused = |args: &[&str], stdin: &[u8], says: &[&str]| {
        let error = data.run_with(args, stdin).error();
        for word in says {
            assert!(error.contains(word), "{args:?}: {error} does not say {word:?}");
        }
        assert_eq!(state(), before, "{args:?}");
    };
    let mut large = vec![b'x'; (8 << 20) + 1];
    large.push(b'\n');
    for writer in [&[][..], &["--writer-id", "w"]] {
        let append = [&["stream", "append", "demo/s"], writer].concat();
        refused(&append, &large, &["line 1 of stdin", "demo/s", "too large", "split it"]);
        refused(&[&append[..], &["--json-lines"]].concat(), b"{\"value\": }\n", &["line 1 of stdin"]);
    }
    refused(&["stream", "append", "demo/none"], b"x\n", &["no stream demo/none", "tidemill stream create demo/none"]);
    refused(&["stream", "scale", "demo/s", "--split", "0"], b"", &["demo/s", "segment 0 is none of the active ones"]);
    refused(&["stream", "scale", "demo/s", "--split-at", "1.5"], b"", &["demo/s", "a fraction above 0 and below 1"]);
    refused(&["stream", "scale", "demo/none", "--segments", "2"], b"", &["no stream demo/none"]);
    refused(&["stream", "truncate", "demo/s", "--cut", "nonsense"], b"", &["is no stream cut"]);
    let past_the_tail = "1.1:0-ffffffffffffffff=1@9999";
    refused(&["stream", "truncate", "demo/s", "--cut", past_the_tail], b"", &["demo/s", "segment 1"]);
    let of_another = "7.1:0-ffffffffffffffff=1@0";
    refused(&["stream", "truncate", "demo/s", "--cut", of_another], b"", &["take a cut of this stream"]);
    refused(&["stream", "tail", "demo/none"], b"", &["no stream demo/none", "tidemill stream list"]);
    refused(&["txn", "abort", "77"], b"", &["transaction 77 is unknown"]);

    data.run(&["stream", "seal", "demo/s"]).ok();
    let sealed = state();
    for writer in [&[][..], &["--writer-id", "w"]] {
        let append = [&["stream", "append", "demo/s"], writer].concat();
        let error = data.run_with(&append, b"late\n").error();
        assert!(error.contains("stream demo/s is sealed: it takes no more events, use another one"), "{error}");
        assert_eq!(state(), sealed);
    }
    data.run(&["stream", "delete", "demo/s"]).ok();
    let error = data.run_with(&["stream", "append", "demo/s"], b"late\n").error();
    assert!(error.contains("no stream demo/s"), "{error}");
}

#[test]
fn a_name_without_its_scope_is_told_before_anything_is_opened() {
    let data = DataDir::new();
    let done = data.run(&["stream", "create", "events"]);
    assert!(done.code != 0 && done.stderr.contains("scope/"), "{}", done.stderr);
    assert!(!data.path().exists(), "nothing was made");
}
