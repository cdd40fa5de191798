"""What an operator says of itself, and what it refuses: descriptor, configuration, mistakes of its author."""

import unittest
from dataclasses import dataclass

from tidemill import (
    Aggregating, Batch, Config, Counter, Event, EventTimer, Fatal, Gauge, Histogram, Input, List, Map, Operator, Output,
    ProcessingTimer, Reducing, Value,
)
from tidemill.testing import Harness, Record


@dataclass
class Settings:
    limit: int
    prefix: str = ""


class Everything(Operator, version="1.2.3"):
    config_schema = {"type": "object"}

    settings = Config(Settings)
    orders = Input()
    payments = Input()
    last_seen = Value(int)
    by_day = Map(int, str)
    open_items = List(str)
    late_rows = Counter()
    size = Histogram()
    high = Gauge(name="high_water")
    day_end = EventTimer()
    time_out = ProcessingTimer()
    out = Output()

    def process(self, event: Event) -> None:
        text = f"{self.settings.prefix}{self.settings.limit} {event.is_from(self.payments)}"
        self.out.emit("order" if event.is_from(self.orders) else None, text)

    def on_watermark(self, watermark: int) -> None:
        pass


class Declaration(unittest.TestCase):
    def test_fields_are_declared_by_type_name_and_order(self) -> None:
        harness = Harness(Everything, {"limit": 1})
        expected = {
            "descriptor": 1,
            "name": "everything",
            "version": "1.2.3",
            "inputs": [{"name": "orders"}, {"name": "payments"}],
            "outputs": [{"name": "out"}],
            "states": [
                {"name": "last-seen", "kind": "value"},
                {"name": "by-day", "kind": "map"},
                {"name": "open-items", "kind": "list"},
            ],
            "timers": [{"name": "day-end"}, {"name": "time-out"}],
            "metrics": [
                {"name": "late-rows", "kind": "counter"},
                {"name": "size", "kind": "histogram"},
                {"name": "high_water", "kind": "gauge"},
            ],
            "wants": {"watermarks": True},
            "config": {"type": "object"},
        }
        self.assertEqual(harness.descriptor, expected)

    def test_the_configuration_is_typed_and_inputs_are_told_apart(self) -> None:
        harness = Harness(Everything, {"limit": 3, "prefix": ">"})
        harness.send(Record("k"), input=0)
        harness.send(Record("k"), input=1)
        self.assertEqual(harness.output("out"), [Record("order", ">3 False"), Record(None, ">3 True")])

    def test_a_configuration_that_does_not_fit_is_refused_by_name(self) -> None:
        cases = [
            ({}, "missing field `limit`"),
            (None, "missing field `limit`"),
            ([], "no table"),
            ({"limit": "three"}, "`limit` is 'three', no int"),
            ({"limit": True}, "`limit` is True, no int"),
            ({"limit": 3, "limits": 4}, "unknown field `limits`"),
        ]
        for config, wanted in cases:
            with self.assertRaises(Fatal) as refused:
                Harness(Everything, config)
            self.assertIn(wanted, str(refused.exception))
            self.assertIn("operator `everything`", str(refused.exception))

    def test_a_state_says_how_long_its_entries_last(self) -> None:
        class Lasting(Operator):
            seen = Value(int, ttl="10s")
            by_day = Map(int, str, ttl="2d", clock="event", refresh="read-and-write")
            items = List(str, ttl="500ms", refresh="write")
            highest = Reducing(int, max, ttl="5m", clock="processing")
            whole = Aggregating(int, int, int.__add__, str, ttl="1h")

        wanted = [
            ("seen", 10_000, "processing-time", "write"),
            ("by-day", 172_800_000, "event-time", "read-and-write"),
            ("items", 500, "processing-time", "write"),
            ("highest", 300_000, "processing-time", "write"),
            ("whole", 3_600_000, "processing-time", "write"),
        ]
        for state, (name, ms, clock, refresh) in zip(Harness(Lasting).descriptor["states"], wanted, strict=True):
            self.assertEqual((state["name"], state["ttl"]), (name, {"ms": ms, "clock": clock, "refresh": refresh}))

    def test_a_time_to_live_that_cannot_be_meant_is_refused(self) -> None:
        for given, wanted in [
            ({"ttl": "10"}, "write a duration above 0"),
            ({"ttl": "0s"}, "write a duration above 0"),
            ({"ttl": 10}, "write a duration above 0"),
            ({"ttl": "9007199254740992ms"}, "write a duration above 0"),
            ({"ttl": "1s", "clock": "wall"}, 'write "event" or "processing"'),
            ({"ttl": "1s", "refresh": "read"}, 'write "write" or "read-and-write"'),
            ({"clock": "event"}, "are of `ttl`"),
        ]:
            with self.assertRaisesRegex(ValueError, wanted):
                Value(int, **given)

    def test_two_states_of_one_name_are_refused(self) -> None:
        class Twins(Operator):
            same_name = Value(int)
            other = List(int, name="same-name")

        with self.assertRaisesRegex(Fatal, "two states named `same-name`"):
            Harness(Twins)

    def test_a_name_that_cannot_be_written_is_refused(self) -> None:
        class Spaced(Operator):
            out = Output(name="my port")

        with self.assertRaisesRegex(Fatal, "'my port'"):
            Harness(Spaced)

    def test_an_operator_without_process_says_so_and_has_one_input(self) -> None:
        class WordCount(Operator):
            pass

        harness = Harness(WordCount)
        self.assertEqual(harness.descriptor["inputs"], [{"name": "events"}])
        self.assertEqual(harness.descriptor["name"], "word-count")
        self.assertEqual(harness.descriptor["wants"], {"watermarks": False})
        with self.assertRaisesRegex(Fatal, "neither `process` nor `process_batch`"):
            harness.send(Record("k", "v"))

    def test_fields_of_a_base_class_come_first_and_instances_share_nothing(self) -> None:
        class Counted(Operator):
            seen = Counter()

            def process(self, event: Event) -> None:
                self.seen.add()

        class Kept(Counted):
            last = Value(str)
            size = Counter()

        one, two = Harness(Kept), Harness(Kept)
        one.send(Record("k"))
        self.assertEqual((one.metric("seen"), two.metric("seen")), (1, 0))
        self.assertEqual([metric["name"] for metric in one.descriptor["metrics"]], ["seen", "size"])

    def test_a_batch_can_be_handled_as_columns_and_event_by_event(self) -> None:
        class Columnar(Operator):
            seen = Value(int, default=0)
            out = Output()

            def one(self, event: Event) -> None:
                self.seen.update(lambda n: n + 1)
                self.out.emit(event.key, str(len(event.json())))

            def process_batch(self, batch: Batch) -> list[tuple[int, str]]:
                self.out.forward_batch(batch)
                refused = batch.each(self.one)
                self.out.emit(None, f"{len(refused)} of {len(batch.values)}", at=9)
                return refused

        harness = Harness(Columnar)
        harness.send(Record("a", "[1,2]"), Record("a", "["))
        self.assertEqual([record.text() for record in harness.output("out")], ["[1,2]", "[", "2", "1 of 2"])
        self.assertIn("not the JSON", harness.dead_letters()[0].reason)

    def test_keyed_state_outside_an_event_is_a_fatal_mistake_that_is_explained(self) -> None:
        class Keyless(Operator):
            seen = Value(int)

            def close(self) -> None:
                self.seen.set(1)

        with self.assertRaisesRegex(Fatal, "seen: no event is in progress"):
            Harness(Keyless).end()
