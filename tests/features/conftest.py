"""Recordings for the tests of the index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture
def tone_folder(tmp_path: Path) -> Path:
    """A folder of three short recordings."""
    folder = tmp_path / "tones"
    folder.mkdir()
    for i in range(3):
        soundfile.write(folder / f"{i}.wav", np.sin(np.arange(1600) * (i + 1) / 20).astype(np.float32) / 4, 16000)
    return folder
