"""The folder of a result, as `discover` writes it, and the questions people ask of it.

No other file knows where in that folder a stage's own folder lies: `Layout` says it. `open_index`, `open_sae`, `search`
and `name` find their way by it. The packages they lead to are imported on use: an edit has no time for tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from freud import artifacts
from freud.errors import FreudError, UnknownNameError

if TYPE_CHECKING:
    from freud.features import FeatureIndex, Hit
    from freud.naming import Names
    from freud.saes import SAE

Basis = Literal["neurons", "latents"]


@dataclass(frozen=True)
class Layout:
    """Where each part of a result is, whether it has been written or not.

    Attributes:
        path: the folder of the result.
        names_path: where its names are, if not in the folder itself.
    """

    path: Path
    names_path: Path | None = None

    @property
    def corpus(self) -> Path:
        """The corpus, if `discover` imported it itself."""
        return self.path / "corpus"

    @property
    def activations(self) -> Path:
        """The store of all sites."""
        return self.path / "activations"

    def sae(self, site: str) -> Path:
        """The SAE of a site."""
        return self.path / "saes" / site

    def index(self, site: str, basis: Basis) -> Path:
        """The index of a site in one basis."""
        return self.path / "features" / site / basis

    @property
    def names_root(self) -> Path:
        """The folder that holds the names of every index, and the sound measures that they share."""
        return self.names_path or self.path / "names"

    def names(self, site: str, basis: Basis) -> Path:
        """The names of the features of an index."""
        return self.names_root / site / basis

    @property
    def sound(self) -> Path:
        """The acoustic measures of every clip."""
        return self.names_root / "sound"

    @property
    def has_indexes(self) -> bool:
        """Whether this is a result, of which an index may be unfinished; a single index is none."""
        return (self.path / "features").is_dir()

    @property
    def has_saes(self) -> bool:
        """Whether it has a folder of SAEs, of which one may be unfinished."""
        return (self.path / "saes").is_dir()

    def list_indexes(self) -> dict[tuple[str, Basis], Path]:
        """The folders of the finished indexes by site and basis, in the order of their paths."""
        manifests = sorted(self.path.glob(f"features/*/*/{artifacts.MANIFEST}"))
        return {(path.parts[-3], path.parts[-2]): path.parent for path in manifests}  # pyright: ignore[reportReturnType]

    def list_saes(self) -> dict[str, Path]:
        """The folders of the SAEs by site, in the order of their paths."""
        return {path.parent.name: path.parent for path in sorted(self.path.glob("saes/*/cfg.json"))}


def open_index(path: Path | str, site: str | None = None, basis: Basis | None = None) -> FeatureIndex:
    """Open an index, or the one of a site in a folder written by `discover`.

    Args:
        path: the folder.
        site: which site; may be left out where there is only one.
        basis: neurons or latents; latents where there are any, if not given.

    Raises:
        UnknownNameError: no index of that site or basis; the message says which there are.
    """
    from freud import features, naming

    path = Path(path)
    if not path.is_dir():
        raise FreudError(f"{path}: no such folder; expected one written by `freud discover` or `freud index`")
    layout = Layout(path)
    if not layout.has_indexes:
        index = features.read(path)
        if site not in {None, index.site} or basis not in {None, index.basis}:
            raise UnknownNameError(f"{path}: is an index of the {index.basis} of {index.site}")
        return index
    folders = layout.list_indexes()
    if not folders:
        raise FreudError(f"{path}: no index in it is finished; run the same `freud discover` command again")
    sites = list(dict.fromkeys(indexed_site for indexed_site, _ in folders))
    if site is None and len(sites) == 1:
        site = sites[0]
    if site is None or site not in sites:
        raise UnknownNameError(
            f"{path}: {'give a site' if site is None else f'no site {site!r}'}; it has {', '.join(sites)}"
        )
    bases: list[Basis] = [indexed_basis for indexed_site, indexed_basis in folders if indexed_site == site]
    if basis is None:
        basis = "latents" if "latents" in bases else "neurons"
    if basis not in bases:
        raise UnknownNameError(f"{path}: {site} has no {basis}; it has {', '.join(bases)}")
    index = features.read(folders[site, basis])
    names = layout.names(site, basis)
    if (names / artifacts.MANIFEST).is_file():
        index.show_names(naming.read(names).shown())
    return index


def open_sae(path: Path | str, site: str | None = None) -> SAE:
    """An SAE: the bundled one (`bundled`), that of a folder, or that of a site in a folder written by `discover`.

    Args:
        path: where.
        site: which site's, where there are several.

    Raises:
        UnknownNameError: there is none for that site; the message says which there are.
        FreudError: there is none at all.
    """
    from freud.editing.sources import BUNDLED, bundled_sae
    from freud.saes.formats import load

    folder = bundled_sae() if str(path) == BUNDLED else Path(path)
    layout = Layout(folder)
    if layout.has_saes:
        folders = layout.list_saes()
        if not folders:
            raise FreudError(f"{folder}: has no trained SAE; edit neurons, or train one with `freud train`")
        if site is None and len(folders) > 1:
            raise UnknownNameError(f"{folder}: give a site; it has SAEs of {', '.join(folders)}")
        if site is not None and site not in folders:
            raise UnknownNameError(f"{folder}: no SAE of {site!r}; it has those of {', '.join(folders)}")
        folder = folders[site or next(iter(folders))]
    return load(folder)


def name(
    path: Path | str,
    *,
    site: str | None = None,
    basis: Basis | None = None,
    out: Path | str | None = None,
    corpus: Path | str | None = None,
    kinds: Sequence[str] | None = None,
    words: int = 20,
    by: Literal["auto", "speaker", "clip"] = "auto",
    controls: bool = True,
    seed: int = 0,
    progress: bool = True,
) -> list[Names]:
    """Name every feature of a result, or of one index, after the label that it responds to.

    Args:
        path: a folder written by `discover` or by `index`.
        site: only this site.
        basis: only neurons or only latents.
        out: folder to write; `names/SITE/BASIS` in a result, and needed for a single index.
        corpus: the corpus, if it is not where it was.
        kinds: only labels of these kinds.
        words: how many of the most frequent words are labels.
        by: what is held out as a whole.
        controls: also score raw coordinates, PCA, a frozen random decoder and a linear probe.
        seed: of the split, the shuffles and the intervals.
        progress: show progress bars on a terminal.

    Raises:
        FreudError: no finished index there, or what `naming.name` raises; what is named is kept.
    """
    from freud import naming

    path = Path(path)
    options = {
        "corpus": corpus, "kinds": None if kinds is None else tuple(kinds), "words": words, "by": by,
        "controls": controls, "seed": seed, "progress": progress,
    }  # fmt: skip
    layout = Layout(path, None if out is None else Path(out))
    if not layout.has_indexes:
        index = open_index(path, site, basis)
        if out is None:
            raise FreudError(f"{path}: is a single index; say with --out where its names go")
        return [naming.name(index, out, **options)]
    pairs = [pair for pair in layout.list_indexes() if site in {None, pair[0]} and basis in {None, pair[1]}]
    if not pairs:
        open_index(path, site, basis)  # raises, and says what there is
    return [
        naming.name(open_index(path, *pair), layout.names(*pair), sound=layout.sound, **options)  # pyright: ignore[reportArgumentType]
        for pair in pairs
    ]


def search(
    source: Path | str | FeatureIndex,
    feature: int,
    *,
    site: str | None = None,
    basis: Basis | None = None,
    top: int = 10,
    min: float | None = None,
    max: float | None = None,
    absolute: bool = False,
) -> list[Hit]:
    """The clips that drive a feature most, strongest first.

    Args:
        source: a result or an index, to be opened by `open_index` with `site` and `basis`; or an open index.
        feature: number of the neuron or latent.
        site: which index of a result.
        basis: likewise.
        top: how many clips.
        min: only values of at least this.
        max: only values of at most this.
        absolute: rank by magnitude; with `max=0`, the strongest negative activations.

    Raises:
        FreudError: there is no such index, or several that fit. UnknownNameError: no such feature.
    """
    from freud.features import FeatureIndex

    index = source if isinstance(source, FeatureIndex) else open_index(source, site, basis)
    return index.top(feature, top, min=min, max=max, absolute=absolute)
