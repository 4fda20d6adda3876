"""Names of the features of an index: the automatic ones of `freud name`, and the user's own, which go first.

Where nobody has run `freud name`, the user's own names are kept with the notes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.compute

from freud import naming
from freud.features import FeatureIndex
from freud.server import schemas
from freud.server.notes import Notes

pc: Any = pyarrow.compute  # its functions are made when it is imported

SCORES = {"score": "agreement", "auc": "auc", "null": "null"}
"""What lists show of a name's evidence, and the columns of the names that it is in."""
FLAGS = ("polysemous", "positional", "onset", "dense", "dead", "unnamed")


class Names:
    """The names of one index. `version` changes with every change of a name."""

    def __init__(self, index: FeatureIndex, automatic: naming.Names | None, own: Notes | None) -> None:
        self.automatic = automatic
        self._own, self._key = own, (index.site, index.basis)
        self._features = index.features
        self.version = 0
        self._read()

    def _read(self) -> None:
        """Keep one name a feature for lists, and the scores that go with it: of the better side of a neuron."""
        self._shown: dict[int, str] = {}
        self._scores = {name: np.full(self._features, np.nan) for name in SCORES}
        if self.automatic:
            self._shown = self.automatic.shown()
            names = self.automatic.table("names")
            named = names.filter(pc.invert(names["unnamed"])).sort_by("agreement")  # the better side comes later
            features = named["feature"].to_numpy()
            for score, column in SCORES.items():
                self._scores[score][features] = named[column].to_numpy().astype(np.float64)
        if self._own:
            self._shown |= self._own.names(*self._key)
        self.version += 1

    def text(self, feature: int) -> str | None:
        """One name for a feature, or None."""
        return self._shown.get(feature)

    def count(self) -> int:
        """How many features have a name."""
        return len(self._shown)

    def columns(self) -> tuple[list[str | None], dict[str, np.ndarray]]:
        """The names of all features, and each of `SCORES`, NaN where there is none."""
        return [self._shown.get(feature) for feature in range(self._features)], self._scores

    def get(self, feature: int) -> list[schemas.Naming]:
        """The names of a feature, one for each side, with their evidence."""
        if self.automatic:
            return [_naming(row) for row in self.automatic.feature(feature)]
        own = self._shown.get(feature)
        return [_naming({"side": "+", "name": own, "short": own, "user_name": own})] if own else []

    def set(self, feature: int, name: str | None, side: schemas.Side) -> None:
        """Give a feature a name, or take it back.

        Raises:
            FreudError: a name that is not one line, or nowhere to keep it.
        """
        if self.automatic:
            self.automatic.set_name(feature, name, side)
        elif self._own:
            self._own.set_name(*self._key, feature, name)
        self._read()


def _naming(row: dict[str, Any]) -> schemas.Naming:
    lag = row.get("lag_ms")
    spearman = row.get("spearman")
    return schemas.Naming(
        side=row["side"],
        name=row["name"],
        short=row["short"],
        user_name=row.get("user_name"),
        lag=None if lag is None else lag / 1000,
        runners_up=[each["text"] for each in row.get("runner_ups") or []],
        flags=[flag for flag in FLAGS if row.get(flag)],
        agreement=row.get("agreement") if spearman is None else abs(spearman),
        **{field: row.get(field) for field in ("label", "kind", "f1", "auc", "null", "clips")},
    )
