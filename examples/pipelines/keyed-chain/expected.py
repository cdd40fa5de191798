"""Computes expected.jsonl from flights.csv alone, without Tidemill: python3 expected.py > expected.jsonl

One line per event that must be on flights/miles, in order of (key, flights): the totals of one aircraft and destination.
The order of the lines of one key is the order of their events; nothing is promised between keys.
"""
import collections
import csv
import datetime
import json
import pathlib

legs = collections.Counter()
totals = collections.defaultdict(list)
with open(pathlib.Path(__file__).parent / "flights.csv", newline="") as f:
    for row in csv.DictReader(f):
        tail, dest = row["tail"], row["dest"]
        if tail == "":
            continue  # a dead letter
        legs[tail] += 1
        earlier = totals[f"{tail} {dest}"]
        miles = int(row["distance_mi"]) + (earlier[-1][1]["miles"] if earlier else 0)
        time = datetime.datetime.fromisoformat(row["scheduled"] + "+00:00")
        value = {"tail": tail, "dest": dest, "leg": legs[tail], "flights": len(earlier) + 1, "miles": miles}
        earlier.append((int(time.timestamp() * 1000), value))

for key, events in sorted(totals.items()):
    for timestamp, value in events:
        print(json.dumps({"timestamp": timestamp, "key": key, "value": value}))
