"""The columns of what `freud name` writes, and how a table leaves it as Parquet or CSV.

A row of `scores` is one (feature, side, label); `names` has the chosen one of each (feature, side) with what else is
known of it; `best` ranks features for a label; `controls` has the same label scored by what needs no SAE. All scores
are of held-out clips, and every row says how many frames, positives and clips they rest on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from freud import artifacts
from freud.errors import FreudError

KIND = "name"

_SCORE = [
    ("label", pa.string()),  # id of the label, such as "phone:M"
    ("kind", pa.string()),  # of the label: phone, class, word, boundary, place, silence, sound, speaker, sex, ...
    ("text", pa.string()),  # how the label is shown: "/m/"
    ("lag_ms", pa.float32()),  # above 0: the feature follows the label
    ("threshold", pa.float32()),  # fitted on the other split; side "+": active at or above it, "-": at or below it
    ("f1", pa.float32()),  # at the threshold; null for continuous labels, as the four below
    ("f1_low", pa.float32()),  # 95 % interval by bootstrap over `groups` of held-out clips or speakers
    ("f1_high", pa.float32()),
    ("precision", pa.float32()),
    ("recall", pa.float32()),  # coverage: share of the label's frames on which the feature is active
    ("agreement", pa.float32()),  # F1 corrected for chance (Cohen's kappa); continuous labels: |Spearman|
    ("auc", pa.float32()),
    ("auc_low", pa.float32()),
    ("auc_high", pa.float32()),
    ("average_precision", pa.float32()),
    ("information", pa.float32()),  # mutual information of (binned) value and label over the label's entropy
    ("lift", pa.float32()),  # precision over the share of frames that have the label
    ("spearman", pa.float32()),  # continuous labels only, as the two below
    ("spearman_low", pa.float32()),
    ("spearman_high", pa.float32()),
    ("frames", pa.int64()),  # held-out frames
    ("positives", pa.int64()),  # of them with the label (continuous: where it is defined)
    ("clips", pa.int32()),  # held-out clips with the label
    ("null", pa.float32()),  # mean F1 (continuous: |Spearman|) with the label shuffled
    ("null_auc", pa.float32()),
    ("q", pa.float32()),  # false-discovery rate at which this pair beats the null
    ("fit_f1", pa.float32()),  # what was chosen by, on the other split
    ("fit_auc", pa.float32()),
]
SCORES = pa.schema([("feature", pa.int32()), ("side", pa.string()), *_SCORE])  # sorted by feature, side, agreement
RUNNER_UP = pa.struct([(name, pa.string()) for name in ("label", "text")] + [("agreement", pa.float32())])
NAMES = pa.schema(
    [
        ("feature", pa.int32()),
        ("side", pa.string()),  # "+", and for neurons also "-": their lowest values
        ("name", pa.string()),  # the whole template: "/m/ · F1 0.81 on 20 held-out clips · lag +20 ms · null 0.07"
        ("short", pa.string()),  # the label's text alone, or "unnamed", "dead"
        *_SCORE,  # null where unnamed or dead
        ("density", pa.float64()),  # share of active frames, from the index
        ("dead", pa.bool_()),  # never active
        ("unnamed", pa.bool_()),  # no label beats the null
        ("dense", pa.bool_()),  # a latent active on more than 10 % of frames
        ("positional", pa.bool_()),  # its label is a time or a place in the clip
        ("onset", pa.bool_()),  # its label is a beginning or an end
        ("polysemous", pa.bool_()),  # another label in the middle deciles of its active values than in the top one
        ("top_label", pa.string()),  # the label that stands out most in the top decile, and its share of the frames
        ("top_share", pa.float32()),
        ("middle_label", pa.string()),  # the same in deciles 4 to 6
        ("middle_share", pa.float32()),
        ("runner_ups", pa.list_(RUNNER_UP)),
    ]
)
LABELS = pa.schema(
    [
        ("label", pa.string()),
        ("kind", pa.string()),
        ("text", pa.string()),
        ("continuous", pa.bool_()),
        ("fit_positives", pa.int64()),  # frames
        ("positives", pa.int64()),  # held-out frames with the label (continuous: where it is defined)
        ("frames", pa.int64()),  # held-out frames in all
        ("clips", pa.int32()),  # held-out clips with the label
    ]
)
BEST = pa.schema(  # features chosen for a label on the other split, scored on held-out clips
    [
        ("by", pa.string()),  # "auc" or "f1": what they were chosen by; continuous labels: "spearman"
        ("rank", pa.int32()),  # from 1, on the other split
        *SCORES,
    ]
)
CONTROLS = pa.schema(  # the best of each control for a label, chosen and scored in the same way
    [("control", pa.string()), *BEST]  # "coordinates", "pca", "random decoder", "probe" (a dense linear ceiling)
)
MATRIX = pa.schema(  # phones x best latents
    [
        ("label", pa.string()),  # row
        ("text", pa.string()),
        ("column", pa.string()),  # label that the feature is the best of
        ("feature", pa.int32()),
        ("side", pa.string()),
        ("rate", pa.float32()),  # share of the row label's held-out frames on which the feature is active
        ("positives", pa.int64()),
    ]
)
SPLIT = pa.schema([("clip", pa.int32()), ("id", pa.string()), ("held_out", pa.bool_())])  # clips that were used
SCHEMAS = {
    "split": SPLIT,
    "names": NAMES,
    "scores": SCORES,
    "labels": LABELS,
    "best": BEST,
    "controls": CONTROLS,
    "matrix": MATRIX,
}


def table(schema: pa.Schema, columns: dict[str, Any]) -> pa.Table:
    """A table of columns; what is missing is null, and so is a float that is not a number."""
    rows = len(next(iter(columns.values()), ()))
    return pa.table([_column(columns.get(field.name), field.type, rows) for field in schema], schema=schema)


def _column(values: Any, kind: pa.DataType, rows: int) -> pa.Array:
    if values is None:
        return pa.nulls(rows, kind)
    floats = isinstance(values, np.ndarray) and values.dtype.kind == "f"
    return pa.array(values, from_pandas=floats).cast(kind) if isinstance(values, np.ndarray) else pa.array(values, kind)


def write(path: Path, rows: pa.Table) -> None:
    """Write a table as Parquet, atomically."""
    with artifacts.replacing(path) as temporary:
        pq.write_table(rows, temporary, compression="zstd")


def export(rows: pa.Table, path: Path) -> None:
    """Write a table where people want it: Parquet or CSV, by the ending; lists become text in CSV.

    Raises:
        FreudError: another ending.
    """
    if path.suffix == ".parquet":
        write(path, rows)
    elif path.suffix == ".csv":
        for i, field in enumerate(rows.schema):
            if pa.types.is_list(field.type):
                text = ["; ".join(each["text"] for each in value or ()) for value in rows[i].to_pylist()]
                rows = rows.set_column(i, field.name, pa.array(text, pa.string()))
        with artifacts.replacing(path) as temporary:
            pyarrow.csv.write_csv(rows, temporary)
    else:
        raise FreudError(f"{path}: expected a name that ends in .parquet or .csv")
