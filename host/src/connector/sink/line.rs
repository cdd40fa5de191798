//! One event's value as one line of a JSON-lines file. The file egress writes them.

use crate::connector::json;

/// Appends a line: JSON verbatim (line ends between its tokens become spaces), other text as a JSON string (what is not
/// UTF-8 becomes U+FFFD), a tombstone as `null`.
pub(super) fn write_json_line(value: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(value) = value else {
        out.extend_from_slice(b"null\n");
        return;
    };
    if std::str::from_utf8(value).is_ok() && json::scan(value, &[], &mut []).is_ok() {
        let start = out.len();
        out.extend_from_slice(value);
        // JSON has line ends only between its tokens.
        if memchr::memchr2(b'\n', b'\r', value).is_some() {
            out[start..].iter_mut().filter(|b| matches!(b, b'\n' | b'\r')).for_each(|b| *b = b' ');
        }
        out.push(b'\n');
        return;
    }
    out.push(b'"');
    json::escape(String::from_utf8_lossy(value).as_bytes(), out);
    out.extend_from_slice(b"\"\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_becomes_one_line_of_json() {
        for (value, line) in [
            (Some(&b"{\"a\": 1e3}"[..]), "{\"a\": 1e3}\n"),
            (Some(b"{\n  \"a\":\r\n 1\n}"), "{   \"a\":   1 }\n"),
            (Some(b"17"), "17\n"),
            (Some(b"plain \"text\"\nof two lines"), "\"plain \\\"text\\\"\\nof two lines\"\n"),
            (Some(b""), "\"\"\n"),
            (Some(b"\"a\xFF\""), "\"\\\"a\u{FFFD}\\\"\"\n"),
            (None, "null\n"),
        ] {
            let mut out = Vec::new();
            write_json_line(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), line);
        }
    }
}
