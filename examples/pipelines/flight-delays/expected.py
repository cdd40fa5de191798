"""Computes expected.jsonl from the data alone, without Tidemill: python3 expected.py > expected.jsonl

One line per event that must be on flights/daily, in order of (key, timestamp): timestamp = the last millisecond of the
day, key = the origin, value = the statistics.
"""
import collections
import csv
import datetime
import gzip
import io
import json
import pathlib

DATA = pathlib.Path(__file__).parent / "../../data/flights-2013.csv.gz"
THRESHOLD_MINUTES = 15


days = collections.defaultdict(list)
with gzip.open(DATA) as f:
    for row in csv.DictReader(io.TextIOWrapper(f, "utf-8", newline="")):
        days[row["origin"], row["scheduled"][:10]].append(row["dep_delay_min"])

for (origin, day), delays in sorted(days.items()):
    flown = [int(delay) for delay in delays if delay != ""]
    next_day = datetime.datetime.fromisoformat(day + "T00:00:00+00:00") + datetime.timedelta(days=1)
    value = {
        "origin": origin,
        "day": day,
        "count": len(delays),
        "cancelled": len(delays) - len(flown),
        "mean": sum(flown) / len(flown) if flown else None,
        "worst": max(flown) if flown else None,
        "over15": sum(delay > THRESHOLD_MINUTES for delay in flown) / len(flown) if flown else None,
    }
    print(json.dumps({"timestamp": int(next_day.timestamp() * 1000) - 1, "key": origin, "value": value}))
