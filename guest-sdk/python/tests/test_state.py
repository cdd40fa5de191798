"""Every kind of keyed state: typed, cached per call, undone with a refused event, the same on another instance."""

import json
import unittest
from dataclasses import dataclass
from typing import Any

from tidemill import Aggregating, Codec, Event, Fatal, List, Map, Operator, Output, Reducing, Reject, Value
from tidemill.codec import sub_key_of
from tidemill.testing import Harness, Record


@dataclass
class Account:
    name: str
    cents: int


class Script(Operator):
    """Does what the lines of the event's value say, as Python; refuses the event where one says `reject`."""

    account = Value(Account, default=lambda: Account("nnn", 0))
    note = Value(str)
    tags = Value(list, default=list)
    named = Map(int, str)
    by_name = Map((int, str), dict)
    items = List(int)
    highest = Reducing(int, max)
    mean = Aggregating(list, lambda: [0, 0], lambda a, n: [a[0] + n, a[1] + 1], lambda a: a[0] / a[1])
    out = Output()

    def credit(self, cents: int) -> None:
        self.account.update(lambda a: Account(a.name, a.cents + cents))

    def process(self, event: Event) -> None:
        for line in event.text().splitlines():
            if line == "reject":
                raise Reject("told to")
            names = {"s": self, "key": event.key}
            if line.startswith("? "):
                found: Any = eval(line[2:], names)
                found = vars(found) if isinstance(found, Account) else found
                self.out.emit_json(event.key, found)
            else:
                exec(line, names)


def run(harness: Harness, *lines: str) -> list[Any]:
    harness.send(*(Record("k", line) for line in lines))
    return [record.json() for record in harness.output("out")]


