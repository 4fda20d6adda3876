"""Recipes: many runs in one TOML or JSON file, which `freud train --recipe` takes.

A run is a table with the site, the architecture, its settings and the options of training, all by the names they have
in Python. Where a setting has a list of values, there is a run for each of them, and for each combination.

    model = "tiny"                     # optional: what `freud train` uses when it is not told
    site = "encoder.blocks.2"          # whatever stands here is the default of every run
    batch_size = 4096

    [[run]]
    architecture = "topk"
    k = [16, 32, 64]
    seed = [0, 1]

    [[run]]
    name = "sparser"                   # optional: runs are named after what tells them apart
    architecture = "l1"
    coefficient = 0.2
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path, PurePath
from typing import Any

from freud.errors import FreudError
from freud.saes.architecture import Architecture
from freud.saes.options import Options

SOURCES = ("model", "corpus", "activations")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One SAE to train.

    Attributes:
        name: names its folder.
        site: whose frames it is trained on.
        architecture: which SAE.
        options: how to train it.
    """

    name: str
    site: str
    architecture: Architecture
    options: Options


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A file of runs.

    Attributes:
        runs: what it says to train; names differ.
        model, corpus, activations: where frames come from, if it says so.
    """

    runs: tuple[Run, ...]
    model: str | None = None
    corpus: str | None = None
    activations: str | None = None

    @property
    def sites(self) -> list[str]:
        """The sites of all runs, each once."""
        return list(dict.fromkeys(run.site for run in self.runs))


def read_recipe(path: Path | str, **overrides: Any) -> Recipe:
    """Read a recipe.

    Args:
        path: a .toml or .json file.
        overrides: settings of every run, whatever the file says of them.

    Raises:
        FreudError: no such file, not TOML or JSON, or a setting that there is not; the message names it.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FreudError(f"{path}: cannot read the recipe: {error.strerror}") from None
    try:
        text = data.decode("utf-8")
        table = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:  # of either syntax, or not UTF-8
        raise FreudError(f"{path}: not a recipe in {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from None
    if not isinstance(table, dict):
        raise FreudError(f"{path}: expected a table of settings with a list called run")
    try:
        return parse_recipe(table, **overrides)
    except FreudError as error:
        raise FreudError(f"{path}: {error}") from None


def parse_recipe(table: Mapping[str, Any], **overrides: Any) -> Recipe:
    """The recipe that a table, as read from a file, says; with `overrides` of every run.

    Raises:
        FreudError: a setting that there is not, or of another type; the message names it.
    """
    shared = {key: value for key, value in table.items() if key not in {"run", "about", *SOURCES}}
    listed = table.get("run", [{}])
    if not isinstance(listed, Sequence) or not listed or not all(isinstance(entry, Mapping) for entry in listed):
        raise FreudError("run: expected one or more tables [[run]]")
    runs: list[Run] = []
    for entry in listed:
        runs += _expand(shared | dict(entry) | overrides)
    if not runs:
        raise FreudError("run: nothing to train, as a list of values is empty")
    names = [run.name for run in runs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise FreudError(f"run: two runs are called {twice[0]!r}; give one of them a name of its own")
    sources = {name: _typed(name, table.get(name), "str | None") for name in SOURCES}
    return Recipe(runs=tuple(runs), **sources)


def _expand(entry: Mapping[str, Any]) -> list[Run]:
    """The runs of one table: a run for each combination of the values in lists."""
    from freud.saes import ARCHITECTURES

    kinds = entry.get("architecture", "topk")
    runs = []
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if not isinstance(kind, str) or kind not in ARCHITECTURES:
            raise FreudError(f"architecture {kind!r}: expected {', '.join(ARCHITECTURES)}")
        settings = _types(ARCHITECTURES[kind])
        types = {"name": "str", "site": "str", **settings, **_types(Options)}
        rest = {key: value for key, value in entry.items() if key != "architecture"}
        for key in rest:
            if key not in types:
                near = difflib.get_close_matches(key, types, n=1)
                raise FreudError(f"{key}: {kind} has no such setting" + (f"; did you mean {near[0]}?" if near else ""))
        lists = {key: value for key, value in rest.items() if _is_sweep(value, types[key])}
        for values in product(*lists.values()):
            chosen = dict(zip(lists, values, strict=True))
            given = {key: _typed(key, value, types[key]) for key, value in {**rest, **chosen}.items()}
            if "site" not in given:
                raise FreudError("site: missing; say which site to train on")
            name = given.get("name") or _name(kind, given["site"], chosen, "site" in lists)
            parts = PurePath(name).parts
            if "name" in given and (not parts or ".." in parts or PurePath(name).is_absolute() or not given["name"]):
                raise FreudError(f"name {given['name']!r}: expected the name of a folder")
            runs.append(
                Run(
                    name=name,
                    site=given["site"],
                    architecture=ARCHITECTURES[kind](**{key: given[key] for key in settings.keys() & given.keys()}),
                    options=Options(**{key: given[key] for key in _types(Options).keys() & given.keys()}),
                )
            )
    return runs


def _name(kind: str, site: str, chosen: Mapping[str, Any], many_sites: bool) -> str:
    """`topk-k32-seed1`, in a folder of the site where there are several."""
    parts = [f"{key}{value}" for key, value in chosen.items() if key not in {"architecture", "site"}]
    name = "-".join([kind, *parts])
    return f"{site}/{name}" if many_sites else name


def _types(kind: type) -> dict[str, str]:
    """Names of the fields of a dataclass and the types they are annotated with, as text."""
    return {field.name: str(field.type) for field in fields(kind)}


def _is_sweep(value: Any, kind: str) -> bool:
    """Whether a value is a list of values; a list of numbers is one value for a field that is a tuple."""
    if not isinstance(value, list):
        return False
    return not kind.startswith("tuple") or any(isinstance(item, list) for item in value)


def _typed(key: str, value: Any, kind: str) -> Any:
    """A value of a file as the field of this annotation takes it.

    Raises:
        FreudError: it is of another type.
    """
    allowed = kind.split(" | ")
    if value is None:
        if "None" in allowed:
            return None
        raise FreudError(f"{key} null: expected a value")
    if kind.startswith("tuple"):
        if isinstance(value, list) and all(type(item) in {int, float} for item in value):
            return tuple(float(item) for item in value)
        raise FreudError(f"{key} {value!r}: expected a list of numbers")
    if "float" in allowed and type(value) in {int, float}:
        return float(value)
    for name, python, words in (
        ("int", int, "a whole number"),
        ("float", float, "a number"),
        ("bool", bool, "true or false"),
    ):
        if name in allowed:
            if type(value) is python:
                return value
            raise FreudError(f"{key} {value!r}: expected {words}")
    if not isinstance(value, str):
        raise FreudError(f"{key} {value!r}: expected text")
    return value
