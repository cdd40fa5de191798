//! JSON checked and searched in place, without building it: file sources find times and keys with it, the file sink asks
//! whether a value is JSON. RFC 8259, strictly; as in serde_json, of two members of one name the last one counts.

use std::ops::Range;

/// Deepest nesting that is followed; deeper text is refused, so that no input can use up the stack.
const DEPTH_MAX: usize = 128;

/// A JSON pointer (RFC 6901), taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Pointer {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug)]
struct Token {
    name: String,
    /// What it means in an array.
    index: Option<usize>,
}

/// Why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    /// Byte of the text, from 0.
    pub(crate) at: usize,
    /// What is wrong there.
    pub(crate) what: &'static str,
}

impl Pointer {
    /// From its text, checked by the config.
    pub(crate) fn new(text: &str) -> Pointer {
        let token = |escaped: &str| {
            let name = escaped.replace("~1", "/").replace("~0", "~");
            let canonical = name == "0" || !name.starts_with('0');
            let index = if canonical && name.bytes().all(|b| b.is_ascii_digit()) { name.parse().ok() } else { None };
            Token { name, index }
        };
        Pointer { tokens: text.split('/').skip(1).map(token).collect() }
    }
}

/// Checks that `text` is one JSON value (valid UTF-8 is the caller's part) and notes where the values of up to 32
/// pointers lie.
pub(crate) fn scan(text: &[u8], pointers: &[Pointer], found: &mut [Option<Range<usize>>]) -> Result<(), JsonError> {
    debug_assert!(pointers.len() <= 32 && pointers.len() == found.len());
    found.fill(None);
    let mut scanner = Scanner { text, at: 0, pointers, found };
    let active = ((1u64 << pointers.len()) - 1) as u32;
    scanner.space();
    let whole = scanner.value(0, active).and_then(|()| {
        scanner.space();
        if scanner.at < text.len() { Err("text after the value") } else { Ok(()) }
    });
    whole.map_err(|what| JsonError { at: scanner.at, what })
}

/// The text of a JSON string given without its quotes; `None` when it escapes half a surrogate pair.
pub(crate) fn unescape(inner: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = inner;
    while let Some(backslash) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..backslash]);
        let code = *rest.get(backslash + 1)?;
        rest = &rest[backslash + 2..];
        match code {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let mut point = hex4(&mut rest)?;
                if (0xD800..0xDC00).contains(&point) {
                    rest = rest.strip_prefix(b"\\u")?;
                    let low = hex4(&mut rest)?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
                    point = 0x1_0000 + ((point - 0xD800) << 10) + low;
                }
                out.extend_from_slice(char::from_u32(point)?.encode_utf8(&mut [0; 4]).as_bytes());
            }
            literal => out.push(literal),
        }
    }
    out.extend_from_slice(rest);
    Some(())
}

fn hex4(rest: &mut &[u8]) -> Option<u32> {
    let (digits, tail) = rest.split_at_checked(4)?;
    *rest = tail;
    digits.iter().try_fold(0, |n, b| Some(n * 16 + char::from(*b).to_digit(16)?))
}

/// Writes text as the inside of a JSON string.
#[inline]
pub(crate) fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut plain = 0;
    for (i, byte) in text.iter().enumerate() {
        if !STOPS[usize::from(*byte)] {
            continue;
        }
        out.extend_from_slice(&text[plain..i]);
        plain = i + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let (high, low) = (HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
    out.extend_from_slice(&text[plain..]);
}

/// Bytes that a JSON string does not hold as they are.
static STOPS: [bool; 256] = {
    let mut stops = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        stops[control] = true;
        control += 1;
    }
    stops[b'"' as usize] = true;
    stops[b'\\' as usize] = true;
    stops
};

/// How many bytes of a string come before the first that it does not hold as it is: eight at a time.
#[inline]
fn plain(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let stops = stops_of(u64::from_le_bytes(*word));
        if stops != 0 {
            return i * 8 + stops.trailing_zeros() as usize / 8;
        }
    }
    words.len() * 8 + rest.iter().take_while(|byte| !STOPS[usize::from(**byte)]).count()
}

