"""Computes expected.jsonl from the data alone, without Tidemill: python3 expected.py > expected.jsonl

One line per event that must be on flights/alerts, in order of (key, timestamp): timestamp = the scheduled departure, key =
the origin, value = the alert. Each flight is judged by the rules as they were at its scheduled departure.
"""
import csv
import datetime
import gzip
import io
import json
import pathlib

HERE = pathlib.Path(__file__).parent
LEAST_MINUTES = 60


def ms(text):
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc).timestamp() * 1000)


rules = {}
for line in (HERE / "rules.jsonl").read_text().splitlines():
    change = json.loads(line)
    minutes = change["minutes"]
    if minutes is None or isinstance(minutes, int) and minutes >= LEAST_MINUTES:
        rules.setdefault(change["rule"], []).append((ms(change["from"].rstrip("Z")), change))

alerts = []
with gzip.open(HERE / "../../data/flights-2013.csv.gz") as f:
    for row in csv.DictReader(io.TextIOWrapper(f, "utf-8", newline="")):
        if row["dep_delay_min"] == "" or int(row["dep_delay_min"]) < LEAST_MINUTES:
            continue
        time, delay = ms(row["scheduled"]), int(row["dep_delay_min"])
        for name in sorted(rules):
            said = [change for begins, change in rules[name] if begins <= time]
            if not said or said[-1]["minutes"] is None or delay < said[-1]["minutes"]:
                continue
            if said[-1].get("origin", row["origin"]) == row["origin"] and said[-1].get("carrier", row["carrier"]) == row["carrier"]:
                value = {"rule": name, "carrier": row["carrier"], "flight": row["flight"], "minutes": delay}
                alerts.append((row["origin"], time, value))

for key, time, value in sorted(alerts, key=lambda alert: alert[:2]):
    print(json.dumps({"timestamp": time, "key": key, "value": value}))
