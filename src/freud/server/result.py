"""A result opened for serving: its indexes with their SAEs and names, found once; nothing here knows HTTP.

The static export uses the same objects. What is expensive (an SAE, the table of features) is read on first use.
"""

from __future__ import annotations

import base64
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from freud import artifacts, features, naming
from freud.activations import Activations
from freud.errors import FreudError, UnknownNameError
from freud.features import FeatureIndex
from freud.results import Basis, Layout
from freud.saes import SAE
from freud.saes import load as load_sae
from freud.server import schemas
from freud.server.names import Names
from freud.server.notes import Notes


def encoded(values: np.ndarray) -> str:
    """An array as base64 of little-endian float32: `schemas.Values`."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


class IndexedSite:
    """An index with what belongs to it.

    Attributes:
        index: open for queries.
        names: of its features, automatic and the user's.
    """

    def __init__(self, index: FeatureIndex, sae_folder: Path | None, names: Names) -> None:
        self.index = index
        self.site, self.basis = index.site, index.basis
        self.names = names
        self._sae_folder = sae_folder if index.basis == "latents" else None
        self._loading = threading.Lock()
        self._table: tuple[int, pa.Table] | None = None

    @cached_property
    def _loaded(self) -> SAE | None:
        return load_sae(self._sae_folder) if self._sae_folder else None

    @property
    def has_sae(self) -> bool:
        """Whether the SAE of the latents is at hand."""
        return self._sae_folder is not None

    @property
    def sae(self) -> SAE | None:
        """The SAE whose latents these are; None for neurons, or where it is gone."""
        with self._loading:
            return self._loaded

    @cached_property
    def decoder(self) -> np.ndarray | None:
        """Decoder vectors at unit norm, [features, width] float32; None without an SAE."""
        if self.sae is None:
            return None
        vectors = self.sae.W_dec.detach().numpy()
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    @cached_property
    def statistics(self) -> pa.Table:
        """The `features` table without histograms, in the order of the features."""
        columns = self.index.columns(
            """SELECT feature, dead, density, active_frames, clips, events, mean, std, max, min
            FROM features ORDER BY feature"""
        )
        return pa.table(columns)

    def table(self) -> pa.Table:
        """The same with names and their scores."""
        version = self.names.version
        held = self._table
        if held is None or held[0] != version:
            names, scores = self.names.columns()
            table = self.statistics.append_column("name", pa.array(names, pa.string()))
            for score, values in scores.items():
                table = table.append_column(score, pa.array(values, pa.float64()))
            held = self._table = (version, table)
        return held[1]

    @cached_property
    def largest(self) -> np.ndarray:
        """The largest magnitude of every feature in the corpus, [features] float32."""
        return np.maximum(self.statistics["max"].to_numpy(), -self.statistics["min"].to_numpy())

    @cached_property
    def _fixed(self) -> dict[str, Any]:
        index, facts = self.index, self.index.artifact.manifest
        privileged = bool(facts["parameters"].get("privileged", self.site.endswith(".mlp.1")))
        sae, training = None, None
        if self._sae_folder:
            config = artifacts.read_json(self._sae_folder / "cfg.json")
            if (self._sae_folder / artifacts.MANIFEST).is_file():
                results = artifacts.read(self._sae_folder, "train").manifest["results"]
                training = results["validation"] or results["train"]
            sae = schemas.Sae(
                architecture=str(config.get("architecture")),
                d_in=config["d_in"],
                d_sae=config["d_sae"],
                k=config.get("k"),
                fvu=training and training["fvu"],
                l0=training and training["l0"],
            )
        return {
            "site": self.site,
            "basis": self.basis,
            "model": index.model,
            "features": index.features,
            "dead": index.count_dead(),
            "frames": index.frames,
            "frames_per_second": index.frames_per_second,
            "clips": index.clip_count,
            "privileged": privileged,
            "sae": sae,
        }

    def describe(self) -> schemas.Site:
        """What the API says of it."""
        editable = self.basis == "neurons" or self.has_sae
        return schemas.Site(**self._fixed, named=self.names.count(), editable=editable)


class Result:
    """A folder written by `discover`, or a single index.

    Attributes:
        path: the folder.
        model: the name to load its model by.
        model_fingerprint: of the model that was looked at.
    """

    def __init__(self, path: Path | str, *, model: str | None = None, notes: Notes | None = None) -> None:
        """Open a result.

        Args:
            path: the folder.
            model: what to load in place of the model that the result names, say if it has moved.
            notes: where names are kept that people give before `freud name` was run.

        Raises:
            FreudError: there is no finished index in it.
        """
        self.path = Path(path)
        if not self.path.is_dir():
            raise FreudError(f"{path}: no such folder; expected one written by `freud discover` or `freud index`")
        layout = Layout(self.path)
        folders = list(layout.list_indexes().values())
        if not folders:
            if layout.has_indexes:
                raise FreudError(f"{path}: no index in it is finished; run the same `freud discover` command again")
            folders = [self.path]
        saes = layout.list_saes()
        automatic = {(names.site, names.basis): names for names in naming.read_all(self.path)}
        self._sites: dict[tuple[str, str], IndexedSite] = {}
        for folder in folders:
            index = features.read(folder)
            key = (index.site, index.basis)
            self._sites[key] = IndexedSite(index, saes.get(index.site), Names(index, automatic.get(key), notes))
        first = next(iter(self._sites.values())).index
        parameters = first.artifact.manifest["parameters"]
        self.model = model or self._asked_model() or first.model
        self.model_fingerprint: str = parameters.get("model_fingerprint", "")

    def _asked_model(self) -> str | None:
        """The model that `discover` was asked for; a manifest of an index has only the last part of a path."""
        if not (self.path / artifacts.MANIFEST).is_file():
            return None
        return artifacts.read_json(self.path / artifacts.MANIFEST).get("parameters", {}).get("model")

    def describe(self) -> list[schemas.Site]:
        """Every site and basis, as the API has them."""
        return [site.describe() for site in self._sites.values()]

    def site(self, site: str, basis: Basis) -> IndexedSite:
        """One site in one basis.

        Raises:
            UnknownNameError: there is none; the message says which there are.
        """
        found = self._sites.get((site, basis))
        if found is None:
            there = ", ".join(f"{basis} of {name}" for name, basis in self._sites)
            raise UnknownNameError(f"no {basis} of {site!r}; this result has {there}")
        return found

    def find(self, site: str, basis: Basis) -> IndexedSite | None:
        """The same, or None: a model has more sites than a result."""
        return self._sites.get((site, basis))

    def __iter__(self) -> Any:
        return iter(self._sites.values())

    @cached_property
    def store(self) -> Activations | None:
        """The stored activations, if they are still there."""
        for site in self:
            if site.index.has_activations:
                return site.index.activations.store
        return None
