"""Ports, timers, metrics, logs and errors: built during the call, undone with a refused event, handed over once."""

import unittest

from tidemill import (
    END_OF_INPUT, Counter, Event, EventTimer, Fatal, Gauge, Histogram, Input, Operator, Output, ProcessingTimer, Reject, Retry,
    Timer, Value, log, rejecting,
)
from tidemill.runner import traceback
from tidemill.testing import Harness, Record


class Effects(Operator):
    left = Input()
    right = Input()
    soon = EventTimer()
    at_clock = ProcessingTimer()
    seen = Counter()
    level = Gauge()
    sizes = Histogram()
    main = Output()
    side = Output(name="by_side")

    def process(self, event: Event) -> None:
        self.seen.add()
        self.level.set(event.timestamp)
        self.sizes.observe(len(event.text()))
        self.main.emit(event.key, event.value)
        self.side.emit(None, "side", headers=[("input", event.key)])
        what = event.text()
        if what == "timer":
            self.soon.register(event.timestamp + 10)
        elif what == "cancel":
            self.soon.cancel(event.timestamp + 10)
        elif what == "clock":
            self.at_clock.register_in(100)
        elif what == "forward":
            self.side.forward(event)
        elif what == "too-late":
            self.main.emit("k", "", at=2**63 - 1)
        elif what == "reject":
            self.soon.register(1)
            log.warn(f"refusing {event.timestamp}")
            raise Reject("told to, on the left" if event.is_from(self.left) else "told to, on the right")

    def on_timer(self, timer: Timer) -> None:
        if timer.key_text() == "bad":
            self.main.emit(timer.key, "never seen")
            raise Reject("a bad key")
        self.main.emit(timer.key, f"{timer.name} {timer.source is self.at_clock} {self.context.now_ms()}")
        if timer.source is self.soon and timer.time < 13:
            self.soon.register(timer.time + 1)

    def on_watermark(self, watermark: int) -> None:
        if watermark != END_OF_INPUT:
            self.side.emit(None, "watermark", at=watermark)

    def close(self) -> None:
        self.side.emit(None, "closed", at=0)


def texts(records: list[Record]) -> list[str]:
    return [record.text() for record in records]


class TestEffects(unittest.TestCase):
    def test_a_refused_event_takes_its_output_timers_and_metrics_with_it(self) -> None:
        harness = Harness(Effects)
        harness.send(Record("a", "x", 1), Record("b", "reject", 2), Record("c", "yy", 3), input=1)
        self.assertEqual(harness.output("main"), [Record("a", "x", 1), Record("c", "yy", 3)])
        side = harness.output("by_side")
        self.assertEqual((len(side), side[1]), (2, Record(None, "side", 3, [("input", b"c")])))
        self.assertEqual(harness.timers(), [])
        self.assertEqual([harness.metric(name) for name in ("seen", "level", "sizes")], [2, 3, 3])
        letters = harness.dead_letters()
        self.assertEqual([(l.record.time, l.reason) for l in letters], [(2, "told to, on the right")])
        self.assertEqual(harness.log(), [("warn", "refusing 2")], "log lines survive")
        self.assertEqual(harness.calls["emit"], 2, "once per port")

    def test_a_refused_first_event_leaves_no_trace_in_headers_or_absent_columns(self) -> None:
        harness = Harness(Effects)
        harness.send(Record("a", "reject"), Record("b", "forward", 0, [("h", b"1")]))
        expected = [Record(None, "side", 0, [("input", b"b")]), Record("b", "forward", 0, [("h", b"1")])]
        self.assertEqual(harness.output("by_side"), expected)

    def test_timers_fire_by_watermark_earliest_first_and_what_they_register_fires_too(self) -> None:
        harness = Harness(Effects)
        harness.send(Record("b", "timer", 1), Record("a", "timer", 0), Record("a", "timer", 0))
        self.assertEqual(len(harness.timers()), 2, "the same timer twice is one")
        harness.output("main")
        harness.watermark(9)
        self.assertEqual(harness.output("main"), [])
        harness.watermark(20)
        fired = harness.output("main")
        self.assertEqual([r.time for r in fired if r.key == b"a"], [10, 11, 12, 13])
        self.assertEqual([r.time for r in fired if r.key == b"b"], [11, 12, 13])
        self.assertEqual(harness.timers(), [])

    def test_a_timer_taken_back_does_not_fire(self) -> None:
        harness = Harness(Effects)
        harness.send(Record("a", "timer"), Record("b", "timer"), Record("b", "cancel"))
        self.assertEqual(harness.timers(), [("event-time", "soon", b"a", 10)])
        harness.send(Record("a", "cancel"))
        self.assertEqual(harness.timers(), [])

    def test_a_refused_timer_goes_to_the_dead_letters_and_the_others_fire(self) -> None:
        harness = Harness(Effects)
        harness.send(Record("bad", "timer", 5), Record("good", "timer", 5))
        harness.output("main")
        harness.end()
        self.assertEqual(texts(harness.output("main")), ["soon False 0"])
        self.assertEqual([(l.record.time, l.reason) for l in harness.dead_letters()], [(15, "a bad key")])

    def test_processing_time_timers_follow_the_clock_alone(self) -> None:
        harness = Harness(Effects)
        harness.clock(1_000)
        harness.send(Record("a", "clock"))
        harness.output("main")
        harness.watermark(1_000_000)
        harness.clock(1_099)
        self.assertEqual(harness.output("main"), [])
        harness.clock(1_100)
        self.assertEqual(texts(harness.output("main")), ["at-clock True 1100"])

    def test_watermarks_and_the_end_reach_the_operator(self) -> None:
        harness = Harness(Effects)
        harness.watermark(5)
        harness.watermark(4)
        harness.end()
        self.assertEqual(texts(harness.output("by_side")), ["watermark", "closed"])

    def test_a_time_outside_the_range_refuses_the_event(self) -> None:
        harness = Harness(Effects)
        harness.send(Record("a", "too-late"), Record("a", "x"))
        self.assertIn("port `main`: 9223372036854775807 ms is no time", harness.dead_letters()[0].reason)
        self.assertEqual(texts(harness.output("main")), ["x"])

    def test_much_output_is_emitted_in_pieces_and_in_order(self) -> None:
        harness = Harness(Effects)
        big = "x" * 100_000
        harness.send(*(Record("k", big, t) for t in range(10)))
        self.assertEqual([r.time for r in harness.output("main")], list(range(10)))
        self.assertEqual(harness.calls["emit"], 4 + 1, "1 MB in pieces of 256 KiB, and the other port")