class TestState(unittest.TestCase):
    def both_ways(self, before: list[str], after: list[str], expected: list[Any]) -> None:
        """In one call, and with the first part in an earlier call of an earlier instance."""
        self.assertEqual(run(Harness(Script), *before, *after), expected, "in one call")
        harness = Harness(Script)
        run(harness, *before)
        harness.replace_instance()
        self.assertEqual(run(harness, *after), expected, "over stored state")
        self.assertEqual(harness.dead_letters(), [])

    def test_a_value_is_got_set_changed_taken_and_cleared(self) -> None:
        self.both_ways(
            ["s.credit(5)", "s.note.set('a')", "s.tags.set(['x'])"],
            ["s.credit(2)", "? s.account.take()", "? s.account.get()", "? s.note.get()", "s.note.clear()", "? s.note.get()",
             "? s.tags.take()", "? s.tags.get()"],
            [{"name": "nnn", "cents": 7}, {"name": "nnn", "cents": 0}, "a", None, ["x"], []],
        )

    def test_changing_what_was_read_changes_no_state(self) -> None:
        self.both_ways(
            ["s.tags.set(['x'])", "s.by_name.set((1, 'a'), {'n': 1})"],
            ["s.tags.get().append('y')", "s.by_name[1, 'a']['n'] = 2", "? [s.tags.get(), s.by_name[1, 'a']]"],
            [[["x"], {"n": 1}]],
        )

    def test_a_map_is_ordered_and_knows_what_the_call_wrote(self) -> None:
        self.both_ways(
            [f"s.named[{n}] = 'v{n}'" for n in (7, -300, 0, 255, 256, 5, -1)],
            ["s.named[6] = 'new'", "del s.named[0]", "s.named[7] = 'changed'", "? s.named.items()", "? s.named.items(-1, 7)",
             "? s.named.items(limit=2)", "? [s.named.get(0), s.named.get(0, 'd'), 0 in s.named, 6 in s.named, s.named.pop(5)]",
             "? s.named.update(5, lambda v: v + '!', 'none')", "? s.named.keys()"],
            [
                [[-300, "v-300"], [-1, "v-1"], [5, "v5"], [6, "new"], [7, "changed"], [255, "v255"], [256, "v256"]],
                [[-1, "v-1"], [5, "v5"], [6, "new"]],
                [[-300, "v-300"], [-1, "v-1"]],
                [None, "d", False, True, "v5"],
                "none!",
                [-300, -1, 5, 6, 7, 255, 256],
            ],
        )

    def test_pairs_sort_by_the_number_first(self) -> None:
        self.both_ways(
            ["s.by_name[2, 'a'] = {}", "s.by_name[-1, 'z'] = {}", "s.by_name[2, 'Z'] = {}"],
            ["? s.by_name.keys()", "? s.by_name.items((2, 'a'))"],
            [[[-1, "z"], [2, "Z"], [2, "a"]], [[[2, "a"], {}]]],
        )

    def test_a_cleared_map_is_empty_and_can_be_filled_again(self) -> None:
        self.both_ways(
            ["s.named[1] = 'old'", "s.named[2] = 'old'"],
            ["s.named.clear()", "? s.named.get(1)", "s.named[2] = 'new'", "? s.named.items()"],
            [None, [[2, "new"]]],
        )

    def test_a_list_gives_back_what_was_appended_in_order(self) -> None:
        self.both_ways(
            ["s.items.extend([3, 1, 2])", "s.items.append(9)", "s.items.append(8)"],
            ["s.items.append(7)", "? s.items.get()", "s.items.set([4])", "s.items.append(5)", "? list(s.items)", "? s.items.take()",
             "? s.items.get()"],
            [[3, 1, 2, 9, 8, 7], [4, 5], [4, 5], []],
        )

    def test_reducing_and_aggregating_state_fold(self) -> None:
        self.both_ways(
            ["s.highest.add(4)\ns.mean.add(4)", "s.highest.add(10)\ns.mean.add(10)"],
            ["s.highest.add(-2)\ns.mean.add(-2)", "? [s.highest.get(), s.mean.get()]", "s.mean.clear()", "? s.mean.get()"],
            [[10, 4.0], None],
        )

    def test_a_refused_event_leaves_every_kind_as_it_was(self) -> None:
        undone = "\n".join([
            "s.credit(100)", "s.account.take()", "s.note.set('gone')", "s.tags.set(['gone'])", "s.named[1] = 'gone'",
            "del s.named[2]", "s.named.clear()", "s.named[3] = 'gone'", "s.items.append(99)", "s.items.clear()", "s.items.append(98)",
            "s.highest.add(1000)", "s.mean.add(1000)", "reject",
        ])
        before = ["s.credit(5)", "s.note.set('kept')", "s.tags.set(['t'])", "s.named[2] = 'kept'", "s.items.append(1)",
                  "s.highest.add(1)", "s.mean.add(1)"]
        after = ["? s.account.get()", "? s.note.get()", "? s.tags.get()", "? s.named.items()", "? s.items.get()",
                 "? [s.highest.get(), s.mean.get()]"]
        expected = [{"name": "nnn", "cents": 5}, "kept", ["t"], [[2, "kept"]], [1], [1, 1.0]]
        harness = Harness(Script)
        self.assertEqual(run(harness, *before, undone, *after), expected, "in one call")
        self.assertEqual(run(harness, *after), expected, "what was written")
        harness = Harness(Script)
        run(harness, *before)
        self.assertEqual(run(harness, undone), [])
        self.assertEqual(run(harness, *after), expected, "over stored state")
        self.assertEqual(len(harness.dead_letters()), 1)

    def test_a_key_is_read_once_and_written_once_per_batch(self) -> None:
        harness = Harness(Script)
        harness.send(*(Record(f"k{i % 7}", "s.credit(1)") for i in range(100)))
        self.assertEqual(harness.calls, {"get": 1, "put": 1})
        harness.send(*(Record("k", "s.named[1] = 'x'\ns.named.get(1)\ns.items.append(1)") for _ in range(100)))
        self.assertEqual(harness.calls, {"get": 1, "put": 2, "append": 1}, "what was written needs no reading")
        self.assertEqual(harness.state_entries("account"), 7)

    def test_a_value_that_does_not_fit_its_declaration_is_fatal_and_named(self) -> None:
        for line in ["s.note.set(5)", "s.named[1] = 5", "s.items.append('x')", "s.items.append(2**63)", "s.tags.set({1})"]:
            with self.assertRaisesRegex(Fatal, "state `(note|named|items|tags)`: the value cannot be encoded"):
                run(Harness(Script), line)
        with self.assertRaisesRegex(Fatal, "None cannot be stored"):
            run(Harness(Script), "s.note.set(None)")

    def test_stored_bytes_of_another_type_are_fatal_and_name_the_state(self) -> None:
        def refuse(data: bytes) -> int:
            raise ValueError("this is the old form")

        class Changed(Operator):
            total = Value(Codec(lambda n: b"old form", refuse))

            def process(self, event: Event) -> None:
                if event.text() == "write":
                    self.total.set(1)
                else:
                    self.total.get()

        harness = Harness(Changed)
        harness.send(Record("k", "write"))
        with self.assertRaisesRegex(Fatal, "state `total`: .*this is the old form"):
            harness.send(Record("k", "read"))
        self.assertEqual(harness.dead_letters(), [], "the event is not to blame")


class TestSubKeys(unittest.TestCase):
    def test_sub_keys_sort_as_their_values_and_come_back(self) -> None:
        numbers = [-(2**63), -300, -1, 0, 1, 255, 256, 2**63 - 1]
        key = sub_key_of(int)
        encoded = [key.encode(n) for n in numbers]
        self.assertEqual(encoded, sorted(encoded))
        self.assertEqual([key.decode(data) for data in encoded], numbers)

    def test_undeclarable_types_are_refused_by_name(self) -> None:
        for make in (lambda: Map(float), lambda: Value(set), lambda: Map(dict)):
            with self.assertRaisesRegex(TypeError, "declare"):
                make()

    def test_json_state_is_compact(self) -> None:
        class Kept(Operator):
            last = Value()

            def process(self, event: Event) -> None:
                self.last.set({"a": [1, "ä"]})

        harness = Harness(Kept)
        harness.send(Record("k"))
        stored = harness._host.state[(0, b"k")][b""]
        self.assertEqual((stored, json.loads(stored)), ('{"a":[1,"ä"]}'.encode(), {"a": [1, "ä"]}))