/// The highest bit of each byte that is in [`STOPS`]; bits above the lowest that is set may be wrong, as carries run
/// upwards (S. Anderson, "Bit Twiddling Hacks", determine if a word has a byte less than n).
#[inline]
fn stops_of(word: u64) -> u64 {
    const EACH: u64 = u64::MAX / 255;
    let below = |word: u64, n: u8| word.wrapping_sub(EACH * u64::from(n)) & !word;
    let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    (below(word, 0x20) | is(b'"') | is(b'\\')) & (EACH << 7)
}

struct Scanner<'t, 's> {
    text: &'t [u8],
    at: usize,
    pointers: &'s [Pointer],
    found: &'s mut [Option<Range<usize>>],
}

/// What is wrong at the scanner's place.
type Wrong = &'static str;

impl Scanner<'_, '_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// One value. `active`: the pointers whose first `depth` tokens led here.
    #[inline]
    fn value(&mut self, depth: usize, active: u32) -> Result<(), Wrong> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'{') => self.object(depth, active),
            Some(b'[') => self.array(depth, active),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(_) => Err("not a JSON value"),
            None => Err("the text ends where a value should be"),
        }
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), Wrong> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err("not a JSON value")
        }
    }

    fn deeper(&mut self, depth: usize) -> Result<(), Wrong> {
        if depth >= DEPTH_MAX { Err("nested too deeply") } else { Ok(()) }
    }

    fn object(&mut self, depth: usize, active: u32) -> Result<(), Wrong> {
        self.deeper(depth)?;
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err("a member's name in quotes should be here");
            }
            let start = self.at + 1;
            let escaped = self.string()?;
            let name = start..self.at - 1;
            self.space();
            if self.peek() != Some(b':') {
                return Err("':' should be here");
            }
            self.at += 1;
            self.space();
            let matching = if active == 0 { 0 } else { self.members(depth, active, name, escaped) };
            self.child(depth, matching)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err("',' or '}' should be here"),
            }
            self.space();
        }
        self.at += 1;
        Ok(())
    }

    fn array(&mut self, depth: usize, active: u32) -> Result<(), Wrong> {
        self.deeper(depth)?;
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        for index in 0.. {
            let matching = if active == 0 { 0 } else { self.choose(depth, active, |token| token.index == Some(index)) };
            self.child(depth, matching)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err("',' or ']' should be here"),
            }
            self.space();
        }
        self.at += 1;
        Ok(())
    }

    /// The pointers that go on at a member. A repeated member undoes what an earlier one of the same name gave.
    fn members(&mut self, depth: usize, active: u32, name: Range<usize>, escaped: bool) -> u32 {
        let raw = &self.text[name];
        if !escaped {
            return self.choose(depth, active, |token| token.name.as_bytes() == raw);
        }
        let mut plain = Vec::new();
        match unescape(raw, &mut plain) {
            Some(()) => self.choose(depth, active, |token| token.name.as_bytes() == plain),
            None => 0,
        }
    }

    #[inline]
    fn choose(&mut self, depth: usize, active: u32, fits: impl Fn(&Token) -> bool) -> u32 {
        let mut matching = 0;
        for (i, pointer) in self.pointers.iter().enumerate() {
            if active & (1 << i) != 0 && pointer.tokens.get(depth).is_some_and(&fits) {
                matching |= 1 << i;
                self.found[i] = None;
            }
        }
        matching
    }

    #[inline]
    fn child(&mut self, depth: usize, matching: u32) -> Result<(), Wrong> {
        let start = self.at;
        self.value(depth + 1, matching)?;
        if matching != 0 {
            for (i, pointer) in self.pointers.iter().enumerate() {
                if matching & (1 << i) != 0 && pointer.tokens.len() == depth + 1 {
                    self.found[i] = Some(start..self.at);
                }
            }
        }
        Ok(())
    }

    /// A string, quotes and all; says whether it holds an escape.
    #[inline]
    fn string(&mut self) -> Result<bool, Wrong> {
        self.at += 1;
        self.at += plain(&self.text[self.at..]);
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(false);
        }
        self.rest_of_string()
    }

    /// The rest of a string from its first escape on.
    fn rest_of_string(&mut self) -> Result<bool, Wrong> {
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(true);
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
                        Some(b'u') => {
                            let digits = self.text.get(self.at + 1..self.at + 5);
                            if !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
                                return Err("\\u needs four hexadecimal digits");
                            }
                            self.at += 5;
                        }
                        _ => return Err("not an escape of JSON"),
                    }
                }
                Some(_) => return Err("a control character in a string; escape it"),
                None => return Err("the text ends in a string"),
            }
            self.at += plain(&self.text[self.at..]);
        }
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Wrong> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err("a digit should be here") } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), Wrong> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if let Some(b'0'..=b'9') = self.peek() {
                return Err("a number does not begin with 0");
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn find<'t>(text: &'t str, pointer: &str) -> Result<Option<&'t str>, JsonError> {
        let mut found = [None];
        scan(text.as_bytes(), &[Pointer::new(pointer)], &mut found)?;
        Ok(found[0].clone().map(|range| &text[range]))
    }

    #[test]
    fn pointers_find_their_values_as_written() {
        let text =
            r#" {"a": {"b": [10, {"c": "x\ny"}], "": 1e3}, "p/q": 5, "m~n": null, "\u0061\u0062": true, "a2": {}} "#;
        for (pointer, value) in [
            ("/a/b/0", Some("10")),
            ("/a/b/1/c", Some(r#""x\ny""#)),
            ("/a/b/01", None),
            ("/a/b/2", None),
            ("/a/", Some("1e3")),
            ("/p~1q", Some("5")),
            ("/m~0n", Some("null")),
            ("/ab", Some("true")),
            ("/a2", Some("{}")),
            ("/a2/x", None),
            ("/none", None),
        ] {
            assert_eq!(find(text, pointer), Ok(value), "{pointer}");
        }
        assert_eq!(find(r#"{"a":{"b":1},"a":{}}"#, "/a/b"), Ok(None));
        assert_eq!(find(r#"{"a":1,"a":2}"#, "/a"), Ok(Some("2")));
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for (text, at) in [
            ("", 0),
            ("{", 1),
            ("{\"a\":1,}", 7),
            ("[1,]", 3),
            ("01", 1),
            ("-", 1),
            ("1.", 2),
            ("1e", 2),
            ("tru", 0),
            ("\"a", 2),
            ("\"\\x\"", 2),
            ("\"\\u12g4\"", 2),
            ("\"a\nb\"", 2),
            ("{} {}", 3),
            ("{'a':1}", 1),
            ("{\"a\" 1}", 5),
        ] {
            let error = find(text, "/a").unwrap_err();
            assert_eq!(error.at, at, "{text}: {error:?}");
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        assert_eq!(find(&deep, "/a").unwrap_err().what, "nested too deeply");
    }

    #[test]
    fn escaping_and_unescaping_are_each_others_inverse() {
        let all: String = (0..0x250u32).filter_map(char::from_u32).chain(['\u{1F600}', '\u{FFFD}']).collect();
        let mut escaped = b"\"".to_vec();
        escape(all.as_bytes(), &mut escaped);
        escaped.push(b'"');
        assert_eq!(serde_json::from_slice::<String>(&escaped).unwrap(), all);
        let mut back = Vec::new();
        unescape(&escaped[1..escaped.len() - 1], &mut back).unwrap();
        assert_eq!(back, all.as_bytes());
        back.clear();
        unescape(br"\ud83d\ude00\/", &mut back).unwrap();
        assert_eq!(back, "\u{1F600}/".as_bytes());
        for half in [r"\ud83d", r"\ud83dx", r"\ud83d\u0041", r"\ude00"] {
            assert_eq!(unescape(half.as_bytes(), &mut Vec::new()), None, "{half}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[ab\"\\\\\n/~é]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[ab/~\"é]{0,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_of_a_document_is_found_where_serde_json_finds_it(
            value in json(), pretty in any::<bool>(), pointer in "(/([ab]|~1|~0|é|0|1|2)){1,3}",
        ) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            // As read back: serde_json may read a number one unit in the last place beside what it wrote.
            let value: Value = serde_json::from_str(&text).unwrap();
            let found = find(&text, &pointer).unwrap().map(|t| serde_json::from_str::<Value>(t).unwrap());
            prop_assert_eq!(found.as_ref(), value.pointer(&pointer));
        }

        #[test]
        fn text_is_accepted_if_serde_json_accepts_it(text in "[\\[\\]{}:,\"0-9eE.+\\- ntrufalse\\\\]{0,12}") {
            // serde_json alone refuses numbers too large for f64: ask for them as raw tokens, by a type that ignores.
            let by_serde = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(find(&text, "/a").is_ok(), by_serde);
        }
    }
}
