"""The SAE that comes with FREUD, for edits to start from."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path

from freud.saes import SAE
from freud.saes import load as load_sae


@functools.cache
def bundled_sae() -> SAE:
    """The SAE of nano's `encoder.blocks.2`."""
    return load_sae(Path(str(resources.files("freud") / "bundled" / "sae")))
