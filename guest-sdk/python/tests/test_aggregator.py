"""Window aggregates: folding, merging, rows, and refused events that leave their accumulator as it was."""

import unittest
from typing import Any

from tidemill import Aggregator, Counter, Event, Fatal, Output, Reject, Rows, Window
from tidemill.columns import OptionalColumns, pack, pack_optional, pack_u32, unpack
from tidemill.testing import AggregateHarness, Record, to_columns


class Numbers(Aggregator, accumulator=list):
    """Keeps the numbers themselves, changed in place; refuses what is negative after having taken it."""

    taken = Counter()

    def start(self) -> list[int]:
        return []

    def add(self, accumulator: list[int], event: Event) -> None:
        accumulator.append(int(event.text()))
        self.taken.add()
        if accumulator[-1] < 0:
            raise Reject("negative")

    def merge(self, earlier: list[int], later: list[int]) -> None:
        earlier.extend(later)

    def finish(self, window: Window, accumulator: list[int], rows: Rows) -> None:
        for number in accumulator:
            rows.emit_json({"n": number, "window": [window.start, window.end, window.firing]}, key="own", headers=[("h", b"1")])


class Total(Aggregator, accumulator=int):
    def start(self) -> int:
        return 0

    def add(self, accumulator: int, event: Event) -> Any:
        return None if event.text() == "forgotten" else accumulator + int(event.text())

    def merge(self, earlier: int, later: int) -> int:
        return earlier + later

    def finish(self, window: Window, accumulator: int, rows: Rows) -> None:
        rows.emit(str(accumulator))


def numbers(*values: int) -> list[Record]:
    return [Record("k", str(value)) for value in values]


class TestAggregator(unittest.TestCase):
    def test_it_describes_itself(self) -> None:
        descriptor = AggregateHarness(Numbers).descriptor
        self.assertEqual((descriptor["name"], descriptor["inputs"]), ("numbers", [{"name": "events"}]))
        self.assertEqual(descriptor["outputs"], [{"name": "results"}])
        self.assertEqual(descriptor["metrics"], [{"name": "taken", "kind": "counter"}])

    def test_folding_in_one_call_in_two_and_merging_give_the_same_rows(self) -> None:
        for road in ("one call", "two calls", "two pieces"):
            harness = AggregateHarness(Total, window_ms=100)
            if road == "one call":
                harness.send(*numbers(1, 2, 3), Record("a", "5", 99), Record("a", "6", 100))
            else:
                harness.send(*numbers(1), Record("a", "5", 99))
                if road == "two pieces":
                    harness.split()
                harness.replace_instance()
                harness.send(*numbers(2, 3), Record("a", "6", 100))
            harness.end()
            self.assertEqual(harness.results(), [Record("a", "5", 99), Record("k", "6", 99), Record("a", "6", 199)], road)

    def test_a_refused_event_leaves_its_accumulator_as_it_was(self) -> None:
        harness = AggregateHarness(Numbers)
        harness.send(*numbers(7))
        harness.send(*numbers(1, -1, 2, -2, -3, 3))
        harness.end()
        rows = harness.results()
        self.assertEqual([row.json()["n"] for row in rows], [7, 1, 2, 3])
        self.assertEqual(rows[0].json()["window"], [0, 1000, 0])
        self.assertEqual((rows[0].key, rows[0].headers), (b"own", (("h", b"1"),)))
        self.assertEqual([letter.reason for letter in harness.dead_letters()], ["negative"] * 3)
        self.assertEqual(harness.metric("taken"), 4, "refused events are not counted, and none twice")

    def test_groups_are_folded_apart_and_a_new_one_may_stay_empty(self) -> None:
        runner = AggregateHarness(Numbers)._runner
        events, groups = to_columns(numbers(1, 2, -5, 3)), pack_u32([0, 1, 2, 0])
        accumulators, refused = runner.accumulate(events, groups, pack_optional([None, b"[9]", None]))
        self.assertEqual((unpack(accumulators), refused), ([b"[1,3]", b"[9,2]", b"[]"], [(2, "negative")]))
        self.assertEqual(unpack(runner.merge(pack_u32([1, 0, 1]), pack([b"[1]", b"[2]", b"[3]"]))), [b"[2]", b"[1,3]"])

    def test_a_forgotten_return_is_a_fatal_mistake_that_is_explained(self) -> None:
        with self.assertRaisesRegex(Fatal, "have to return the new accumulator"):
            AggregateHarness(Total).send(Record("k", "forgotten"))

    def test_bytes_that_are_no_accumulator_are_fatal(self) -> None:
        harness = AggregateHarness(Total)
        with self.assertRaisesRegex(Fatal, "cannot be read as the declared type"):
            harness._runner.merge(pack_u32([0]), pack([b"short"]))
        self.assertEqual(harness.log(), [], "no bug of the author's")

    def test_what_only_operators_have_is_refused(self) -> None:
        class WithPort(Aggregator):
            out = Output()

        with self.assertRaisesRegex(Fatal, "window aggregate `with-port` declares `out`"):
            AggregateHarness(WithPort)

    def test_no_events_and_no_windows_are_possible(self) -> None:
        runner = AggregateHarness(Total)._runner
        empty = OptionalColumns(b"", b"", b"")
        self.assertEqual(runner.accumulate(to_columns([]), b"", empty), (pack([]), []))
        self.assertEqual(runner.merge(b"", pack([])), pack([]))
        self.assertEqual(runner.finish(pack([]), [], pack([])), (to_columns([]), b""))
