"""Clips and their labels: recordings of any layout become a table of clips and one of labeled intervals.

A corpus refers to the recordings where they are; nothing is copied. A clip's id is opaque, depends only on
its path in the corpus, and is the one handle that later stages and the server use.
"""

from freud.corpus.export import export_tiers, tier_text
from freud.corpus.fetching import download
from freud.corpus.importing import import_corpus, read
from freud.corpus.info import Info, info
from freud.corpus.layouts import LAYOUTS
from freud.corpus.table import Clip, Corpus, Segment

__all__ = [
    "LAYOUTS",
    "Clip",
    "Corpus",
    "Info",
    "Segment",
    "download",
    "export_tiers",
    "import_corpus",
    "info",
    "read",
    "tier_text",
]
