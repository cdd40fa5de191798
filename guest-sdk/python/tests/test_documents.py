"""The code of guest-sdk/PYTHON.md runs as it stands."""

import pathlib
import re
import unittest

DOCUMENT = pathlib.Path(__file__).parents[2] / "PYTHON.md"


class TestDocuments(unittest.TestCase):
    def test_every_block_runs(self) -> None:
        blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
        self.assertEqual(len(blocks), 3)
        exec("\n".join(blocks), {"__name__": "documents"})
