"""What edits do to activations: against dense recomputation, against the original's formulas, and every bad edit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from freud.audio import valid_frames
from freud.corpus.table import Segment
from freud.errors import FreudError, UnknownNameError
from freud.models import AudioModel
from freud.models.edits import Edit, Feature, Window, check, direction, latent, neuron, resolve, writes
from freud.saes import SAE
from freud.saes.l1 import StandardSAE
from freud.saes.topk import TopKSAE

pytestmark = pytest.mark.numeric

SITE = "encoder.blocks.2"
WIDTH, LATENTS = 192, 24


def small_sae(kind: str, seed: int = 0) -> SAE:
    generator = torch.Generator().manual_seed(seed)
    W_enc, W_dec = (torch.randn(shape, generator=generator) / 8 for shape in ((WIDTH, LATENTS), (LATENTS, WIDTH)))  # noqa: N806
    b_enc, b_dec = torch.randn(LATENTS, generator=generator) / 8, torch.randn(WIDTH, generator=generator) / 8
    metadata = {"site": SITE}
    if kind == "topk":
        return TopKSAE(W_enc, b_enc, W_dec, b_dec, k=5, metadata=metadata)
    return StandardSAE(W_enc, b_enc, W_dec, torch.zeros(WIDTH), apply_b_dec_to_input=False, metadata=metadata)


numbers = st.floats(-5, 5, width=32)
operations = st.one_of(
    st.tuples(st.just("scale"), numbers),
    st.tuples(st.just("set"), numbers),
    st.tuples(st.just("add"), numbers),
    st.tuples(st.just("ablate")),
    st.tuples(st.just("clamp"), st.tuples(numbers, numbers).map(sorted)),
)


def edit_of(feature: Feature, operation: tuple[Any, ...]) -> Edit:
    name, *values = operation
    return feature.clamp(*values[0]) if name == "clamp" else getattr(feature, name)(*values)


def expected(f: float, operation: tuple[Any, ...]) -> float:
    match operation:
        case "scale", factor:
            return f * factor
        case "set", value:
            return value
        case "add", amount:
            return f + amount
        case "ablate", *_:
            return 0.0
        case "clamp", (low, high):
            return min(max(f, low), high)
    raise AssertionError(operation)


@settings(max_examples=60, deadline=None)
@given(
    asked=st.dictionaries(st.integers(0, LATENTS - 1), operations, min_size=1, max_size=4),
    kind=st.sampled_from(["topk", "standard", "neurons"]),
    substitute=st.booleans(),
    span=st.one_of(st.none(), st.tuples(st.floats(0, 0.2), st.floats(0.21, 0.5))),
    start=st.integers(0, 3),
    pad=st.booleans(),
    active=st.booleans(),
)
def test_edits_are_a_dense_recomputation(
    nano: AudioModel,
    asked: dict[int, tuple[Any, ...]],
    kind: str,
    substitute: bool,
    span: tuple[float, float] | None,
    start: int,
    pad: bool,
    active: bool,
) -> None:
    """Frame by frame and feature by feature in float64, in plain Python."""
    sae = None if kind == "neurons" else small_sae(kind)
    x = torch.randn(2, 20, WIDTH, generator=torch.Generator().manual_seed(start))
    windows = [Window(start * 1600, 12 * 320 - 5), Window(0, 20 * 320)]
    edits = [edit_of(Feature(SITE, index, sae), operation) for index, operation in asked.items()]
    edits = [edit.during(span) if span else edit for edit in edits]
    edits = [edit.where_active() if active else edit for edit in edits]
    ours = writes(edits, nano, windows, substitute=substitute, pad_frames=pad)[SITE](x.clone())
    want = x.double().clone()
    for row, window in enumerate(windows):
        frames = 20 if pad else valid_frames(window.samples)
        for t in range(frames):
            f = x[row, t].double() if sae is None else sae.encode(x[row, t : t + 1])[0].double()
            edited = f.clone()
            time = (window.start + (t + 0.5) * 320) / 16000
            for index, operation in asked.items():
                inside = span is None or span[0] <= time < span[1]
                if inside and (not active or f[index] > 0):
                    edited[index] = expected(float(f[index]), operation)
            if sae is None:
                want[row, t] = edited
            elif substitute:
                want[row, t] = edited @ sae.W_dec.double() + sae.b_dec.double()
            else:
                want[row, t] += (edited - f) @ sae.W_dec.double()
    torch.testing.assert_close(ours.double(), want, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("kind", ["topk", "standard"])
@pytest.mark.parametrize("factor", [-1.0, 0.0, 1.5, 100.0])
def test_substitution_is_that_of_the_original(nano: AudioModel, samples: np.ndarray, kind: str, factor: float) -> None:
    """The published code encodes a block's output, multiplies one latent, and puts the decoded latents in its place."""
    sae = small_sae(kind)
    mel, valid = nano.log_mel([samples]), valid_frames(len(samples))
    x = nano.activations(mel, [SITE])[SITE][:, :valid]
    if kind == "topk":  # latents = topk(relu((x - b_dec) W^T + b)); decoded = latents W_dec + b_dec
        pre = torch.relu((x - sae.b_dec) @ sae.W_enc + sae.b_enc)
        top = pre.topk(5, dim=-1)
        f = torch.zeros_like(pre).scatter(-1, top.indices, top.values)
    else:  # latents = relu(x D + b); decoded = latents D^T, without a bias
        f = torch.relu(x @ sae.W_enc + sae.b_enc)
    assert float((f[..., 3] > 0).float().mean()) > 0.05
    f[..., 3] *= factor
    theirs = f @ sae.W_dec + (sae.b_dec if kind == "topk" else 0.0)
    with nano.edited([sae[3].scale(factor)], samples=len(samples), substitute=True):
        ours = nano.activations(mel, [SITE])[SITE]
    scale = float(theirs.abs().max())
    assert float((ours[:, :valid] - theirs).abs().max()) < 1e-5 * max(scale, 1.0)


