"""Does ablating what detects a phone make a real encoder deaf to that phone, and to no other?"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import freud
from freud.editing import train_probe
from freud.editing.causal import detectors, labeled_frames, recall_effects
from freud.editing.probe import SITE as OUTPUT
from freud.editing.run import Variant
from freud.saes import Options, TopK

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = "encoder.blocks.3"
PHONES = 5


@pytest.mark.shared
def test_ablating_a_phone_latent_lowers_recall_of_that_phone(shared: Path, tmp_path: Path) -> None:
    model = freud.models.load(str(shared / "models" / "whisper-base-encoder"))
    audio = shared / "data" / "real-audio"
    speech = freud.corpus.import_corpus(audio / "librispeech_test-other", tmp_path / "speech")
    choosing, editing = speech.clips[::3], speech.clips[1::5]
    (tmp_path / "unlabeled").mkdir()
    for path in sorted((audio / "librispeech_train-clean-100_1utt").glob("*.flac"))[:16]:
        shutil.copy(path, tmp_path / "unlabeled")
    unlabeled = freud.corpus.import_corpus(tmp_path / "unlabeled", tmp_path / "other")
    frames = freud.collect(model, unlabeled, [BLOCK], tmp_path / "acts", progress=False)
    options = Options(steps=150, batch_size=512)
    sae = freud.train(frames[BLOCK], TopK(k=16, expansion=2), tmp_path / "sae", options=options, progress=False)
    parts = [labeled_frames(model, speech, clip, OUTPUT, "phones") for clip in choosing]
    x, labels = torch.cat([x for x, _ in parts]), np.concatenate([each for _, each in parts])
    probe = train_probe(model, x[labels != ""], labels[labels != ""].tolist())

    found = detectors(model, sae, speech, choosing, "phones", ignore=("SIL",), fewest=60)[:PHONES]
    edits = {d.label: (d.label, Variant([sae[d.latent].ablate()])) for d in found}
    edits |= {f"{d.label} control": (d.label, Variant([sae[d.control].ablate()])) for d in found}
    effects = recall_effects(model, probe, speech, editing, "phones", edits)

    own = [effects[d.label] for d in found]
    controls = [effects[f"{d.label} control"] for d in found]
    assert len(own) == PHONES
    assert all(each.frames > 20 and each.before > 0.4 for each in own)
    assert all(each.change < min(0, each.others) for each in own)
    change, others = (np.mean([getattr(each, name) for each in own]) for name in ("change", "others"))
    assert change < -0.04
    assert abs(others) < 0.01
    assert abs(np.mean([each.change for each in controls])) < 0.01
