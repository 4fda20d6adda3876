"""Files of SAEs: our own layout is SAELens's; each of the other tools' layouts has a file here.

`load` finds out which layout a file or folder is in; `import_sae` makes one of our folders of it, with a manifest that
says where it came from; `export_sae` writes one for another tool.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from freud import artifacts
from freud.errors import FreudError
from freud.models.checkpoints import fingerprint
from freud.saes.formats import dictionary_learning, original, reading, saelens, sparsify
from freud.saes.formats.saelens import save
from freud.saes.formats.sites import canonical
from freud.saes.sae import SAE

IMPORT = "import"  # kind of a folder that `import_sae` wrote
KINDS = ("train", IMPORT)


@dataclass(frozen=True)
class Layout:
    """How one tool keeps its SAEs.

    Attributes:
        name: what --layout takes.
        found: whether a path is in this layout.
        load: reads it.
    """

    name: str
    found: Callable[[Path], bool]
    load: Callable[[Path], SAE]


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("saelens", saelens.found, saelens.load),
        Layout("sparsify", sparsify.found, sparsify.load),
        Layout("audiosae", dictionary_learning.found_audiosae, dictionary_learning.load_audiosae),
        Layout("dictionary_learning", dictionary_learning.found, dictionary_learning.load),
        Layout("freud-original", original.found, original.load),
    )
}
EXPORTS: dict[str, Callable[[SAE, Path], list[str]]] = {"saelens": saelens.save, "sparsify": sparsify.save}
Exported = Literal["saelens", "sparsify"]


def detect(path: Path | str) -> Layout:
    """The layout of a file or folder.

    Raises:
        FreudError: there is nothing, or nothing that is known; the message says which folders below it would do.
    """
    path = Path(path)
    if not path.exists():
        raise FreudError(f"{path}: no such file or folder; expected an SAE")
    for layout in LAYOUTS.values():
        if layout.found(path):
            return layout
    if path.is_file():
        raise FreudError(f"{path}: give the folder that holds it; its configuration is beside it")
    below = sorted({str(p.parent) for name in _WEIGHTS for p in path.glob(f"*/{name}")})
    if below:
        more = f" and {len(below) - 3} more" if len(below) > 3 else ""
        raise FreudError(f"{path}: holds several SAEs; give one of {', '.join(below[:3])}{more}")
    for config, weights in ((saelens.CONFIG, saelens.WEIGHTS), (sparsify.CONFIG, sparsify.WEIGHTS)):
        if (path / weights).is_file():
            raise FreudError(f"{path}: has no {config}; expected the folder of an SAE")
    if (path / saelens.CONFIG).is_file():
        raise FreudError(f"{path}: has no {saelens.WEIGHTS}; expected the folder of an SAE")
    raise FreudError(f"{path}: has no {saelens.CONFIG}; expected the folder of an SAE in a known layout")


_WEIGHTS = (saelens.WEIGHTS, sparsify.WEIGHTS, dictionary_learning.WEIGHTS)


def load(path: Path | str, *, layout: str | None = None, site: str | None = None, model: str | None = None) -> SAE:
    """Read an SAE, ours or another tool's, whichever of the known layouts it is in.

    Args:
        path: a folder, or a `.pth` file of the original FREUD.
        layout: which layout, if it cannot be told from the files: one of `LAYOUTS`.
        site: what it is an SAE of, where the files do not say.
        model: name of the model, where the files do not say.

    Raises:
        FreudError: nothing that is known, a kind that is not supported, or files that say another site.
        DamagedFileError: the files cannot be read, hold code, are not finite, or do not fit together.
    """
    path = Path(path)
    if layout is not None and layout not in LAYOUTS:
        raise FreudError(f"layout {layout!r}: expected one of {', '.join(LAYOUTS)}")
    chosen = LAYOUTS[layout] if layout else detect(path)
    manifest = path / artifacts.MANIFEST
    if manifest.is_file() and "checksum" in (said := artifacts.read_json(manifest)):
        # one of ours, which knows what the files must hold
        artifact = artifacts.read(path, said["kind"] if said.get("kind") in KINDS else KINDS[0])
        for name in (saelens.CONFIG, saelens.WEIGHTS):
            artifact.file(name)
    sae = chosen.load(path)
    reading.check_finite(sae.state_dict(), path)
    if site is not None:
        _say(sae.metadata, "site", canonical(site) or site, path)
    if model is not None:
        _say(sae.metadata, "model", model, path)
    return sae


def _say(metadata: dict[str, Any], name: str, value: str, path: Path) -> None:
    if metadata.get(name) not in {None, value}:
        raise FreudError(f"{path}: says that its {name} is {metadata[name]}, not {value}")
    metadata[name] = value


def import_sae(
    path: Path | str,
    out: Path | str,
    *,
    layout: str | None = None,
    site: str | None = None,
    model: str | None = None,
    source: str | None = None,
) -> SAE:
    """Make one of our folders of another tool's SAE, to be used like one that was trained here.

    Args:
        path: what to read, see `load`.
        out: folder to write.
        layout: which layout, if it cannot be told.
        site: what it is an SAE of; must be given where the files do not say it.
        model: name of the model.
        source: where it came from, for the manifest; `path` if not given.

    Raises:
        FreudError: see `load`; the site is neither in the files nor given; or `out` holds something else.
    """
    sae = load(path, layout=layout, site=site, model=model)
    if "site" not in sae.metadata:
        raise FreudError(f"{path}: does not say which site it is of; give --site, such as --site encoder.blocks.2")
    parameters = {
        "source": source or str(Path(path).resolve()),
        "layout": layout or detect(path).name,
        "weights": fingerprint(sae.config(), sae.state_dict()),
        "site": sae.metadata["site"],
        "model": sae.metadata.get("model"),
    }
    out = Path(out)
    if artifacts.begin(out, IMPORT, parameters):
        return load(out)
    artifacts.finish(out, IMPORT, parameters, save(sae, out))
    return sae


def export_sae(sae: SAE | Path | str, out: Path | str, layout: Exported = "sparsify") -> list[str]:
    """Write an SAE into the folder `out` for another tool, and return the names of the files.

    Raises:
        FreudError: the tool has no such kind of SAE, or `out` is not empty.
    """
    if layout not in EXPORTS:
        raise FreudError(f"layout {layout!r}: expected one of {', '.join(EXPORTS)}")
    sae = sae if isinstance(sae, SAE) else load(sae)
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FreudError(f"{out}: exists and is not an empty folder; choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FreudError(f"{out}: cannot create the folder: {error.strerror}") from None
    return EXPORTS[layout](sae, out)


__all__ = ["LAYOUTS", "Exported", "Layout", "detect", "export_sae", "import_sae", "load", "save"]
