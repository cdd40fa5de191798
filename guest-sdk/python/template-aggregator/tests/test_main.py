"""The aggregate without Wasm."""

import unittest

from main import Longest
from tidemill.testing import AggregateHarness, Record


class TestLongest(unittest.TestCase):
    def test_a_window_gives_one_result_per_key(self) -> None:
        harness = AggregateHarness(Longest, window_ms=10)
        events = [("a", "tide", 1), ("b", "mill", 2), ("a", "sea", 9), ("a", "flood", 12)]
        harness.send(*(Record(key, text, time) for key, text, time in events))
        harness.split()
        harness.send(Record("a", b"\xff", 3))
        harness.end()
        results = [(row.key, row.json()["events"], row.json()["longest"]) for row in harness.results()]
        self.assertEqual(results, [(b"a", 2, 4), (b"b", 1, 4), (b"a", 1, 5)])
        self.assertEqual(len(harness.dead_letters()), 1, "what is no text is refused and does not count")
