"""`freud corpus`: download a published corpus, import recordings, describe a corpus, export its tiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from freud.cli.options import Json, Maybe, refuse
from freud.cli.output import print_json, print_table, say_problems, size

if TYPE_CHECKING:
    from freud.corpus import Info

_Part = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
_Tier = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]


@dataclass(frozen=True)
class Download:
    """Download a published corpus, or parts of it. Without a name, list what there is."""

    name: tyro.conf.Positional[str | None] = None
    """Name of the corpus."""
    out: Maybe[Path] = None
    """Folder to put it in."""
    part: _Part = ()
    """A part of it; give it again for more."""
    mirror: Maybe[str] = None
    """Server that has the same paths as the published one (default: $FREUD_MIRROR)."""
    json: Json = False
    """Print JSON."""

    def run(self) -> None:
        """Do it."""
        from freud import corpus
        from freud.errors import FreudError

        if self.name is None:
            refuse("without the name of a corpus", out=self.out, part=self.part, mirror=self.mirror)
            _list(self.json)
            return
        if self.out is None:
            raise FreudError("--out: name the folder to put the corpus in")
        done = corpus.download(self.name, self.out, parts=self.part, mirror=self.mirror, progress=not self.json)
        if self.json:
            print_json(done)
            return
        print(f"{done.name} ({', '.join(done.parts)}) is in {done.path}; license: {done.license}; see {done.home}")
        if done.unverified:
            print(f"not verified, as no checksum is published: {', '.join(done.unverified)}")
        if done.after:
            print(done.after)
        print(f"next: freud corpus import {done.path} --out CORPUS")


@dataclass(frozen=True)
class Import:
    """Import recordings, with their labels, as a corpus: a folder, a table, a manifest or one recording."""

    audio: tyro.conf.Positional[Path]
    """What to import."""
    out: Path
    """Folder to write."""
    layout: str = "auto"
    """How it is arranged: auto, csv, kaldi, lhotse, audioset, librispeech, ljspeech, speech-commands, esc50, fsd50k,
    musan, common-voice, audiofolder or folder."""
    labels: Maybe[Path] = None
    """Folder of label files that do not lie beside the recordings, such as an aligner's output."""
    json: Json = False
    """Print JSON."""

    def run(self) -> None:
        """Do it."""
        from freud import corpus

        imported = corpus.import_corpus(self.audio, self.out, layout=self.layout, labels=self.labels)
        _tell(corpus.info(imported), self.json)


@dataclass(frozen=True)
class Describe:
    """Show what a corpus holds: hours, speakers, classes, splits, tiers and problems."""

    path: tyro.conf.Positional[Path]
    """A corpus, or anything that can be imported."""
    json: Json = False
    """Print JSON."""

    def run(self) -> None:
        """Do it."""
        from freud import corpus

        _tell(corpus.info(corpus.read(self.path)), self.json)


@dataclass(frozen=True)
class Export:
    """Write the tiers of a corpus for other programs, a file for each recording."""

    path: tyro.conf.Positional[Path]
    """A corpus, or anything that can be imported."""
    out: Path
    """Folder to write."""
    format: Literal["textgrid", "audacity", "csv"] = "textgrid"
    """textgrid (Praat), audacity (a file for each tier) or csv."""
    tier: _Tier = ()
    """A tier; give it again for more (default: all)."""
    json: Json = False
    """Print JSON."""

    def run(self) -> None:
        """Do it."""
        from tqdm import tqdm

        from freud import corpus

        def shown(clips: Any) -> Any:
            return tqdm(clips, desc="export", unit=" clips", disable=self.json)

        opened = corpus.read(self.path)
        done = corpus.export_tiers(opened, self.out, format=self.format, tiers=self.tier, progress=shown)
        if self.json:
            print_json(done)
        else:
            print(f"{done.intervals} intervals of {done.recordings} recordings in {done.files} files below {done.path}")


_Action = (
    Annotated[Download, tyro.conf.subcommand("download", prefix_name=False)]
    | Annotated[Import, tyro.conf.subcommand("import", prefix_name=False)]
    | Annotated[Describe, tyro.conf.subcommand("info", prefix_name=False)]
    | Annotated[Export, tyro.conf.subcommand("export", prefix_name=False)]
)


def main(action: _Action) -> None:
    """Download a published corpus, import recordings, describe a corpus, or export its tiers."""
    action.run()


def _list(json: bool) -> None:
    from freud.corpus.fetching import BY_HAND, SOURCES

    if json:
        print_json({"download": SOURCES, "by_hand": BY_HAND})
        return
    rows = []
    for name, source in SOURCES.items():
        for part, content in source.parts.items():
            known = [remote.size for remote in content.files]
            total = size(sum(value or 0 for value in known)) if all(known) else None
            rows.append([name, part, total, "yes" if part in source.default else "", source.license])
    print_table(["corpus", "part", "size", "default", "license"], rows)
    for name, where in BY_HAND.items():
        print(f"{name}: {where}")


def _tell(found: Info, json: bool) -> None:
    if json:
        print_json(found)
        return
    say_problems(found.problems, "problem")
    rows: list[Sequence[Any]] = [
        ["path", found.path],
        ["root", found.root],
        ["layout", found.layout],
        ["fingerprint", found.fingerprint],
        ["clips", f"{found.clips}, of {found.shortest:.2f} s to {found.longest:.2f} s"],
        ["hours", round(found.hours, 4)],
        ["speakers", found.speakers],
        ["transcribed", found.transcribed],
        ["labeled", found.labeled],
        *([name, _said(groups)] for name, groups in _groups(found)),
        *([f"tier {t.name}", f"{t.intervals} intervals of {t.clips} clips, {t.labels} labels"] for t in found.tiers),
        ["unused files", found.unused],
        ["problems", len(found.problems)],
    ]
    print_table(["corpus", str(found.path or found.root)], rows)


def _groups(found: Info) -> list[tuple[str, Any]]:
    return [
        ("classes", found.classes),
        ("splits", found.splits),
        ("sexes", found.sexes),
        ("sample rates", found.sample_rates),
    ]


def _said(groups: Sequence[Any]) -> str | None:
    """The largest groups in words: "train 12, test 3"."""
    parts = [f"{'(none)' if group.name is None else group.name} {group.clips}" for group in groups[:8]]
    more = [f"and {len(groups) - 8} more"] if len(groups) > 8 else []
    return ", ".join([*parts, *more]) or None
