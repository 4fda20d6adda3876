"""Labels of frames and how latents agree with them, against counting one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

import freud
from freud.corpus import Corpus
from freud.naming.agreement import agreement, frame_labels
from freud.saes import load


@pytest.mark.parametrize("rate", [50.0, 25.0, 99.5])
def test_frames_have_the_label_of_their_middle(demo: Corpus, rate: float) -> None:
    clip = next(clip for clip in demo if clip.transcript)
    segments = demo.segments(clip.id, "phones")
    labels = frame_labels(segments, 1000, rate)
    assert set(labels) == {"", *(segment.label for segment in segments)}
    for frame in range(0, 1000, 7):
        inside = [s.label for s in segments if s.start <= (frame + 0.5) / rate < s.end]
        assert labels[frame] == (inside[-1] if inside else "")


def test_counts_are_those_of_scikit_learn() -> None:
    sae = load(Path(freud.__file__).parent / "bundled" / "sae")
    rng = np.random.default_rng(0)
    clips = [
        (torch.from_numpy(rng.normal(size=(rows, sae.d_in)).astype(np.float32)), rng.choice(["", "m", "s", "a"], rows))
        for rows in (40, 1, 25)
    ]
    clips.append((clips[0][0][:5], np.full(5, "", object)))
    found = agreement(sae, clips)
    x, labels = torch.cat([x for x, _ in clips]), np.concatenate([labels for _, labels in clips])
    on = (sae.encode(x) > 0).numpy()
    assert sorted(found.labels) == ["a", "m", "s"]
    assert found.frames == len(x) == 71
    np.testing.assert_array_equal(found.active, on.sum(0))
    some = np.flatnonzero(on.any(0))[:50]
    for label, heard, scores in zip(found.labels, found.heard, found.f1, strict=True):
        assert heard.tolist() == [(labels == label).sum() for _, labels in clips]
        expected = [f1_score(labels == label, on[:, latent]) for latent in some]
        np.testing.assert_allclose(scores[some], expected, rtol=1e-6)


def test_nothing_is_labeled_where_there_are_no_labels() -> None:
    sae = load(Path(freud.__file__).parent / "bundled" / "sae")
    found = agreement(sae, [(torch.zeros(3, sae.d_in), frame_labels([], 3, 50.0))])
    assert (found.labels, found.frames, found.f1.shape) == ([], 3, (0, sae.d_sae))
