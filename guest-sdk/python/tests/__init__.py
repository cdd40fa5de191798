"""Tests of the Python SDK, without Wasm: `python3 -m unittest discover -s tests -t .` in guest-sdk/python."""
