"""The guide docs/series.md: its code runs as one script, and finds what it says."""

import re
from pathlib import Path

GUIDE = (Path(__file__).parents[1] / "docs" / "series.md").read_text()

CHECK = """
longest = alarms.nlargest(1, "n_points").iloc[0]
assert abs(longest["start"] - new.index[100]) <= pd.Timedelta("24h")
assert abs(longest["end"] - new.index[129]) <= pd.Timedelta("24h")
assert longest["channels"].startswith("load")
"""


def test_the_guide_does_what_it_says(run_here):
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE, re.M | re.S)
    run_here("\n".join([*blocks, CHECK]))
