"""Files of other tools, written here as those tools write them, against those tools' formulas; and hostile ones.

Round trips through the real libraries: test_saes_formats_saelens.py, and benchmarks/formats.py for those that need an
environment of their own.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from freud import artifacts
from freud.cli import main
from freud.errors import DamagedFileError, FreudError
from freud.saes import SAE, export_sae, formats, import_sae, load
from freud.saes.abstopk import AbsTopKSAE
from freud.saes.formats.sites import canonical
from freud.saes.gated import GatedSAE
from freud.saes.jumprelu import JumpReLUSAE
from freud.saes.l1 import StandardSAE
from freud.saes.metrics import decode_sparse, measure
from freud.saes.topk import TopKSAE

D, M, K = 6, 20, 4


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


X = draw(50, D, seed=9)


def kept(pre: Tensor, k: int = K) -> Tensor:
    """The k largest of relu(pre)."""
    values, latents = pre.relu().topk(k, dim=-1)
    return torch.zeros_like(pre).scatter(-1, latents, values)


def check(sae: SAE, latents: Tensor, x_hat: Tensor) -> None:
    torch.testing.assert_close(sae.encode(X), latents, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sae(X), x_hat, rtol=1e-4, atol=1e-5)


# ---- the original FREUD and er537


def hparams(variant: str, **config: Any) -> dict[str, Any]:
    return {
        "autoencoder_variant": variant,
        "autoencoder_config": config,
        "lr": 1e-4,
        "steps": 100_000,
        "whisper_config": {"model": "tiny", "layer_name": "encoder.blocks.2"},
        "activation_size": D,
        "optimizer": "adam",
        "scheduler": "linear",
        "scheduler_params": {"num_warmup_steps": 1000},
        "start_checkpoint": None,
    }


def original(path: Path, state: dict[str, Tensor], **more: Any) -> Path:
    """A checkpoint as the original wrote it: optimizer and scheduler with it, the best loss a numpy scalar."""
    network = nn.Linear(D, M)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    network(X).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    checkpoint = {
        "model": state,
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "step": 100_000,
        "best_val_loss": np.float64(0.25),
        **more,
    }
    torch.save(checkpoint, path)
    return path


def topk_state() -> dict[str, Tensor]:
    return {
        "encoder.weight": draw(M, D),
        "encoder.bias": draw(M),
        "W_dec": normalize(draw(M, D, seed=1), dim=1),
        "b_dec": draw(D),
    }


def test_the_originals_topk(tmp_path: Path) -> None:
    w = topk_state()
    path = original(tmp_path / "bestval.pth", w, hparams=hparams("topk", expansion_factor=16, k=K))
    sae = load(path)
    latents = kept((X - w["b_dec"]) @ w["encoder.weight"].T + w["encoder.bias"])
    check(sae, latents, latents @ w["W_dec"] + w["b_dec"])
    assert (sae.metadata["model"], sae.metadata["site"]) == ("tiny", "encoder.blocks.2")
    assert isinstance(load(original(tmp_path / "32.pth", {**topk_state(), "encoder.weight": draw(40, D),
        "encoder.bias": draw(40), "W_dec": draw(40, D)}, hparams=hparams("topk"))), TopKSAE)  # fmt: skip


@pytest.mark.parametrize("er537", [False, True])
def test_the_originals_l1_and_er537s(tmp_path: Path, er537: bool) -> None:
    w = {"decoder.weight": 3 * draw(D, M), "encoder_bias": draw(M)}
    more = {} if er537 else {"hparams": hparams("l1", n_dict_components=M, recon_alpha=1e4)}
    path = original(tmp_path / ("checkpoint.pt.step200" if er537 else "bestval.pth"), w, **more)
    sae = load(path)
    unit = w["decoder.weight"] / w["decoder.weight"].norm(dim=0)
    latents = (X @ unit + w["encoder_bias"]).relu()
    check(sae, latents, latents @ unit.T)
    assert ("site" in sae.metadata) == (not er537)
    assert sae.metadata["layout"] == ("er537" if er537 else "freud-original")


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numpys_scalar_by_its_old_and_its_new_name(tmp_path: Path, module: str) -> None:
    path = original(tmp_path / "a.pth", topk_state(), hparams=hparams("topk", k=K))
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "b.pth", "w") as other:
        for record in archive.infolist():
            data = archive.read(record)
            if record.filename.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in data or b"numpy.core.multiarray" in data
                data = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
                data = data.replace(b"numpy.core.multiarray", module.encode())
            other.writestr(record.filename, data)
    assert load(tmp_path / "b.pth").d_sae == M


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hparams": hparams("vae")}, "autoencoder_variant is 'vae'; expected 'l1' or 'topk'"),
        ({"hparams": hparams("topk", k=M + 1)}, f"k is {M + 1}; expected a whole number between 1 and d_sae {M}"),
        ({"hparams": hparams("topk", k=K) | {"activation_size": 7}}, "activation_size is 7, but the tensors have 6"),
        ({"hparams": [1]}, "hparams is no dict"),
        ({"hparams": hparams("topk") | {"whisper_config": 3}}, "whisper_config is no dict"),
        ({"hparams": hparams("l1")}, "has no tensor decoder.weight"),
        ({"model": [1, 2]}, "has no dict `model`"),
    ],
)
def test_originals_that_do_not_fit(tmp_path: Path, change: Any, message: str) -> None:
    path = original(tmp_path / "a.pth", **{"state": topk_state(), "hparams": hparams("topk", k=K), **change}) \
        if "model" not in change else tmp_path / "a.pth"  # fmt: skip
    if "model" in change:
        torch.save(change, path)
    with pytest.raises(FreudError) as caught:
        load(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# ---- sparsify


def sparsify(folder: Path, **config: Any) -> dict[str, Tensor]:
    folder.mkdir(parents=True, exist_ok=True)
    weights = topk_state()
    save_file(weights, folder / "sae.safetensors")
    fields = {"activation": "topk", "expansion_factor": 32, "normalize_decoder": True, "num_latents": M, "k": K,
              "multi_topk": False, "skip_connection": False, "transcode": False, "d_in": D}  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps({**fields, **config}))
    return weights


@pytest.mark.parametrize("transcode", [False, True])
def test_sparsifys(tmp_path: Path, transcode: bool) -> None:
    w = sparsify(tmp_path / "encoder.layers.3", transcode=transcode)
    sae = load(tmp_path / "encoder.layers.3")
    x = X if transcode else X - w["b_dec"]
    latents = kept(x @ w["encoder.weight"].T + w["encoder.bias"])
    check(sae, latents, latents @ w["W_dec"] + w["b_dec"])
    assert sae.metadata["site"] == "encoder.blocks.3"
    assert sae.metadata.get("transcoder", False) == transcode


@pytest.mark.parametrize("transcode", [False, True])
def test_sparsifys_signed(tmp_path: Path, transcode: bool) -> None:
    """The k largest by magnitude, with their sign; the same through sparse latents, our own folder and an edit."""
    w = sparsify(tmp_path / "encoder.layers.3", transcode=transcode, signed=True)
    sae = load(tmp_path / "encoder.layers.3")
    pre = (X if transcode else X - w["b_dec"]) @ w["encoder.weight"].T + w["encoder.bias"]
    places = pre.abs().topk(K, dim=-1).indices
    latents = torch.zeros_like(pre).scatter(-1, places, pre.gather(-1, places))
    assert (latents < 0).any()
    x_hat = latents @ w["W_dec"] + w["b_dec"]
    check(sae, latents, x_hat)
    sparse = sae.to_sparse(X)
    torch.testing.assert_close(torch.zeros_like(pre).index_put((sparse.frame, sparse.latent), sparse.value), latents)
    torch.testing.assert_close(decode_sparse(sae, sparse, X), x_hat, rtol=1e-4, atol=1e-5)
    quality, firing = measure(sae, [X])
    assert quality.fvu == pytest.approx(float((X - x_hat).square().sum() / (X - X.mean(0)).square().sum()), rel=1e-4)
    assert quality.l0 == K
    assert firing.active.tolist() == (latents != 0).sum(0).tolist()
    (tmp_path / "out").mkdir()
    formats.save(sae, tmp_path / "out")
    back = load(tmp_path / "out")
    assert type(back) is AbsTopKSAE
    check(back, latents, x_hat)
    with pytest.raises(FreudError, match=r"an SAE abstopk has no place in sparsify's layout"):
        export_sae(sae, tmp_path / "export")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"signed": "yes"}, "signed is 'yes'; expected true or false"),
        ({"transcode": 1}, "transcode is '1'; expected true or false"),
        ({"gram_lookup": True}, "gram_lookup is True, a setting that is not known here"),
        ({"embed_skip": True}, "embed_skip is True"),
        ({"encoder_pkm": True}, "encoder_pkm is True"),
        ({"activation": "batchtopk"}, "activation is 'batchtopk'"),
        ({"num_latents": 21}, "num_latents is 21, but the tensors have 20"),
    ],
)
def test_settings_of_sparsify_that_change_the_latents(tmp_path: Path, config: dict[str, Any], says: str) -> None:
    sparsify(tmp_path / "s", **config)
    with pytest.raises(FreudError) as caught:
        load(tmp_path / "s")
    assert says in str(caught.value)
    sparsify(tmp_path / "s", gram_lookup=False, encoder_pkm=False, num_latents=0)
    assert load(tmp_path / "s").d_sae == M


def test_tensors_that_a_kind_does_not_have(tmp_path: Path) -> None:
    w = sparsify(tmp_path / "s")
    save_file({**w, "W_skip": draw(D, D)}, tmp_path / "s" / "sae.safetensors")
    with pytest.raises(FreudError, match=r"holds W_skip, which is not a tensor of its kind"):
        load(tmp_path / "s")
    for kind in CLASSES:
        state = {**case(kind)[0], "running_mean": B}
        with pytest.raises(FreudError, match=r"ae\.pt: holds running_mean, which is not a tensor of its kind"):
            load(dictionary(tmp_path / "d", kind, state, k=K))
    path = original(tmp_path / "a.pth", {**topk_state(), "scale": B}, hparams=hparams("topk", k=K))
    with pytest.raises(FreudError, match=r"holds scale, which"):
        load(path)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8, torch.complex64])
def test_tensors_that_are_no_plain_numbers(tmp_path: Path, dtype: torch.dtype) -> None:
    w = sparsify(tmp_path / "s")
    save_file({**w, "W_dec": w["W_dec"].to(dtype)}, tmp_path / "s" / "sae.safetensors")
    path = original(tmp_path / "a.pth", {**w, "W_dec": w["W_dec"].to(dtype)}, hparams=hparams("topk", k=K))
    for place in (tmp_path / "s", path):
        with pytest.raises(DamagedFileError, match=rf"W_dec is of dtype {str(dtype).removeprefix('torch.')}"):
            load(place)


@pytest.mark.parametrize("subtracts", [False, True])
def test_export_to_sparsify_and_back(tmp_path: Path, subtracts: bool) -> None:
    ours = TopKSAE(draw(D, M), draw(M), draw(M, D), draw(D), k=K, apply_b_dec_to_input=subtracts)
    assert export_sae(ours, tmp_path / "encoder.blocks.1") == ["cfg.json", "sae.safetensors"]
    back = load(tmp_path / "encoder.blocks.1")
    check(back, ours.encode(X), ours(X))
    assert back.metadata["site"] == "encoder.blocks.1"
    sparsify(tmp_path / "layers.0", transcode=True)
    export_sae(tmp_path / "layers.0", tmp_path / "again")
    again = load(tmp_path / "again", layout="sparsify")
    check(again, load(tmp_path / "layers.0").encode(X), load(tmp_path / "layers.0")(X))


def test_what_sparsify_has_no_place_for(tmp_path: Path) -> None:
    ours = StandardSAE(draw(D, M), draw(M), draw(M, D), draw(D))
    with pytest.raises(FreudError, match=r"an SAE standard has no place in sparsify's layout"):
        export_sae(ours, tmp_path / "out")
    scaled = TopKSAE(draw(D, M), draw(M), draw(M, D), draw(D), k=K, normalize_activations="layer_norm")
    with pytest.raises(FreudError, match=r"frames scaled one by one has no place"):
        export_sae(scaled, tmp_path / "scaled")
    with pytest.raises(FreudError, match=r"exists and is not an empty folder"):
        export_sae(ours, tmp_path)
    for config, message in (({"activation": "groupmax"}, "activation is 'groupmax'"),
                            ({"skip_connection": True}, "skip connection"), ({"d_in": 7}, "d_in is 7")):  # fmt: skip
        sparsify(tmp_path / "other", **config)
        with pytest.raises(FreudError, match=message):
            load(tmp_path / "other")


# ---- dictionary_learning and AudioSAE


def dictionary(folder: Path, kind: str, state: dict[str, Tensor], flat: bool = False, **trainer: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "ae.pt")
    fields = {"dict_class": kind, "activation_dim": D, "dict_size": M, "lm_name": "openai/whisper-small", **trainer}
    (folder / "config.json").write_text(json.dumps(fields if flat else {"trainer": fields, "buffer": {}}))
    return folder


def linear(**more: Tensor) -> dict[str, Tensor]:
    return {"encoder.weight": draw(M, D), "encoder.bias": draw(M), "decoder.weight": draw(D, M, seed=1), **more}


def number(value: float, kind: torch.dtype = torch.float32) -> Tensor:
    return torch.tensor(value, dtype=kind)


B, T = draw(D), draw(M).abs()
MATRIX = {"W_enc": draw(D, M), "b_enc": draw(M), "W_dec": draw(M, D), "b_dec": B}


def case(kind: str) -> tuple[dict[str, Tensor], Tensor, Tensor, type[SAE]]:
    """State, latents and reconstructions of each class, by the formulas of dictionary_learning 0.1."""
    k = number(K, torch.int32)
    match kind:
        case "AutoEncoder":
            w = linear(bias=B)
            f = ((X - B) @ w["encoder.weight"].T + w["encoder.bias"]).relu()
            return w, f, f @ w["decoder.weight"].T + B, StandardSAE
        case "AutoEncoderNew":
            w = linear(**{"decoder.bias": B})
            f = (X @ w["encoder.weight"].T + w["encoder.bias"]).relu()
            return w, f, f @ w["decoder.weight"].T + B, StandardSAE
        case "GatedAutoEncoder":
            w = {"decoder_bias": B, "r_mag": draw(M, seed=2) / 4, "gate_bias": draw(M, seed=3), "mag_bias": draw(M),
                 "encoder.weight": draw(M, D), "decoder.weight": draw(D, M)}  # fmt: skip
            pre = (X - B) @ w["encoder.weight"].T
            f = (pre + w["gate_bias"] > 0) * (w["r_mag"].exp() * pre + w["mag_bias"]).relu()
            return w, f, f @ w["decoder.weight"].T + B, GatedSAE
        case "AutoEncoderTopK":
            w = linear(b_dec=B, k=k, threshold=number(0.5))
            f = kept((X - B) @ w["encoder.weight"].T + w["encoder.bias"])
            return w, f, f @ w["decoder.weight"].T + B, TopKSAE
        case "BatchTopKSAE":
            w = linear(b_dec=B, k=k, threshold=number(0.8))
            f = ((X - B) @ w["encoder.weight"].T + w["encoder.bias"]).relu()
            f = f * (f > 0.8)
            return w, f, f @ w["decoder.weight"].T + B, JumpReLUSAE
        case "MatryoshkaBatchTopKSAE":
            w = {**MATRIX, "k": k, "threshold": number(0.8), "group_sizes": torch.tensor([5, 15])}
            f = ((X - B) @ w["W_enc"] + w["b_enc"]).relu()
            f = f * (f > 0.8)
            return w, f, f @ w["W_dec"] + B, JumpReLUSAE
    w = {**MATRIX, "threshold": T}
    pre = X @ w["W_enc"] + w["b_enc"]  # b_dec is not subtracted
    f = (pre * (pre > T)).relu()
    return w, f, f @ w["W_dec"] + B, JumpReLUSAE


CLASSES = list(formats.dictionary_learning.CLASSES)


@pytest.mark.parametrize("kind", CLASSES)
def test_dictionary_learnings(tmp_path: Path, kind: str) -> None:
    state, latents, x_hat, expected = case(kind)
    sae = load(dictionary(tmp_path / "trainer_0", kind, state, k=K, submodule_name="model.encoder.layers.4"))
    assert type(sae) is expected
    check(sae, latents, x_hat)
    assert (sae.metadata["model"], sae.metadata["site"]) == ("openai/whisper-small", "encoder.blocks.4")
    if kind != "AutoEncoderTopK":  # whose tensors are those of BatchTopKSAE
        (tmp_path / "trainer_0" / "config.json").unlink()
        check(load(tmp_path / "trainer_0"), latents, x_hat)


def test_a_threshold_that_was_never_set_is_topk(tmp_path: Path) -> None:
    state = linear(b_dec=B, k=number(K, torch.int32), threshold=number(-1.0))
    f = kept((X - B) @ state["encoder.weight"].T + state["encoder.bias"])
    sae = load(dictionary(tmp_path / "a", "BatchTopKSAE", state))
    check(sae, f, f @ state["decoder.weight"].T + B)
    assert sae.metadata["threshold"] == "never set"
    del state["threshold"]
    check(load(dictionary(tmp_path / "b", "BatchTopKSAE", state)), f, f @ state["decoder.weight"].T + B)


@pytest.mark.parametrize("threshold", [0.1, -1.0])
@pytest.mark.parametrize("flat", [False, True])
def test_audiosaes(tmp_path: Path, threshold: float, flat: bool) -> None:
    w = linear(b_dec=B / 10, k=number(K, torch.int32), threshold=number(threshold))
    sae = load(dictionary(tmp_path / "layer_6", "BatchTopKSAE", w, flat))
    norms = X.norm(dim=1, keepdim=True)
    pre = ((X / norms - w["b_dec"]) @ w["encoder.weight"].T + w["encoder.bias"]).relu()
    f = pre * (pre > threshold) if threshold > 0 else kept(pre)
    check(sae, f, (f @ w["decoder.weight"].T + w["b_dec"]) * norms)
    assert sae.metadata["site"] == "encoder.blocks.5"  # layers count from 1
    (tmp_path / "out").mkdir()
    formats.save(sae, tmp_path / "out")
    check(load(tmp_path / "out"), f, (f @ w["decoder.weight"].T + w["b_dec"]) * norms)


def test_dictionaries_that_do_not_fit(tmp_path: Path) -> None:
    def message(state: Any, kind: str = "AutoEncoder", **trainer: Any) -> str:
        with pytest.raises(FreudError) as caught:
            load(dictionary(tmp_path / "a", kind, state, **trainer))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "dict_class is 'IdentityDict'" in message(linear(), "IdentityDict")
    assert "has no tensor bias" in message(linear())
    assert "bias has shape [7]; expected [6]" in message(linear(bias=draw(7)))
    assert "decoder.weight has shape [6, 19]" in message(linear(bias=B) | {"decoder.weight": draw(D, 19)})
    assert "dict_size is 21, but the tensors have 20" in message(linear(bias=B), dict_size=21)
    assert "k is 0" in message(linear(b_dec=B, k=number(0, torch.int32)), "AutoEncoderTopK")
    assert "none of the sets of tensors" in message({"what": B}, "")
    assert "expected a dict of tensors" in message([B])


# ---- hostile files


class Evil:
    """Runs a command when it is unpickled the usual way."""

    def __reduce__(self) -> Any:
        return os.system, ("touch hacked",)


@pytest.mark.parametrize("name", ["a.pth", "ae.pt"])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": topk_state(), "hparams": Evil()}, tmp_path / name)
    with pytest.raises(DamagedFileError, match=r"holds code, not only tensors and numbers; refused") as caught:
        load(tmp_path if name == "ae.pt" else tmp_path / name)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "hacked").exists()


def rewrite(path: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        records = {record.filename: archive.read(record) for record in archive.infolist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(name, change(name, data))


def message_of(path: Path) -> str:
    with pytest.raises(DamagedFileError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_tensor_that_claims_more_than_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    state = topk_state()
    state["encoder.bias"] = torch.zeros(1).expand(2**45)  # a petabyte out of four bytes
    torch.save({"model": state, "hparams": hparams("topk", k=K)}, path)
    assert "encoder.bias has shape [35184372088832]; expected [20]" in message_of(path)
    state["encoder.bias"] = torch.zeros(1).expand(M)
    torch.save({"model": state, "hparams": hparams("topk", k=K)}, path)
    assert "encoder.bias claims 20 numbers, more than the file holds" in message_of(path)


def test_a_storage_shorter_than_it_says(tmp_path: Path) -> None:
    path = original(tmp_path / "a.pth", topk_state(), hparams=hparams("topk", k=K))
    rewrite(path, lambda name, data: data[:8] if "/data/" in name else data)
    assert "its tensors claim more bytes than it stores" in message_of(path)


def test_a_bomb_of_compressed_records(tmp_path: Path) -> None:
    path = original(tmp_path / "a.pth", topk_state(), hparams=hparams("topk", k=K))
    rewrite(path, lambda _, data: data, zipfile.ZIP_DEFLATED)
    assert "compressed records" in message_of(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers(tmp_path: Path, value: float) -> None:
    state = topk_state()
    state["W_dec"][3, 2] = value
    path = original(tmp_path / "a.pth", state, hparams=hparams("topk", k=K))
    assert "W_dec has 1 values that are not finite" in message_of(path)


def test_a_pickle_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(pickle.dumps({"model": 1}))
    assert "not a checkpoint written by PyTorch" in message_of(tmp_path / "a.pth")


WHOLE = io.BytesIO()
torch.save({"model": topk_state(), "hparams": hparams("topk", k=K), "best_val_loss": np.float64(1.0)}, WHOLE)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(WHOLE.getvalue()) - 1), byte=st.integers(0, 255), cut=st.booleans())
@example(at=WHOLE.getvalue().rfind(b"PK\1\2") + 6, byte=64, cut=False)  # the version of zip that a record needs
def test_damage_anywhere_is_one_line_or_does_no_harm(tmp_path: Path, at: int, byte: int, cut: bool) -> None:
    data = bytearray(WHOLE.getvalue())
    if cut:
        del data[at:]
    else:
        data[at] = byte
    (tmp_path / "a.pth").write_bytes(data)
    said = ""
    try:
        sae = load(tmp_path / "a.pth")
    except FreudError as error:
        said = str(error)
    else:
        assert torch.isfinite(sae(X)).all()
    assert "\n" not in said


# ---- which layout, which site


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("encoder.blocks.2", "encoder.blocks.2"),
        ("model.encoder.layers.12", "encoder.blocks.12"),
        ("encoder.layers.3.activation_fn", "encoder.blocks.3.mlp.1"),
        ("model.encoder.layers.3.fc2", "encoder.blocks.3.mlp"),
        ("encoder.layers.0.self_attn", "encoder.blocks.0.attn"),
        ("encoder.layers.0.self_attn.q_proj", "encoder.blocks.0.attn.query"),
        ("model.decoder.layers.1.encoder_attn", "decoder.blocks.1.cross_attn"),
        ("model.encoder.layer_norm", "encoder.ln_post"),
        ("blocks.3.hook_resid_post", None),
        ("layers.5", None),
        ("resid_post_layer_3", None),
        ("", None),
        (3, None),
    ],
)
def test_names_of_sites(name: Any, ours: str | None) -> None:
    assert canonical(name) == ours


def test_aliases_are_those_of_the_model(nano: Any) -> None:
    for site in nano.sites.values():
        if site.alias:
            assert canonical(site.alias) == site.name


def test_import_and_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = original(tmp_path / "er.pt", {"decoder.weight": draw(D, M), "encoder_bias": draw(M)})
    with pytest.raises(FreudError, match="does not say which site it is of; give --site"):
        import_sae(path, tmp_path / "sae")
    main(["sae", "import", str(path), "--out", str(tmp_path / "sae"), "--site", "encoder.layers.1", "--model", "tiny",
          "--json"])  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert (told["site"], told["model"], told["architecture"]) == ("encoder.blocks.1", "tiny", "standard")
    manifest = artifacts.read(tmp_path / "sae", "import").manifest
    assert manifest["parameters"]["source"] == str(path)
    torch.testing.assert_close(load(tmp_path / "sae")(X), load(path)(X))
    main(["sae", "import", str(path), "--out", str(tmp_path / "sae"), "--site", "encoder.blocks.1", "--model", "tiny"])
    assert "standard" in capsys.readouterr().out  # the same again does nothing
    main(["sae", "info", str(tmp_path / "sae")])
    assert "encoder.blocks.1" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["sae", "export", str(tmp_path / "sae"), "--out", str(tmp_path / "out")])
    assert "has no place in sparsify's layout" in capsys.readouterr().err
    main(["sae", "export", str(tmp_path / "sae"), "--out", str(tmp_path / "plain"), "--layout", "saelens"])
    capsys.readouterr()
    with pytest.raises(FreudError, match=r"says that its site is encoder\.blocks\.1, not encoder\.blocks\.2"):
        load(tmp_path / "plain", site="encoder.blocks.2")
    data = bytearray((tmp_path / "sae" / "sae_weights.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "sae" / "sae_weights.safetensors").write_bytes(data)
    with pytest.raises(DamagedFileError, match="its content has changed"):
        load(tmp_path / "sae")


def test_what_is_no_sae(tmp_path: Path) -> None:
    for layer in (1, 2, 10, 11, 12):
        dictionary(tmp_path / "repo" / f"layer_{layer}", "BatchTopKSAE", linear(b_dec=B, k=number(K)))
    with pytest.raises(FreudError, match=r"repo: holds several SAEs; give one of .*layer_1, .*and 2 more"):
        load(tmp_path / "repo")
    with pytest.raises(FreudError, match="no such file or folder"):
        load(tmp_path / "absent")
    with pytest.raises(FreudError, match="layout 'keras': expected one of saelens"):
        load(tmp_path, layout="keras")
    sparsify(tmp_path / "s")
    with pytest.raises(FreudError, match="give the folder that holds it"):
        load(tmp_path / "s" / "sae.safetensors")
    (tmp_path / "s" / "cfg.json").unlink()
    with pytest.raises(FreudError, match=r"has no cfg\.json"):
        load(tmp_path / "s")
