"""Names of the places in a model where activations are read or written.

Canonical names are those of openai-whisper's modules (`encoder.blocks.3.mlp.1`), because published work uses
them; the Hugging Face module path is accepted as an alias. In a glob, `*` stands for one dotted part.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from freud.errors import UnknownNameError


@dataclass(frozen=True)
class Site:
    """One named place in a model."""

    name: str
    """Canonical name, such as `encoder.blocks.3.mlp.1`."""
    width: int
    """Size of one frame; for an attention pattern, the number of heads."""
    frames_per_second: float | None
    """Frames a second of audio (Whisper's encoder: 50); None where a frame is one text token."""
    privileged: bool
    """True where single coordinates mean something: `mlp.1`, the hidden layer after its nonlinearity."""
    writable: bool
    """False for attention patterns, which can only be read."""
    alias: str
    """Hugging Face path of the module that computes it; empty for attention patterns, which none outputs."""
    depth: int
    """How many blocks, of encoder and decoder together, have run in full before this one starts."""
    residual: bool
    """True for the residual stream after a block, `encoder.blocks.N` and `decoder.blocks.N`."""

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def select(sites: Mapping[str, Site], patterns: Sequence[str]) -> list[Site]:
    """The sites that match any of the names, aliases or globs, in data-flow order, each once.

    `*`, `?` and `[0-3]` match within one dotted part: `encoder.blocks.*` is the residual stream after every
    block, and not `encoder.blocks.0.mlp`, which is `encoder.blocks.*.mlp`.

    Raises:
        UnknownNameError: a pattern matches nothing; the message names the nearest sites.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        matching = {site.name for site in sites.values() if _matches(site, pattern)}
        if not matching:
            raise UnknownNameError(_unknown(sites, pattern))
        chosen |= matching
    return [site for site in sites.values() if site.name in chosen]


def _matches(site: Site, pattern: str) -> bool:
    wanted = pattern.split(".")
    names = [site.name, site.alias, site.alias.removeprefix("model.")] if site.alias else [site.name]
    for name in names:
        parts = name.split(".")
        if len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted)):
            return True
    return False


def _unknown(sites: Mapping[str, Site], pattern: str) -> str:
    near = difflib.get_close_matches(pattern, sites, n=3, cutoff=0.6)
    blocks = {
        half: [int(m[1]) for name in sites if (m := re.fullmatch(rf"{half}\.blocks\.(\d+)", name))]
        for half in ("encoder", "decoder")
    }
    has = " and ".join(f"{half}.blocks.0 to .{numbers[-1]}" for half, numbers in blocks.items() if numbers)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    return f"unknown site {pattern!r}: this model has {has}{hint} (`freud models NAME --sites` lists all)"