@pytest.mark.parametrize("substitute", [False, True])
def test_an_edit_that_changes_nothing_changes_no_bit(
    nano: AudioModel, samples: np.ndarray, identity: SAE, substitute: bool
) -> None:
    sae = identity if substitute else small_sae("topk")
    edits = [sae[3].scale(1.0), sae[4].clamp(min=-1e9)]
    mel = nano.log_mel([samples])
    sites = ["encoder.blocks.2", "encoder.blocks.3.mlp.1", "encoder.ln_post"]
    before = nano.activations(mel, sites)
    with nano.edited(edits, samples=len(samples), substitute=substitute):
        after = nano.activations(mel, sites)
    assert all(torch.equal(before[site], after[site]) for site in sites)
    assert nano.transcribe(samples) == nano.transcribe(samples, edits=edits, substitute=substitute)


def test_a_direction_is_added(nano: AudioModel) -> None:
    x = torch.randn(1, 10, WIDTH)
    vector = torch.randn(WIDTH)
    ours = writes([direction(SITE, vector, 2.0).during((0.0, 0.1))], nano, [Window(0, 3200)])[SITE](x)
    torch.testing.assert_close(ours[0, :5], x[0, :5] + 2 * vector)
    assert torch.equal(ours[0, 5:], x[0, 5:])


def test_half_precision_changes_only_what_is_edited(nano: AudioModel) -> None:
    x = torch.randn(1, 10, WIDTH).to(torch.bfloat16)
    ours = writes([neuron(SITE, 7).set(2.5)], nano, [Window(0, 3200)])[SITE](x)
    assert ours.dtype == torch.bfloat16
    assert torch.equal(ours[..., 7], torch.full((1, 10), 2.5, dtype=torch.bfloat16))
    assert torch.equal(ours[..., :7], x[..., :7])


def test_an_sae_that_scales_frames_changes_them_in_their_own_scale(nano: AudioModel) -> None:
    base = small_sae("standard")
    sae = StandardSAE(
        *(w.data for w in (base.W_enc, base.b_enc, base.W_dec, base.b_dec)),
        apply_b_dec_to_input=False,
        normalize_activations="constant_norm_rescale",
        metadata={"site": SITE},
    )
    x = 7 * torch.randn(1, 10, WIDTH)
    f = sae.encode(x)
    edits = [sae[3].set(2.0)]
    delta = (2.0 - f[..., 3:4]) * sae.W_dec[3] * sae.frame_scale(x)
    torch.testing.assert_close(writes(edits, nano, [Window(0, 3200)])[SITE](x), x + delta)
    substituted = writes(edits, nano, [Window(0, 3200)], substitute=True)[SITE](x)
    torch.testing.assert_close(substituted, sae(x) + delta, rtol=1e-4, atol=1e-4)


