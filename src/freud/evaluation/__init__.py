"""How good a dictionary is: the quality report, and what it is made of.

`evaluate` measures an SAE on clips held out of its training and writes numbers and a page.
"""

from freud.evaluation.dictionary import Geometry, Stability
from freud.evaluation.quality import Activity, Frames, Quality, compare, evaluate, read

__all__ = ["Activity", "Frames", "Geometry", "Quality", "Stability", "compare", "evaluate", "read"]
