"""Does a feature cause what its name says? Many edits, on one clip or a corpus, as one table of effects.

Each row is one feature scaled by one factor on one clip, against the unedited transcript; density-matched random
features are scaled beside it as a control (`control_for` says whose). A sweep over a corpus writes an artifact of
Parquet files and resumes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm import tqdm

from freud import artifacts
from freud.artifacts import Artifact
from freud.audio import SAMPLE_RATE, valid_frames
from freud.corpus import Corpus
from freud.corpus.table import Clip, Segment
from freud.editing.controls import density_matched
from freud.editing.run import PLAIN, Variant, clip_samples, run_window
from freud.editing.words import changed_words, character_errors, differences, word_errors
from freud.errors import FreudError
from freud.models import AudioModel
from freud.models.edits import Feature, Seen, check

KIND = "edit"
BATCH = 7  # edits decoded together, beside the unedited clip
PART = 20  # clips whose rows are written at once
WORDS = "words"  # the tier that says when each word is spoken

EFFECTS = pa.schema(
    [
        ("clip", pa.string()),  # id; "" for a clip that is not of a corpus
        ("feature", pa.int32()),
        ("control_for", pa.int32()),  # null for the features asked about
        ("factor", pa.float64()),
        ("active_frames", pa.int32()),  # on this clip, before the edit
        ("words", pa.int32()),  # of the unedited transcript
        ("words_inside", pa.int32()),  # of those, spoken while the feature is active; null without word times
        ("words_outside", pa.int32()),  # spoken while it is silent; a misheard word has no time and is neither
        ("changed_words", pa.int32()),  # not in the edited transcript, or with an insertion before them
        ("changed_inside", pa.int32()),
        ("word_errors", pa.int32()),  # of the edited against the unedited transcript
        ("characters", pa.int32()),
        ("character_errors", pa.int32()),
        ("log_probability", pa.float64()),  # change, summed over the words of the unedited transcript
        ("log_probability_inside", pa.float64()),
        ("log_probability_outside", pa.float64()),
        ("text", pa.string()),  # the edited transcript
    ]
)
"""Columns of `effects.parquet`."""


def sweep_clip(
    model: AudioModel,
    audio: str | Path | np.ndarray,
    features: Sequence[Feature],
    factors: Sequence[float],
    *,
    segments: Sequence[Segment] = (),
    controls: int = 0,
    substitute: bool = False,
    seed: int = 0,
) -> pa.Table:
    """One or many features over a range of factors on one clip; a row for each, columns as `EFFECTS`.

    Args:
        model: a model that can transcribe.
        audio: a file, or 16 kHz mono samples.
        features: latents or neurons of one site.
        factors: what each is scaled by.
        segments: labeled intervals of the clip; those of the tier `words` say which words the feature is active in.
        controls: random features to scale beside each, drawn from the nearest to it in density on this clip.
        substitute: use the bare reconstruction.
        seed: of the choice of controls.

    Raises:
        FreudError: the model cannot transcribe, features of several sites, or an edit that does not fit.
    """
    samples = clip_samples(audio)
    _check(model, features, factors, len(samples) / SAMPLE_RATE)
    chosen: dict[int, list[int]] = {}
    if controls:
        active, frames = _count_active(model, features[0], samples)
        chosen = density_matched(active / frames, [f.index for f in features], controls, seed)
    rows = _effects(model, "", samples, segments, features, factors, chosen, substitute)
    return pa.Table.from_pylist(list(rows), schema=EFFECTS)


def sweep_corpus(
    model: AudioModel,
    corpus: Corpus,
    features: Sequence[Feature],
    factors: Sequence[float],
    out: Path | str,
    *,
    controls: int = 1,
    substitute: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> Artifact:
    """One or many features over a range of factors on every clip of a corpus; the same call resumes.

    Writes `effects.parquet` (columns as `EFFECTS`) and `curves.parquet` (`curves` of it).

    Args:
        model: a model that can transcribe.
        corpus: the clips; a tier `words` lets effects be told apart inside and outside of the feature's events.
        features: latents or neurons of one site.
        factors: what each is scaled by.
        out: folder to write.
        controls: random features to scale beside each, drawn from the nearest to it in density on the corpus.
        substitute: use the bare reconstruction.
        seed: of the choice of controls.
        progress: show a progress bar on a terminal.

    Raises:
        FreudError: as `sweep_clip`; or `out` holds something else.
    """
    out = Path(out)
    _check(model, features, factors, float("inf"))
    sae = features[0].sae
    parameters = {
        "model": model.fingerprint,
        "compute_dtype": str(model.dtype).removeprefix("torch."),
        "corpus": corpus.fingerprint,
        "site": model.site(features[0].site).name,
        "basis": features[0].basis,
        "sae": None if sae is None else artifacts.fingerprint([float(w) for w in sae.W_dec.double().sum(1)]),
        "features": [feature.index for feature in features],
        "factors": list(factors),
        "controls": controls,
        "substitute": substitute,
        "seed": seed,
    }
    if done := artifacts.begin(out, KIND, parameters):
        return done
    chosen = _corpus_controls(model, corpus, features, controls, seed, out, progress)
    clips = list(corpus)
    parts = []
    bar = tqdm(total=len(clips), desc="edit", unit="clip", disable=None if progress else True)
    with bar:
        for number, first in enumerate(range(0, len(clips), PART)):
            parts.append(out / f"part-{number:05d}.parquet")
            some = clips[first : first + PART]
            if not parts[-1].is_file():
                rows: list[dict[str, Any]] = []
                problems: list[dict[str, str]] = []
                for clip in some:
                    try:
                        samples = corpus.samples(clip)
                    except FreudError as error:
                        problems.append({"clip": clip.id, "reason": str(error)})
                        continue
                    segments = _words(corpus, clip)
                    rows += _effects(model, clip.id, samples, segments, features, factors, chosen, substitute)
                schema = EFFECTS.with_metadata({"problems": json.dumps(problems)})
                with artifacts.replacing(parts[-1]) as temporary:
                    pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)
            bar.update(len(some))
    skipped: list[dict[str, str]] = []
    with artifacts.replacing(out / "effects.parquet") as temporary, pq.ParquetWriter(temporary, EFFECTS) as writer:
        for part in parts:
            table = pq.read_table(part)
            skipped += json.loads((table.schema.metadata or {})[b"problems"])
            writer.write_table(table.replace_schema_metadata())
    with artifacts.replacing(out / "curves.parquet") as temporary:
        pq.write_table(curves(pq.read_table(out / "effects.parquet")), temporary)
    facts = {"clips": len(clips), "problems": skipped, "controls": {str(f): c for f, c in chosen.items()}}
    artifact = artifacts.finish(out, KIND, parameters, ["effects.parquet", "curves.parquet"], **facts)
    for leftover in [*parts, out / "controls.json"]:
        leftover.unlink(missing_ok=True)
    return artifact


def curves(effects: pa.Table) -> pa.Table:
    """Effect curves: a row for each feature and factor, over all clips.

    Columns: feature, factor, clips, changed_clips (share with any changed word), wer, cer, log_probability_inside and
    log_probability_outside (mean change a word, natural logarithms), and the same of its controls with `control_`.
    """
    import duckdb

    sums = """
        count(DISTINCT clip) AS clips,
        avg((word_errors > 0)::INT) AS changed_clips,
        sum(word_errors) / nullif(sum(words), 0) AS wer,
        sum(character_errors) / nullif(sum(characters), 0) AS cer,
        sum(log_probability_inside) / nullif(sum(words_inside), 0) AS log_probability_inside,
        sum(log_probability_outside) / nullif(sum(words_outside), 0) AS log_probability_outside
    """
    names = ("changed_clips", "wer", "cer", "log_probability_inside", "log_probability_outside")
    beside = ", ".join(f"c.{name} AS control_{name}" for name in names)
    with duckdb.connect() as database:
        database.register("effects", effects)
        return database.sql(
            f"""
            WITH asked AS (SELECT feature, factor, {sums} FROM effects WHERE control_for IS NULL GROUP BY ALL),
            control AS (SELECT control_for AS feature, factor, {sums} FROM effects
                        WHERE control_for IS NOT NULL GROUP BY ALL)
            SELECT a.*, {beside} FROM asked a LEFT JOIN control c USING (feature, factor) ORDER BY feature, factor
            """
        ).to_arrow_table()


def _check(model: AudioModel, features: Sequence[Feature], factors: Sequence[float], seconds: float) -> None:
    if not model.can_transcribe:
        raise FreudError(f"{model.name} cannot transcribe, and a sweep compares transcripts; load a whole checkpoint")
    if not features or not factors:
        raise FreudError("a sweep needs at least one feature and one factor")
    if any(f.sae is not features[0].sae or model.site(f.site) != model.site(features[0].site) for f in features):
        raise FreudError("features of several sites or SAEs; sweep one site at a time")
    site = model.site(features[0].site)
    if site.frames_per_second is None:
        raise FreudError(f"{site.name}: a sweep needs an encoder site, whose frames have times")
    for feature in features:
        for factor in factors:
            check([feature.scale(factor)], model, seconds)


def _words(corpus: Corpus, clip: Clip) -> list[Segment]:
    return corpus.segments(clip.id, WORDS) if WORDS in corpus.tiers else []


def _corpus_controls(
    model: AudioModel,
    corpus: Corpus,
    features: Sequence[Feature],
    controls: int,
    seed: int,
    out: Path,
    progress: bool,
) -> dict[int, list[int]]:
    """Controls by feature; written down at once, so that a sweep that resumes has the same ones."""
    if not controls:
        return {}
    path = out / "controls.json"
    if not path.is_file():
        active, frames = 0, 0
        for clip in tqdm(corpus, desc="density", unit="clip", disable=None if progress else True):
            try:
                samples = corpus.samples(clip)
            except FreudError:
                continue  # named when its turn comes
            counts, valid = _count_active(model, features[0], samples)
            active, frames = active + counts, frames + valid
        if not frames:
            raise FreudError("no clip of the corpus can be read")
        matched = density_matched(np.asarray(active) / frames, [f.index for f in features], controls, seed)
        artifacts.write_json(path, {str(feature): others for feature, others in matched.items()})
    return {int(feature): others for feature, others in artifacts.read_json(path).items()}


def _count_active(model: AudioModel, feature: Feature, samples: np.ndarray) -> tuple[np.ndarray, int]:
    """On how many valid frames each feature of a site is above zero, and how many there are."""
    name = model.site(feature.site).name
    active, frames = 0, 0
    for start in range(0, len(samples), model.window_samples):
        part = samples[start : start + model.window_samples]
        valid = valid_frames(len(part))
        x = model.activations(model.log_mel([part]), [name])[name][0, :valid].float()
        with torch.inference_mode():
            values = x if feature.sae is None else feature.sae.encode(x)
        active, frames = active + (values > 0).sum(0).cpu().numpy(), frames + valid
    return np.asarray(active), frames


def _effects(
    model: AudioModel,
    clip: str,
    samples: np.ndarray,
    segments: Sequence[Segment],
    features: Sequence[Feature],
    factors: Sequence[float],
    controls: Mapping[int, Sequence[int]],
    substitute: bool,
) -> Iterator[dict[str, Any]]:
    """The rows of one clip: each feature, then its controls, at every factor."""
    every = [(feature, None) for feature in features]
    every += [
        (Feature(feature.site, control, feature.sae), feature.index)
        for feature in features
        for control in controls.get(feature.index, ())
    ]
    asked = [(feature, owner, factor) for feature, owner in every for factor in factors]
    traces: dict[int, list[np.ndarray]] = {feature.index: [] for feature, _ in every}
    plain: list[str] = []
    edited: list[list[str]] = [[] for _ in asked]
    changes: list[list[float]] = [[] for _ in asked]
    for start in range(0, len(samples), model.window_samples):
        part = samples[start : start + model.window_samples]
        for first in range(0, len(asked), BATCH):
            batch = asked[first : first + BATCH]
            seen: dict[int, np.ndarray] = {}

            def see(found: Seen, seen: dict[int, np.ndarray] = seen) -> None:
                seen[found.features[0]] = found.before[:, 0].float().cpu().numpy()

            variants = [PLAIN, *(Variant([feature.scale(factor)], substitute, see) for feature, _, factor in batch)]
            (as_it_is, *others), _ = run_window(model, part, start, variants, scored=[0])
            hearing = as_it_is.hearing
            assert hearing is not None
            assert hearing.scores is not None
            if first == 0:
                plain += hearing.words
            for number, outcome in enumerate(others, first):
                assert outcome.hearing is not None
                edited[number] += outcome.hearing.words
                changes[number] += (hearing.scores[outcome.row] - hearing.scores[0]).tolist()
            for index, values in seen.items():
                if len(traces[index]) * model.window_samples <= start:
                    traces[index].append(values)
    rate = model.site(features[0].site).frames_per_second or 1.0
    times = _times(plain, segments)
    for (feature, owner, factor), words, change in zip(asked, edited, changes, strict=True):
        active = np.flatnonzero(np.concatenate(traces[feature.index]) > 0)
        yield _row(clip, feature.index, owner, factor, plain, words, np.array(change), (active + 0.5) / rate, times)


def _times(words: Sequence[str], segments: Sequence[Segment]) -> list[tuple[float, float] | None] | None:
    """When each word of a transcript is spoken, by the words of a tier that it is aligned with; None without a tier."""
    tier = [segment for segment in segments if segment.tier == WORDS and segment.label.strip()]
    if not tier:
        return None
    found: list[tuple[float, float] | None] = [None] * len(words)
    for each in differences([_bare(word) for word in words], [_bare(segment.label) for segment in tier]):
        if each.kind == "equal":
            for number, segment in enumerate(tier[each.second : each.second + len(each.after)], each.first):
                found[number] = (segment.start, segment.end)
    return found


def _bare(word: str) -> str:
    """A word without punctuation and case, never empty."""
    return "".join(letter for letter in word.lower() if letter.isalnum() or letter == "'") or word.strip().replace(
        " ", "_"
    )


def _row(
    clip: str,
    feature: int,
    owner: int | None,
    factor: float,
    plain: Sequence[str],
    words: Sequence[str],
    change: np.ndarray,
    active: np.ndarray,
    times: Sequence[tuple[float, float] | None] | None,
) -> dict[str, Any]:
    """One row of the table; `active`: times of the frames on which the feature is active."""
    found = differences(plain, words)
    changed = changed_words(found)
    before, after = " ".join(plain), " ".join(words)
    row: dict[str, Any] = {
        "clip": clip,
        "feature": feature,
        "control_for": owner,
        "factor": factor,
        "active_frames": len(active),
        "words": len(plain),
        "changed_words": len(changed),
        "word_errors": word_errors(found),
        "characters": len(before),
        "character_errors": character_errors(before, after),
        "log_probability": float(change.sum()),
        "text": after,
    }
    if times is not None:
        timed = {number: span for number, span in enumerate(times) if span is not None}
        inside = [n for n, (start, end) in timed.items() if bool(((active >= start) & (active < end)).any())]
        outside = sorted(timed.keys() - inside)
        row |= {
            "words_inside": len(inside),
            "words_outside": len(outside),
            "changed_inside": len(changed.intersection(inside)),
            "log_probability_inside": float(change[inside].sum()),
            "log_probability_outside": float(change[outside].sum()),
        }
    return row
