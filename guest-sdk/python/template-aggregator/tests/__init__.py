"""Run without Wasm by `tidemill test`, or by `python3 -m unittest` in the project's folder."""

import pathlib
import sys

_project = pathlib.Path(__file__).parent.parent
sys.path[:0] = [str(_project / "src"), str(_project / ".tidemill/sdk")]
