"""SAEs exchanged with the real sparsify and dictionary_learning, which need an environment of their own:

    PEERS/bin/python benchmarks/formats.py     (PEERS: see benchmarks/peers/requirements.txt)

Each tool writes its SAEs, `freud.saes.load` reads them, and latents and reconstructions are compared on random frames;
sparsify also reads what `freud sae export` writes. Prints the largest difference, relative to the largest value, and
fails above 1e-5. The exchange with sae-lens is a test, tests/saes/test_saes_formats_saelens.py.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor

os.environ["SPARSIFY_DISABLE_TRITON"] = "1"

from freud.saes import export_sae, load
from freud.saes.topk import TopKSAE

D, M, K = 48, 384, 12
MOST = 1e-5


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


X = draw(500, D, seed=3)
differences: dict[str, float] = {}


def compare(name: str, ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> None:
    """Record the larger of the relative differences of latents and reconstructions."""
    differences[name] = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, theirs, strict=True))


def dense(values: Tensor, latents: Tensor) -> Tensor:
    return torch.zeros(len(values), M).scatter(1, latents, values)


def sparsify(folder: Path) -> None:
    from sparsify import SparseCoder, SparseCoderConfig

    for transcode in (False, True):
        config = SparseCoderConfig(num_latents=M, k=K, transcode=transcode)
        theirs = SparseCoder(D, config)
        for i, parameter in enumerate(theirs.parameters()):
            parameter.data.copy_(draw(*parameter.shape, seed=i))
        path = folder / f"encoder.layers.{int(transcode)}"
        theirs.save_to_disk(path)
        found = theirs.encode(X)
        expected = dense(found.top_acts, found.top_indices), theirs.decode(found.top_acts, found.top_indices)
        ours = load(path)
        compare(f"sparsify, transcode={transcode}", (ours.encode(X), ours(X)), expected)
    for subtracts in (False, True):
        ours = TopKSAE(draw(D, M), draw(M), draw(M, D), draw(D), k=K, apply_b_dec_to_input=subtracts)
        path = folder / f"encoder.blocks.{int(subtracts)}"
        export_sae(ours, path, "sparsify")
        theirs = SparseCoder.load_from_disk(path)
        found = theirs.encode(X)
        read = dense(found.top_acts, found.top_indices), theirs.decode(found.top_acts, found.top_indices)
        compare(f"sparsify reads ours, apply_b_dec_to_input={subtracts}", (ours.encode(X), ours(X)), read)


def dictionary_learning(folder: Path) -> None:
    from dictionary_learning import dictionary
    from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
    from dictionary_learning.trainers.top_k import AutoEncoderTopK

    every = [
        dictionary.AutoEncoder(D, M),
        dictionary.AutoEncoderNew(D, M),
        dictionary.GatedAutoEncoder(D, M),
        dictionary.JumpReluAutoEncoder(D, M),
        AutoEncoderTopK(D, M, K),
        BatchTopKSAE(D, M, K),
        MatryoshkaBatchTopKSAE(D, M, K, [M // 4, M - M // 4]),
    ]
    for theirs in every:
        name = type(theirs).__name__
        for i, parameter in enumerate(theirs.parameters()):
            parameter.data.copy_(draw(*parameter.shape, seed=i))
        if hasattr(theirs, "k"):
            theirs.threshold.fill_(2.0)
        path = folder / name
        path.mkdir()
        torch.save(theirs.state_dict(), path / "ae.pt")
        trainer = {
            "dict_class": name,
            "activation_dim": D,
            "dict_size": M,
            **({"k": K} if hasattr(theirs, "k") else {}),
        }
        (path / "config.json").write_text(json.dumps({"trainer": trainer}))
        latents = theirs.encode(X)
        ours = load(path)
        compare(f"dictionary_learning, {name}", (ours.encode(X), ours(X)), (latents, theirs.decode(latents)))


@torch.no_grad()
def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sparsify(Path(folder))
        dictionary_learning(Path(folder))
    for name, difference in differences.items():
        print(f"{name:<60}{difference:10.1e}")
    sys.exit(max(differences.values()) > MOST)


if __name__ == "__main__":
    main()
