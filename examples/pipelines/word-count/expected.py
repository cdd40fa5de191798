"""Computes expected.jsonl from poems.txt alone, without Tidemill: python3 expected.py > expected.jsonl

One line per event that must be on words/counts: each word's count goes 1, 2, 3, ... to its total. Sorted by word; within a
word the order is that of the events. Times are those of reading, so there are none here.
"""
import collections
import json
import pathlib
import re

text = (pathlib.Path(__file__).parent / "poems.txt").read_text("utf-8")
words = (word.strip("'").lower() for word in re.findall(r"[^\W_]+(?:'+[^\W_]+)*", text))
for word, total in sorted(collections.Counter(words).items()):
    for n in range(1, total + 1):
        print(json.dumps({"key": word, "value": str(n)}, ensure_ascii=False))
