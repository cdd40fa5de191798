"""The operator without Wasm."""

import unittest

from main import Count
from tidemill.testing import Harness, Record


class TestCount(unittest.TestCase):
    def test_counts_go_on_when_the_instance_is_replaced(self) -> None:
        harness = Harness(Count)
        harness.send(Record("a"), Record("b"), Record("a"))
        harness.replace_instance()
        harness.send(Record("a"))
        expected = [Record(key, n) for key, n in [("a", "1"), ("b", "1"), ("a", "2"), ("a", "3")]]
        self.assertEqual(harness.output("counts"), expected)

    def test_an_event_without_a_key_is_refused(self) -> None:
        harness = Harness(Count)
        harness.send(Record(None, "x"), Record("a"))
        self.assertIn("seen: the event has no key", harness.dead_letters()[0].reason)
        self.assertEqual(len(harness.output("counts")), 1)
