"""One training step of each trainer there is, by its own code.

The peers run as they come: their own loss, optimizer and defaults, unless a comment says otherwise. AuxK is on in each
but finds nothing dead, as nothing is dead within the first million frames.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from freud.saes import Architecture, Training

if not torch.cuda.is_available():
    os.environ["SPARSIFY_DISABLE_TRITON"] = "1"


@dataclass
class Contender:
    """A trainer of SAEs.

    Attributes:
        step: one step on a batch [frames, d_in].
        reconstruct: x to x_hat as the SAE stands.
        settings: what of it is not the default, for the record.
        training: the weights, where they are ours.
    """

    step: Callable[[Tensor], object]
    reconstruct: Callable[[Tensor], Tensor]
    settings: str
    training: Training | None = None


def freud(
    sample: Tensor,
    d_sae: int,
    k: int,
    steps: int,
    *,
    architecture: Architecture | None = None,
    device: str = "cpu",
    **options: object,
) -> Contender:
    """This package: what `freud train` does at each step, on TopK if no architecture is given. sample: on the CPU."""
    from freud.activations import Position
    from freud.saes import TopK
    from freud.saes.options import Options
    from freud.saes.trainer import Trainer

    chosen = Options(steps=steps, batch_size=len(sample), **options).checked(len(sample), d_sae)  # pyright: ignore
    training = (architecture or TopK(k=k, d_sae=d_sae)).start(sample, 0)
    trainer = Trainer(training, chosen, Path(os.devnull), {}, torch.device(device))

    def reconstruct(x: Tensor) -> Tensor:
        return training.finish()(x)

    return Contender(lambda x: trainer.advance(x, Position()), reconstruct, f"{options}", training)


def original(sample: Tensor, d_sae: int, k: int, *, bfloat16: bool) -> Contender:
    """The step of the first FREUD, written anew from its formulas: everything dense, and by autograd.

    latents = topk(relu((x - b_dec) W_enc + b_enc)), x_hat = latents W_dec + b_dec, mean squared error, Adam.
    """
    d_in = sample.shape[1]
    W_dec = F.normalize(torch.randn(d_sae, d_in, generator=torch.Generator().manual_seed(0)), dim=1)  # noqa: N806
    weights = [W_dec.clone(), torch.zeros(d_sae), W_dec.T.contiguous(), sample.mean(0)]
    weights = [w.requires_grad_() for w in weights]
    optimizer = torch.optim.Adam(weights, lr=1e-3)

    def forward(x: Tensor) -> Tensor:
        W_enc, b_enc, W_dec, b_dec = weights  # noqa: N806 - both as nn.Linear keeps them
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            pre = F.relu(F.linear(x - b_dec, W_enc, b_enc))
            values, latents = pre.topk(k, dim=1)
            dense = torch.zeros_like(pre).scatter(1, latents, values)
            return F.linear(dense, W_dec) + b_dec

    def step(x: Tensor) -> None:
        optimizer.zero_grad()
        F.mse_loss(forward(x).float(), x).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        with torch.no_grad():
            weights[2] /= weights[2].norm(dim=0)

    return Contender(step, forward, "bfloat16 autocast" if bfloat16 else "float32")


def saelens(
    sample: Tensor,
    d_sae: int,
    k: int,
    steps: int,
    *,
    lr: float | None = None,
    architecture: str = "topk",
    settings: dict[str, object] | None = None,
) -> Contender:
    """SAELens: `SAETrainer.step`, as its `fit` calls it. Its `use_sparse_activations` has no gradient on a CPU.

    settings: of the architecture, instead of k.
    """
    from sae_lens.config import SAETrainerConfig
    from sae_lens.registry import get_sae_training_class
    from sae_lens.training.sae_trainer import SAETrainer

    frames, d_in = sample.shape
    torch.manual_seed(0)
    make, config = get_sae_training_class(architecture)
    sae = make(config(d_in=d_in, d_sae=d_sae, **({"k": k} if settings is None else settings)))
    schedule = {"lr_scheduler_name": "cosineannealing", "lr_warm_up_steps": steps // 20} if lr else {}
    rate = lr or 3e-4  # its default
    config = SAETrainerConfig(
        total_training_samples=frames * steps, train_batch_size_samples=frames, lr=rate, lr_end=rate / 10, **schedule
    )

    def nothing() -> Iterator[Tensor]:
        yield from ()

    trainer = SAETrainer(config, sae, nothing())

    def step(x: Tensor) -> None:
        trainer.maybe_reset_sparsity()
        trainer.step(x)
        trainer.n_training_steps += 1

    return Contender(step, lambda x: sae.decode(sae.encode(x)), f"lr {config.lr:g}")


def sparsify(
    sample: Tensor,
    d_sae: int,
    k: int,
    *,
    optimizer: str,
    lr: float | None = None,
    steps: int | None = None,
    device: str = "cpu",
) -> Contender:
    """sparsify: what `Trainer.fit` and its hook do with a batch, in their order, with their classes.

    `Trainer` itself insists on a language model and token ids, so its lines are called one by one.
    """
    from schedulefree import ScheduleFreeWrapper
    from sparsify import SparseCoder, SparseCoderConfig
    from sparsify.sign_sgd import SignSGD
    from transformers import get_linear_schedule_with_warmup

    torch.manual_seed(0)
    sae = SparseCoder(sample.shape[1], SparseCoderConfig(num_latents=d_sae, k=k), device=device, dtype=torch.float32)
    sae.b_dec.data = sample.mean(0).to(device)
    scale = (d_sae / 2**14) ** 0.5
    schedule = None
    if optimizer == "signum":  # its default
        stepper = ScheduleFreeWrapper(SignSGD(sae.parameters(), lr=lr or 5e-3 / scale), momentum=0.95)
        stepper.train()
    else:
        stepper = torch.optim.Adam(sae.parameters(), lr=lr or 2e-4 / scale)
        if steps:
            schedule = get_linear_schedule_with_warmup(stepper, min(1000, steps // 10), steps)
    since_fired = torch.zeros(d_sae, dtype=torch.long, device=device)

    def step(x: Tensor) -> None:
        sae.set_decoder_norm_to_unit_norm()
        variance = (x - x.mean(0)).pow(2).sum()
        out = sae(x=x, y=x, dead_mask=since_fired > 10_000_000, total_variance=variance)
        did_fire = torch.zeros(d_sae, dtype=torch.bool, device=device)
        did_fire[out.latent_indices.flatten()] = True
        float(out.fvu.detach())
        (out.fvu + out.auxk_loss / 32 + out.multi_topk_fvu / 8).backward()
        sae.remove_gradient_parallel_to_decoder_directions()
        stepper.step()
        stepper.zero_grad()
        if schedule:
            schedule.step()
        with torch.no_grad():
            since_fired.add_(len(x))
            since_fired[did_fire] = 0

    def reconstruct(x: Tensor) -> Tensor:
        if optimizer == "signum":
            stepper.eval()
        x_hat = sae(x).sae_out
        if optimizer == "signum":
            stepper.train()
        return x_hat

    return Contender(step, reconstruct, f"{optimizer}, auxk_alpha=1/32")


def dictionary_learning(
    sample: Tensor,
    d_sae: int,
    k: int,
    steps: int,
    *,
    trainer: str = "top_k.TopKTrainer",
    settings: dict[str, object] | None = None,
    device: str = "cpu",
) -> Contender:
    """dictionary_learning: `update` of one of its trainers.

    settings: of the trainer, instead of k.
    """
    module, name = trainer.split(".")
    made = getattr(import_module(f"dictionary_learning.trainers.{module}"), name)(
        steps=max(steps, 2000),
        activation_dim=sample.shape[1],
        dict_size=d_sae,
        layer=0,
        lm_name="",
        seed=0,
        device=device,
        warmup_steps=min(1000, steps // 10),
        **({"k": k} if settings is None else settings),
    )
    done = iter(range(10**9))
    return Contender(lambda x: made.update(next(done), x), made.ae, "defaults")
