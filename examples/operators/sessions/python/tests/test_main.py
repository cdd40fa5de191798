"""The operator without Wasm."""

import unittest

from main import Sessions
from tidemill.testing import Harness, Record

MINUTE_MS = 60_000


def at(*minutes: int) -> list[Record]:
    return [Record("k", "x", minute * MINUTE_MS) for minute in minutes]


def results(harness: Harness) -> list[tuple[int, int, int]]:
    """(start, end, count) in minutes."""
    rows = [record.json() for record in harness.output("sessions")]
    return [(row["start"] // MINUTE_MS, row["end"] // MINUTE_MS, row["count"]) for row in rows]


class TestSessions(unittest.TestCase):
    def setUp(self) -> None:
        self.harness = Harness(Sessions, {"gap_minutes": 10})

    def test_a_gap_ends_a_session_and_one_ms_less_does_not(self) -> None:
        self.harness.send(*at(0, 5, 15), Record("k", "x", 25 * MINUTE_MS - 1))
        self.harness.watermark(25 * MINUTE_MS)
        self.assertEqual(results(self.harness), [(0, 5, 2)])
        self.harness.watermark(35 * MINUTE_MS - 2)
        self.assertEqual(results(self.harness), [(15, 24, 2)])
        self.assertEqual((self.harness.state_entries("open"), self.harness.timers()), (0, []))

    def test_sessions_grow_together_in_whatever_order_the_events_come(self) -> None:
        for order in ([0, 8, 16, 40], [16, 40, 0, 8], [40, 16, 8, 0]):
            harness = Harness(Sessions, {"gap_minutes": 10})
            for minute in order:
                harness.send(*at(minute))
                harness.replace_instance()
            self.assertEqual(len(harness.timers()), 2, "one for each open session")
            harness.end()
            self.assertEqual(results(harness), [(0, 16, 3), (40, 40, 1)], order)

    def test_late_is_what_no_open_session_could_hold(self) -> None:
        self.harness.send(*at(20))
        self.harness.watermark(25 * MINUTE_MS)
        self.harness.send(*at(12, 1))
        self.harness.end()
        self.assertEqual(results(self.harness), [(12, 20, 2)])
        self.assertTrue(self.harness.dead_letters()[0].reason.startswith("late: "))
