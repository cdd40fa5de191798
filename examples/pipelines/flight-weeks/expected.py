"""Computes expected.jsonl from the data alone, without Tidemill: python3 expected.py > expected.jsonl

One line per event that must be on flights/weekly, in order of (key, timestamp): timestamp = the last millisecond of the
seven days, key = the origin, value = the statistics. Every window is gathered from the rows anew.
"""
import csv
import datetime
import gzip
import io
import json
import pathlib

DATA = pathlib.Path(__file__).parent / "../../data/flights-2013.csv.gz"
THRESHOLD_MINUTES = 15
DAY_MS = 86_400_000
DAYS = 7


def day_of(text):
    """Days since 1970."""
    return (datetime.date.fromisoformat(text[:10]) - datetime.date(1970, 1, 1)).days


with gzip.open(DATA) as f:
    rows = [
        (row["origin"], day_of(row["scheduled"]), row["dep_delay_min"])
        for row in csv.DictReader(io.TextIOWrapper(f, "utf-8", newline=""))
    ]

for origin in sorted({row[0] for row in rows}):
    own = [row[1:] for row in rows if row[0] == origin]
    first, last = min(day for day, _ in own), max(day for day, _ in own)
    for start in range(first - DAYS + 1, last + 1):
        delays = [delay for day, delay in own if start <= day < start + DAYS]
        if not delays:
            continue
        flown = [int(delay) for delay in delays if delay != ""]
        value = {
            "origin": origin,
            "from": start * DAY_MS,
            "to": (start + DAYS) * DAY_MS,
            "count": len(delays),
            "cancelled": len(delays) - len(flown),
            "late": sum(delay > THRESHOLD_MINUTES for delay in flown),
            "mean": sum(flown) / len(flown) if flown else None,
            "worst": max(flown) if flown else None,
        }
        print(json.dumps({"timestamp": (start + DAYS) * DAY_MS - 1, "key": origin, "value": value}))
