"""The aggregate without Wasm."""

import json
import unittest

from main import FlightAggregate
from tidemill import Fatal
from tidemill.testing import AggregateHarness, Record


def flight(origin: str, time: int, delay: str) -> Record:
    return Record(origin, json.dumps({"dep_delay_min": delay}), time)


class TestFlightAggregate(unittest.TestCase):
    def test_a_window_gives_one_result_per_airport_whatever_the_order(self) -> None:
        flights = [flight("JFK", 90, "16"), flight("LGA", 5, "3"), flight("JFK", 10, ""), flight("JFK", 20, "-4")]
        for order in (flights, flights[::-1]):
            harness = AggregateHarness(FlightAggregate, window_ms=100)
            for one in order:
                harness.send(one)
                harness.split()
                harness.replace_instance()
            harness.end()
            span = {"from": 0, "to": 100}
            expected = [
                {"origin": "JFK", **span, "count": 3, "cancelled": 1, "late": 1, "mean": 6.0, "worst": 16},
                {"origin": "LGA", **span, "count": 1, "cancelled": 0, "late": 0, "mean": 3.0, "worst": 3},
            ]
            self.assertEqual([row.json() for row in harness.results()], expected)
            self.assertEqual(harness.metric("results"), 2)

    def test_a_refused_row_leaves_the_accumulator_as_it_was(self) -> None:
        harness = AggregateHarness(FlightAggregate)
        # `add` has counted the flight before it finds that the delay is none.
        harness.send(*(flight("JFK", 1, delay) for delay in ("7", "soon", "9", "later", "2")))
        self.assertEqual(len(harness.dead_letters()), 2)
        harness.end()
        row = harness.results()[0].json()
        self.assertEqual((row["count"], row["mean"]), (3, 6.0))

    def test_a_wrong_setting_is_named(self) -> None:
        with self.assertRaisesRegex(Fatal, "unknown field `treshold_minutes`"):
            AggregateHarness(FlightAggregate, {"treshold_minutes": 2})
