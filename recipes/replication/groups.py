"""Small groups of features for a label, and the phone that the strongest latent stands for.

Frames of a few minutes are held in memory here, which naming itself never does.
"""

from __future__ import annotations

import numpy as np

from freud.features import FeatureIndex
from freud.naming.examples import ExampleBank

RIDGE = 1e-3


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
    return solve(x.T @ x, x.T @ y)


def solve(square: np.ndarray, product: np.ndarray) -> np.ndarray:
    """The same from X^T X and X^T Y, X having a last column of ones."""
    penalty = np.full(len(square), RIDGE * np.trace(square) / len(square))
    penalty[-1] = 0
    return np.linalg.solve(square + np.diag(penalty), product)


def exact(score: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Histograms of a score with a bin for each of its values: positives and all."""
    _, place = np.unique(score, return_inverse=True)
    count = int(place.max()) + 1
    return np.bincount(place[label], minlength=count).astype(float), np.bincount(place, minlength=count).astype(float)


def pursuit(x: np.ndarray, y: np.ndarray, most: int) -> np.ndarray:
    """Features for each label, one after the other, each the one that correlates most with what is left unexplained.

    Orthogonal matching pursuit (Pati et al. 1993) on standardized features.

    Args:
        x: [frames, features] float32.
        y: [frames, labels] 0 or 1.
        most: features a label.

    Returns:
        [labels, most] numbers of features.
    """
    scaled = (x - x.mean(0)) / (x.std(0) + 1e-9)
    left = (y - y.mean(0)).astype(np.float32)
    chosen = np.zeros((y.shape[1], 0), np.int64)
    for _ in range(most):
        strength = np.abs(scaled.T @ left)
        np.put_along_axis(strength, chosen.T, -1, axis=0)
        chosen = np.concatenate([chosen, strength.argmax(0)[:, None]], 1)
        for label, features in enumerate(chosen):
            weights = ridge(scaled[:, features], y[:, label].astype(float))
            left[:, label] = y[:, label] - (scaled[:, features] @ weights[:-1] + weights[-1])
    return chosen


def best_feature(x: np.ndarray, label: np.ndarray) -> tuple[int, float, float]:
    """The feature with the largest F1 at its best threshold, that threshold, and the F1.

    Args:
        x: [rows, features].
        label: [rows] bool.
    """
    order = np.argsort(-x, axis=0)
    sorted_x = np.take_along_axis(x, order, 0)
    last = np.append(sorted_x[:-1] > sorted_x[1:], np.ones((1, x.shape[1]), bool), 0)  # of rows that tie
    scores = 2 * label[order].cumsum(0) / (np.arange(1, len(x) + 1)[:, None] + label.sum()) * last
    rank, feature = np.unravel_index(scores.argmax(), scores.shape)
    return int(feature), float(sorted_x[rank, feature]), float(scores[rank, feature])


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
