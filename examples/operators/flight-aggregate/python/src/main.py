"""Departure statistics of an airport, as a window aggregate: rows of flights in, one result per airport and window out. Which
windows, how late an event may be and when results come is the pipeline file's affair."""

from dataclasses import dataclass
from typing import Optional

from tidemill import Aggregator, Config, Counter, Event, Rows, Window, export, rejecting


@dataclass
class Settings:
    """The `config` table of the pipeline file: a flight that leaves more minutes late than this counts as late."""

    threshold_minutes: int = 15


@dataclass
class Flights:
    """What is kept of some flights; whole numbers, so that their order changes nothing."""

    count: int = 0
    cancelled: int = 0
    late: int = 0
    delay_sum: int = 0
    worst: Optional[int] = None


def later(a: Optional[int], b: Optional[int]) -> Optional[int]:
    return max(a, b) if a is not None and b is not None else a if b is None else b


@export
class FlightAggregate(Aggregator, accumulator=Flights, version="0.1.0"):
    settings = Config(Settings)
    results = Counter()

    def start(self) -> Flights:
        return Flights()

    def add(self, flights: Flights, event: Event) -> None:
        flights.count += 1
        with rejecting(KeyError, TypeError, AttributeError, ValueError):
            text = event.json()["dep_delay_min"].strip()
            minutes = int(text) if text else None
        if minutes is None:
            flights.cancelled += 1
            return
        flights.delay_sum += minutes
        flights.late += minutes > self.settings.threshold_minutes
        flights.worst = later(flights.worst, minutes)

    def merge(self, flights: Flights, others: Flights) -> None:
        flights.count += others.count
        flights.cancelled += others.cancelled
        flights.late += others.late
        flights.delay_sum += others.delay_sum
        flights.worst = later(flights.worst, others.worst)

    def finish(self, window: Window, flights: Flights, rows: Rows) -> None:
        flown = flights.count - flights.cancelled
        self.results.add()
        rows.emit_json({
            "origin": window.key_text(),
            "from": window.start,
            "to": window.end,
            "count": flights.count,
            "cancelled": flights.cancelled,
            "late": flights.late,
            "mean": flights.delay_sum / flown if flown else None,
            "worst": flights.worst,
        })
