"""Small groups of features as detectors of a label, and the phone that the strongest latent stands for.

Frames of a few minutes are held in memory here, which naming itself never does. Whatever is chosen or fitted is chosen
and fitted on one side of a split; every number is of the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from freud.features import FeatureIndex
from freud.naming import statistics
from freud.naming.examples import ExampleBank

RIDGE = 1e-3
CANDIDATES = 20


def matrix(index: FeatureIndex, clips: np.ndarray) -> np.ndarray:
    """Values of all features on the frames of some clips, in order: [frames, features] float32."""
    lengths = dict(index.sql("SELECT clip, frames FROM clips"))
    if index.basis == "neurons":
        ids = dict(index.sql("SELECT clip, id FROM clips"))
        return np.concatenate([index.activations.clip(ids[clip]).numpy() for clip in clips])
    starts = np.cumsum([0, *(lengths[clip] for clip in clips)])
    values = np.zeros((starts[-1], index.features), np.float32)
    first = dict(zip(clips.tolist(), starts.tolist(), strict=False))
    rows = index.sql("SELECT clip, frame, feature, value FROM postings WHERE clip IN ?", [clips.tolist()])
    clip, frame, feature, value = (np.array(column) for column in zip(*rows, strict=True))
    values[np.array([first[c] for c in clip.tolist()]) + frame, feature] = value
    return values


def labels(examples: ExampleBank, clips: np.ndarray) -> np.ndarray:
    """[frames, labels] bool of the same frames."""
    bank = examples.bank
    columns = [bank.index[label.id] for label in examples.labels]
    return np.concatenate([bank.frames(int(c), int(examples.frames[c]))[:, columns] > 0 for c in clips])


def ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Weights, and an intercept last, of a ridge regression."""
    x = np.concatenate([x, np.ones((len(x), 1), x.dtype)], 1).astype(np.float64)
    square = x.T @ x
    penalty = np.full(len(square), RIDGE * np.trace(square) / len(square))
    penalty[-1] = 0
    return np.linalg.solve(square + np.diag(penalty), x.T @ y)


def exact(score: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Histograms of a score with a bin for each of its values: positives and all."""
    _, place = np.unique(score, return_inverse=True)
    count = int(place.max()) + 1
    return np.bincount(place[label], minlength=count).astype(float), np.bincount(place, minlength=count).astype(float)


def detectors(
    x: tuple[np.ndarray, np.ndarray], y: tuple[np.ndarray, np.ndarray], sizes: tuple[int, ...] = (1, 2, 5)
) -> list[dict[str, Any]]:
    """For each label groups of features by forward selection, and the probe on all of them.

    Args:
        x: values on the side to fit on and on the held-out side, [frames, features].
        y: labels on both, [frames, labels].
        sizes: of the groups.

    Returns:
        a row for each label and size (0: all features) with AUC, average precision and F1 on the held-out side.
    """
    rows = []
    whole = ridge(x[0], y[0].astype(float))
    for label in range(y[0].shape[1]):
        fit, held = y[0][:, label], y[1][:, label]
        if not fit.any() or not held.any():
            continue
        spread = x[0].std(0) + 1e-9
        strength = np.abs(x[0][fit].mean(0) - x[0][~fit].mean(0)) / spread
        chosen: list[int] = []
        candidates = np.argsort(-strength)[:CANDIDATES]
        for size in range(1, max(sizes) + 1):
            best, found = -1.0, -1
            for candidate in candidates:
                if candidate not in chosen:
                    group = [*chosen, int(candidate)]
                    said = np.append(x[0][:, group], np.ones((len(fit), 1)), 1) @ ridge(
                        x[0][:, group], fit.astype(float)
                    )
                    area = float(statistics.auc(*exact(said, fit)))
                    best, found = max((best, found), (area, int(candidate)))
            chosen.append(found)
            if size in sizes:
                weights = ridge(x[0][:, chosen], fit.astype(float))
                rows.append({"label": label, "size": size, **_held(x, chosen, weights, fit, held)})
        everything = list(range(x[0].shape[1]))
        rows.append({"label": label, "size": 0, **_held(x, everything, whole[:, label], fit, held)})
    return rows


def _held(
    x: tuple[np.ndarray, np.ndarray], chosen: list[int], weights: np.ndarray, fit: np.ndarray, held: np.ndarray
) -> dict[str, Any]:
    said, asked = (side[:, chosen] @ weights[:-1] + weights[-1] for side in x)
    levels, _ = np.unique(said, return_inverse=True)
    _, threshold = statistics.best_f1(*exact(said, fit))
    active = asked >= levels[threshold]
    histogram = exact(asked, held)
    return {
        "auc": float(statistics.auc(*histogram)),
        "average_precision": float(statistics.average_precision(*histogram)),
        "f1": float(statistics.f1_at((active & held).sum(), active.sum(), held.sum())),
        "n": len(held),
        "positives": int(held.sum()),
        "features": " ".join(map(str, chosen)) if len(chosen) < 10 else "all",
    }


def strongest(
    x: tuple[np.ndarray, np.ndarray], phone: tuple[np.ndarray, np.ndarray], dense: tuple[np.ndarray, np.ndarray]
) -> dict[str, float]:
    """Accuracy of phones read off latents, and of a linear probe on the activations, on the same frames.

    Every latent stands for the phone on which it has the largest sum, of values divided by its mean active value. The
    frame's answer is that of its strongest latent, so divided; "any match" asks if any active latent stands for the
    frame's phone. The null deals the latents' phones anew.

    Args:
        x: latents on both sides, [frames, latents].
        phone: number of the phone of each frame.
        dense: activations of the same frames, for the probe.
    """
    count = int(max(p.max() for p in phone)) + 1
    active = x[0] > 0
    scale = x[0].sum(0) / np.maximum(active.sum(0), 1)
    alive = scale > 0
    scaled = [side[:, alive] / scale[alive] for side in x]
    sums = np.stack([scaled[0][phone[0] == p].sum(0) for p in range(count)])
    share = sums / np.maximum(sums.sum(0), 1e-9) / np.maximum(np.bincount(phone[0], minlength=count)[:, None], 1)
    stands = share.argmax(0)
    answer = stands[scaled[1].argmax(1)]
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(stands)[scaled[1].argmax(1)]
    matching = (scaled[1] > 0) & (stands[None, :] == phone[1][:, None])
    random = (scaled[1] > 0) & (rng.permutation(stands)[None, :] == phone[1][:, None])
    center = dense[0].mean(0)
    weights = ridge(dense[0] - center, np.eye(count)[phone[0]])
    probe = ((dense[1] - center) @ weights[:-1] + weights[-1]).argmax(1)
    return {
        "strongest latent": float((answer == phone[1]).mean()),
        "strongest latent, null": float((shuffled == phone[1]).mean()),
        "any match": float(matching.any(1).mean()),
        "any match, null": float(random.any(1).mean()),
        "linear probe": float((probe == phone[1]).mean()),
        "most frequent phone": float((phone[1] == np.bincount(phone[0]).argmax()).mean()),
        "frames": float(len(phone[1])),
    }
