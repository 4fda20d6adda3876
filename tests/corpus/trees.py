"""Making small folders of recordings for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile


def recording(path: Path, seconds: float = 0.5, rate: int = 16_000) -> Path:
    """Write a quiet tone, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(round(seconds * rate)) * 0.1), rate)
    return path


def text(path: Path, content: str, encoding: str = "utf-8") -> Path:
    """Write a text file, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding=encoding)
    return path


LONG_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 0.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 0.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.1
            text = ""
        intervals [2]:
            xmin = 0.1
            xmax = 0.3
            text = "Käse"
        intervals [3]:
            xmin = 0.3
            xmax = 0.5
            text = "log(2)"
    item [2]:
        class = "TextTier"
        name = "tones"
        xmin = 0
        xmax = 0.5
        points: size = 1
        points [1]:
            number = 0.25
            mark = "H*"
"""

SHORT_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
0.5
<exists>
2
"IntervalTier"
"words"
0
0.5
3
0
0.1
""
0.1
0.3
"Käse"
0.3
0.5
"log(2)"
"TextTier"
"tones"
0
0.5
1
0.25
"H*"
"""
