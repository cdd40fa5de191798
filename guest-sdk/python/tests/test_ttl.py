"""Time to live under the native harness: entries age on both clocks as under the real host."""

import unittest

from tidemill import Event, List, Map, Operator, Output, Value
from tidemill.testing import Harness, Record


class Aging(Operator):
    """Notes the event's value in each state, and emits what it finds."""

    brief = Value(int, default=0, ttl="100ms")
    fresh = Map(str, int, ttl="100ms", clock="event", refresh="read-and-write")
    recent = List(str, ttl="100ms", clock="event")
    kept = Value(int, default=0)
    out = Output()

    def process(self, event: Event) -> None:
        verb, _, rest = event.text().partition(" ")
        if verb == "read":
            self.out.emit(event.key, "there" if rest in self.fresh else "-")
            return
        self.kept.update(lambda n: n + 1)
        self.fresh[verb] = 1
        self.recent.append(verb)
        brief = self.brief.update(lambda n: n + 1)
        self.out.emit(event.key, f"{brief} {','.join(self.recent)}")


class TimeToLive(unittest.TestCase):
    def test_entries_age_on_the_clock_and_in_event_time(self) -> None:
        harness = Harness(Aging)

        def ask(text: str, time: int) -> str:
            harness.send(Record("k", text, time))
            return harness.output("out")[0].text()

        harness.clock(1_000)
        self.assertEqual(ask("a", 5_000), "1 a")
        harness.clock(1_099)
        harness.replace_instance()
        self.assertEqual(ask("b", 5_050), "2 a,b", "a millisecond before it is over")
        harness.clock(1_199)
        self.assertEqual(harness.state_entries("brief"), 0, "100 ms after it was written last")
        harness.watermark(5_099)
        self.assertEqual(ask("read a", 0), "there", "a read counts from the watermark")
        harness.watermark(5_150)
        self.assertEqual(ask("read b", 0), "-", "nobody read it")
        self.assertEqual(ask("read a", 0), "there")
        self.assertEqual(ask("c", 5_160), "1 c")
        harness.watermark(6_000)
        left = [harness.state_entries(state) for state in ("fresh", "recent", "kept")]
        self.assertEqual(left, [0, 0, 1], "what is over is freed, what has no time to live stays")
        self.assertEqual(harness.timers(), [], "the operator sees no timer of it")
