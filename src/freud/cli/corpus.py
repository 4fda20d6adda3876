"""`freud corpus`: import a folder of audio as a corpus, or describe one."""

from __future__ import annotations

from pathlib import Path

import tyro

from freud.cli.options import Json, Maybe
from freud.cli.output import print_json, print_table, say_problems
from freud.errors import FreudError


def main(
    audio: tyro.conf.Positional[Path],
    out: Maybe[Path] = None,
    layout: str = "auto",
    json: Json = False,
) -> None:
    """Import a folder of audio, with its labels, as a corpus. Without --out, only say what would be imported.

    Args:
        audio: A folder of audio, a CSV manifest, or a corpus written before.
        out: Folder to write.
        layout: auto, folder, csv, librispeech, esc50 or audioset.
        json: Print JSON.
    """
    from freud import corpus as corpora

    if out is None and layout != "auto":
        raise FreudError("--layout: has no meaning without --out")
    corpus = corpora.read(audio) if out is None else corpora.import_corpus(audio, out, layout=layout)
    facts = {
        "path": corpus.path,
        "root": corpus.root,
        "fingerprint": corpus.fingerprint,
        "clips": len(corpus),
        "hours": round(corpus.hours, 4),
        "speakers": len({clip.speaker for clip in corpus} - {None}),
        "transcribed": sum(clip.transcript is not None for clip in corpus),
        "labeled": sum(clip.label is not None for clip in corpus),
        "tiers": list(corpus.tiers),
        "problems": corpus.problems,
    }
    if json:
        print_json(facts)
        return
    say_problems(corpus.problems)
    rows = [
        [name, ", ".join(value) if isinstance(value, list) else value]
        for name, value in facts.items()
        if name != "problems"
    ]
    print_table(["corpus", str(audio)], rows)