def test_labels_become_spans(nano: AudioModel, sae: SAE) -> None:
    segments = [Segment("c", "phones", 0.1, 0.2, "th"), Segment("c", "phones", 0.5, 0.6, "th")]
    segments += [Segment("c", "phones", 0.2, 0.5, "ah"), Segment("c", "words", 0.1, 0.6, "th")]
    (edit, other) = resolve([sae[3].ablate().at("phones", "th"), sae[4].ablate()], segments)
    assert edit.spans == ((0.1, 0.2), (0.5, 0.6))
    assert other.spans is None
    with pytest.raises(UnknownNameError, match=r"no 'dh' in 'phones'; tier phones has ah, th"):
        resolve([sae[3].ablate().at("phones", "dh")], segments)
    with pytest.raises(UnknownNameError, match=r"no 'th' in 'phonemes'; it has tiers phones, words"):
        resolve([sae[3].ablate().at("phonemes", "th")], segments)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda sae: [sae[3072].scale(0)], "feature 3072: encoder.blocks.2 has latents 0 to 3071"),
        (lambda sae: [sae[-1].scale(0)], "feature -1"),
        (lambda sae: [neuron(SITE, 192).ablate()], "feature 192: encoder.blocks.2 has neurons 0 to 191"),
        (lambda sae: [sae[3].scale(NAN)], "factor nan: expected a finite number"),
        (lambda sae: [sae[3].scale(INF)], "factor inf: expected a finite number"),
        (lambda sae: [sae[3].set(-INF)], "value -inf"),
        (lambda sae: [sae[3].add(1, unit=NAN)], "unit nan"),
        (lambda sae: [sae[3].clamp()], "give a minimum, a maximum, or both"),
        (lambda sae: [sae[3].clamp(min=2, max=1)], "minimum 2 is above the maximum 1"),
        (lambda sae: [sae[3].clamp(min=NAN)], "min nan"),
        (lambda sae: [sae[3].scale(0).during((1.0, 9.0))], "span 1 to 9 s is outside the clip of 2.00 s"),
        (lambda sae: [sae[3].scale(0).during((1.0, 1.0))], "expected 0 <= start < end"),
        (lambda sae: [sae[3].scale(0).during((-1.0, 1.0))], "expected 0 <= start < end"),
        (lambda sae: [sae[3].scale(0).during((NAN, 1.0))], "expected 0 <= start < end"),
        (lambda sae: [sae[3].scale(0).at("phones", "th")], "needs the clip's labeled intervals"),
        (lambda sae: [sae[3].scale(0), sae[3].set(1)], "contradict each other"),
        (
            lambda sae: [sae[3].scale(0).during((0, 1)), sae[3].set(1).during((0.5, 2))],
            "contradict each other; give one edit, or spans that do not overlap",
        ),
        (
            lambda sae: [sae[3].scale(0), neuron(SITE, 5).set(1)],
            "edit neurons and latents of one site in separate runs",
        ),
        (
            lambda sae: [neuron("encoder.blocks.0.attn.pattern", 0).set(1)],
            "edit encoder.blocks.0.attn.heads instead",
        ),
        (lambda sae: [neuron("encoder.blocks.9", 0).set(1)], "unknown site 'encoder.blocks.9'"),
        (lambda sae: [neuron("decoder.blocks.0", 0).set(1).during((0, 1))], "a text token, which has no time"),
        (
            lambda sae: [latent(sae, 3, "encoder.blocks.1").scale(0)],
            "SAE of encoder.blocks.2: these are",
        ),
        (lambda sae: [latent(sae, 3, "encoder.blocks.1.mlp.1").scale(0)], "SAE of width 192: .* has width 768"),
        (lambda sae: [direction(SITE, torch.zeros(7))], r"its vector has shape \[7\]; expected \[192\]"),
        (lambda sae: [direction(SITE, torch.full((192,), NAN))], "not finite"),
        (lambda sae: [direction(SITE, torch.zeros(192), INF)], "amount inf"),
    ],
)
def test_bad_edits_are_one_clear_line(nano: AudioModel, sae: SAE, make: Any, says: str) -> None:
    with pytest.raises(FreudError, match=says) as caught:
        check(make(sae), nano, 2.0)
    assert "\n" not in str(caught.value)


def test_an_sae_of_another_model_is_refused(nano: AudioModel) -> None:
    sae = small_sae("topk")
    sae.metadata |= {"model": "tiny", "model_fingerprint": "0" * 16}
    with pytest.raises(FreudError, match="SAE of model tiny"):
        check([sae[3].ablate()], nano, 1.0)
    del sae.metadata["site"]
    with pytest.raises(FreudError, match="does not say which site"):
        _ = sae[3]


def test_edits_that_get_along_pass(nano: AudioModel, sae: SAE) -> None:
    edits = [sae[3].scale(0).during((0, 1)), sae[3].set(1).during((1, 2)), sae[4].ablate()]
    check([*edits, neuron("encoder.blocks.1", 5).set(1), direction(SITE, torch.ones(192))], nano, 2.0)
