"""The operator without Wasm."""

import unittest

from main import Longest
from tidemill.testing import Harness, Record


class TestLongest(unittest.TestCase):
    def test_only_a_longer_value_of_the_same_key_comes_out(self) -> None:
        harness = Harness(Longest)
        lines = [("a", "tide"), ("b", "mill"), ("a", "sea"), ("a", "flood")]
        harness.send(*(Record(key, line) for key, line in lines))
        self.assertEqual([record.text() for record in harness.output("lines")], ["tide", "mill", "flood"])

    def test_bytes_that_are_no_text_are_refused(self) -> None:
        harness = Harness(Longest)
        harness.send(Record("a", b"\xff"))
        self.assertEqual(len(harness.dead_letters()), 1)
