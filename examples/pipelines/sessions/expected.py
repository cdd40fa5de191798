"""Computes expected.jsonl from flights.csv alone, without Tidemill: python3 expected.py > expected.jsonl

One line per event that must be on flights/waves, in order of (key, timestamp): start and end = the first and last departure of
a wave, timestamp = the last millisecond in which another one could have joined it.
"""
import collections
import csv
import datetime
import json
import pathlib

GAP_MS = 180 * 60_000

departures = collections.defaultdict(list)
with open(pathlib.Path(__file__).parent / "../keyed-chain/flights.csv", newline="") as f:
    for row in csv.DictReader(f):
        time = datetime.datetime.fromisoformat(row["scheduled"] + "+00:00")
        departures[row["dest"]].append(int(time.timestamp() * 1000))

for key, times in sorted(departures.items()):
    times.sort()
    breaks = [i for i in range(1, len(times)) if times[i] - times[i - 1] >= GAP_MS]
    for first, after in zip([0] + breaks, breaks + [len(times)]):
        value = {"start": times[first], "end": times[after - 1], "count": after - first}
        print(json.dumps({"timestamp": value["end"] + GAP_MS - 1, "key": key, "value": value}))
