"""Names: which label each feature responds to, how well on held-out clips, and against which controls.

`name` scores every feature of an index against a bank of labels and writes the tables of `naming.tables`; `read`
opens them as `Names`. `features_for` and `label_page` ask about one label over all sites of a result; `said` is a name
without its scores.
"""

from freud.naming.names import said
from freud.naming.query import LabelPage, Matrix, Names, features_for, label_page, read, read_all
from freud.naming.run import name

__all__ = ["LabelPage", "Matrix", "Names", "features_for", "label_page", "name", "read", "read_all", "said"]
