"""Stage one of the replication page: corpora of real audio, activations of a real encoder, and SAEs on them.

    python recipes/replication/prepare.py WORK [--audio FOLDER] [--model NAME]

The audio is a folder with a `manifest.csv` that has the columns path, dataset, label, label_kind, speaker, gender,
transcript and segments. Used are LibriSpeech test-other and LJSpeech, with phones and words ("speech"), one utterance
of each of 60 speakers of LibriSpeech train-clean-100 ("training"), on which the SAEs for speech are trained, and ESC-10
("sounds"), with an SAE of its own. Which sites are collected is in
`sites.py`. Every stage is kept in WORK and not repeated.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from sites import ALL, NAMED, SAE_SITES

import freud
from freud.corpus import Corpus, import_corpus
from freud.saes import Options, TopK

ROOT = Path(__file__).resolve().parents[3] / "shared"
CORPORA = {
    "speech": ("librispeech_test-other", "ljspeech"),
    "training": ("librispeech_train-clean-100_1utt",),
    "sounds": ("esc10",),
}
COLLECTED = {"speech": ALL, "training": ALL, "sounds": NAMED}
TRAINED_ON = {"speech": "training", "sounds": "sounds"}
ARCHITECTURE = TopK(k=64, d_sae=2048, dead_after=50_000)
OPTIONS = Options(steps=600, batch_size=1024, precision="bfloat16")


def corpus(work: Path, audio: Path, which: str) -> Corpus:
    """The clips of one of `CORPORA`, with a `class` only where it is a sound."""
    whole = (
        import_corpus(audio, work / "corpus") if not (work / "corpus").is_dir() else freud.corpus.read(work / "corpus")
    )
    with (audio / "manifest.csv").open(encoding="utf-8") as file:
        listed = {row["path"]: row for row in csv.DictReader(file)}
    paths = whole.table["path"].to_pylist()
    keep = [listed[path]["dataset"] in CORPORA[which] for path in paths]
    kept = [listed[path] for path, wanted in zip(paths, keep, strict=True) if wanted]
    table = whole.table.filter(pa.array(keep))
    sounds = [row["label"] if row["label_kind"] == "sound_class" else None for row in kept]
    table = table.set_column(table.column_names.index("class"), "class", pa.array(sounds, pa.string()))
    manifest = {"fingerprint": f"{whole.fingerprint}-{which}", "parameters": {"layout": "csv"}, "problems": []}
    segments = whole.segment_table
    segments = segments.filter(pc.is_in(segments["clip_id"], value_set=table["id"]))
    return Corpus(None, whole.root, manifest, table, lambda: segments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--audio", type=Path, default=ROOT / "data" / "real-audio")
    parser.add_argument("--model", default=str(ROOT / "models" / "whisper-base-encoder"))
    arguments = parser.parse_args()
    clips, stores = {}, {}
    for which, sites in COLLECTED.items():
        clips[which] = corpus(arguments.work, arguments.audio, which)
        print(f"{which}: {len(clips[which])} clips, {60 * clips[which].hours:.1f} minutes", flush=True)
        stores[which] = freud.collect(arguments.model, clips[which], sites, arguments.work / which / "activations")
    for which, sites in SAE_SITES.items():
        work = arguments.work / which
        for site in sites:
            sae = freud.train(stores[TRAINED_ON[which]][site], ARCHITECTURE, work / "saes" / site, options=OPTIONS)
            freud.index(stores[which][site], sae, work / "latents" / site, corpus=clips[which])
    for site in NAMED:
        freud.index(stores["speech"][site], None, arguments.work / "speech" / "neurons" / site, corpus=clips["speech"])


if __name__ == "__main__":
    main()
