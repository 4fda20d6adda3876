"""Stage two of the replication page: names on the prepared activations, tables, plots, and the page itself.

    python recipes/replication/report.py WORK [--docs docs] [--audio FOLDER]

Reads what `prepare.py` left in WORK and writes `docs/replication.md`, its plots as SVG and its tables as CSV and
Parquet under `docs/replication/`. Names and scores are kept in WORK and not made twice.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import by_name
import phones
import spoken
from esc10 import sounds
from page import Report
from prepare import ARCHITECTURE, CORPORA, OPTIONS, ROOT, corpus
from sites import ALL, SAE_SITES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--audio", type=Path, default=ROOT / "data" / "real-audio")
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    work = arguments.work
    clips = {which: corpus(work, arguments.audio, which) for which in CORPORA}
    speech = clips["speech"]
    report = Report(arguments.docs)
    report.say("# Replication")
    report.say(
        "Published findings about Whisper's encoder, each tried on the encoder of whisper-base with real speech. "
        "All of it was measured by `recipes/replication/prepare.py WORK` and `report.py WORK`; the second writes this "
        "page. Every table is there as CSV and Parquet.",
        f"Speech: {len(speech)} utterances ({60 * speech.hours:.1f} minutes) of six speakers from "
        f"{' and '.join(CORPORA['speech'])}, with automatically aligned phones (two aligners; on LibriSpeech, 83 % of "
        f"frames agree with another). SAEs: TopK, {ARCHITECTURE.d_sae} latents, {ARCHITECTURE.k} active, "
        f"{OPTIONS.steps} steps on {60 * clips['training'].hours:.0f} minutes of 60 other speakers "
        f"({', '.join(SAE_SITES['speech'])}): small ones. All of it is little data: see the worst speaker of each "
        "phone.",
    )
    summary = len(report.parts)
    rows = phones.measure(work, speech, ALL)
    points = spoken.best_feature(report, rows)
    spoken.small_groups(report, work, speech, rows)
    points.append(spoken.signs(report, work, speech))
    found = by_name.named(work / "speech", speech)
    by_name.by_site(report, found)
    by_name.against_controls(report, found)
    points.append(by_name.levels(report, found))
    points.append(by_name.structure(report, found))
    points.append(sounds(report, work / "sounds", clips["sounds"]))
    report.points(points, summary)
    report.write()


if __name__ == "__main__":
    main()