class Failing(Operator):
    seen = Value(int, default=0)
    out = Output()

    def process(self, event: Event) -> None:
        self.seen.update(lambda n: n + 1)
        self.out.emit(event.key, str(self.seen.get()))
        what = event.text()
        if what == "retry":
            raise Retry(7)
        if what == "fatal":
            raise Fatal("told to")
        if what == "bug":
            raise KeyError("nothing")
        if what == "number":
            with rejecting(ValueError):
                int(what)


class TestErrors(unittest.TestCase):
    def test_a_failed_call_leaves_nothing_and_the_instance_goes_on(self) -> None:
        harness = Harness(Failing)
        with self.assertRaises(Retry) as retry:
            harness.send(Record("k", "x"), Record("k", "retry"))
        self.assertEqual(retry.exception.after_ms, 7)
        with self.assertRaisesRegex(Fatal, "^told to$"):
            harness.send(Record("k", "x"), Record("k", "fatal"))
        with self.assertRaisesRegex(Fatal, r"KeyError: 'nothing' \(at event or timer 1 of the call\)"):
            harness.send(Record("k", "x"), Record("k", "bug"))
        (level, line), = harness.log()
        self.assertEqual(level, "error")
        self.assertRegex(line, r"^Traceback \(most recent call last\):\n(  File .*\n)+KeyError: 'nothing' \(at event or timer 1 of")
        self.assertRegex(line, r'File ".*test_effects.py", line \d+, in process')
        harness.send(Record("k", "x"))
        self.assertEqual(texts(harness.output("out")), ["1"])
        self.assertEqual(harness.dead_letters(), [])

    def test_a_traceback_shows_what_led_to_it(self) -> None:
        try:
            try:
                {}["a"]
            except KeyError as error:
                raise ValueError("b") from error
        except ValueError as error:
            shown = traceback(error)
        self.assertRegex(shown, r"(?s)^Traceback.*KeyError: 'a'\nwhich led to:\nTraceback.*ValueError: b$")

    def test_rejecting_makes_of_an_exception_a_refusal(self) -> None:
        harness = Harness(Failing)
        harness.send(Record("k", "number"), Record("k", b"\xff"), Record(None, "x"), Record("k", None))
        reasons = [letter.reason for letter in harness.dead_letters()]
        self.assertEqual(reasons[0], "ValueError: invalid literal for int() with base 10: 'number'")
        self.assertIn("the value is not UTF-8 text", reasons[1])
        self.assertEqual(reasons[2], "seen: the event has no key; give the source or the upstream operator one")
        self.assertEqual(reasons[3], "the event has no value; text is needed")
        self.assertEqual(harness.state_entries("seen"), 0)

    def test_what_is_neither_bytes_nor_text_cannot_be_emitted(self) -> None:
        class Number(Operator):
            out = Output()

            def process(self, event: Event) -> None:
                self.out.emit(event.key, 5)  # type: ignore[arg-type]

        with self.assertRaisesRegex(Fatal, "the value is 5: bytes, text or None"):
            Harness(Number).send(Record("k"))

    def test_json_that_is_none_is_fatal(self) -> None:
        class NotANumber(Operator):
            out = Output()

            def process(self, event: Event) -> None:
                self.out.emit_json(event.key, {"x": float("nan")})

        with self.assertRaisesRegex(Fatal, "cannot be written as JSON"):
            Harness(NotANumber).send(Record("k"))
