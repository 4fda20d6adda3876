"""Checks of the machine and of finished folders.

This module is not called `doctor`: a module of that name would hide the function `freud.doctor`.
"""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from freud import artifacts
from freud.errors import DamagedFileError, FreudError
from freud.version import __version__

# of the folders that are ours
KINDS = {"corpus", "collect", "train", "import", "evaluate", "index", "name", "sound", "discover"}


@dataclass(frozen=True)
class Check:
    """One line of `doctor`."""

    name: str
    ok: bool
    detail: str


def doctor(path: Path | str | None = None) -> list[Check]:
    """Check the machine, and every finished folder of ours under `path`, byte by byte.

    Raises:
        FreudError: `path` is not a folder.
    """
    import av
    import duckdb
    import soundfile
    import torch
    import transformers

    checks = [
        Check("freud", True, f"{__version__}, Python {platform.python_version()}, {platform.platform()}"),
        Check("torch", True, f"{torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores"),
        Check(
            "gpu",
            True,
            torch.cuda.get_device_name() if torch.cuda.is_available() else "none; runs on the CPU",
        ),
        Check("transformers", True, transformers.__version__),
        Check(
            "audio",
            True,
            f"soundfile {soundfile.__version__} ({soundfile.__libsndfile_version__}), PyAV {av.__version__}",
        ),
        Check("duckdb", True, duckdb.__version__),
    ]
    root = Path(path) if path is not None else Path.cwd()
    if not root.is_dir():
        raise FreudError(f"{root}: no such folder")
    free = shutil.disk_usage(root).free / 2**30
    checks.append(Check("disk", free > 1, f"{free:.1f} GiB free at {root}"))
    if path is None:
        return checks
    finished = sorted(manifest.parent for manifest in root.rglob(artifacts.MANIFEST))
    checks += [check for folder in finished if (check := _check_folder(folder))]
    for unfinished in sorted(root.rglob(artifacts.UNFINISHED)):
        if unfinished.parent not in finished:  # a run killed after its last file leaves this one
            kind = artifacts.read_json(unfinished).get("kind")
            detail = f"unfinished: run the same `freud {kind}` command again"
            checks.append(Check(str(unfinished.parent), False, detail))
    return checks


def _check_folder(folder: Path) -> Check | None:
    """Whether the files of a folder are as they were written; None if it was not we who wrote it."""
    try:
        kind = artifacts.read_json(folder / artifacts.MANIFEST).get("kind")
        if kind not in KINDS:
            return None
        artifact = artifacts.read(folder, kind)
    except DamagedFileError as error:
        return Check(str(folder), False, str(error))
    problems = artifact.verify()
    detail = "; ".join(problems) or f"{kind}: {len(artifact.manifest['files'])} files as they were written"
    return Check(str(folder), not problems, detail)
