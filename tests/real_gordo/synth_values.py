"""Print series of the synthetic provider as JSON: ``[tag, start, end, period_s]`` for each, read from stdin.

Times are ns since the epoch; values are written as hexadecimal floats, so that nothing is lost.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from synth_provider import series

answer = []
for tag, start, end, period_s in json.load(sys.stdin):
    values = series(tag, start, end, period_s)
    answer.append([values.index.asi8.tolist(), [value.hex() for value in values.tolist()]])
json.dump(answer, sys.stdout)
