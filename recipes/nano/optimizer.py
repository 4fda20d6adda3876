"""Muon, momentum with orthogonalised updates, for the weight matrices inside transformer blocks; AdamW for the rest.

Muon needs fewer steps than AdamW here. Matrices of one shape are stacked, so that a step is a few batched
products. The exported weights are an exponential average of those that are trained.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn


def orthogonalize(x: Tensor) -> Tensor:
    """Each matrix of [n, rows, columns] with its singular values drawn towards 1 (five Newton-Schulz
    steps).
    """
    tall = x.shape[1] > x.shape[2]
    x = (x.mT if tall else x).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.mT if tall else x).float()


class Muon:
    """Updates have the root mean square of AdamW's, 0.2, so the two share a learning rate and weight
    decay.
    """

    def __init__(self, parameters: Iterable[Tensor], momentum: float = 0.95, weight_decay: float = 0.05) -> None:
        stacks = defaultdict(list)
        for parameter in parameters:
            stacks[tuple(parameter.shape)].append(parameter)
        self.stacks = list(stacks.values())
        self.buffers = [stack[0].new_zeros(len(stack), *stack[0].shape) for stack in self.stacks]
        self.momentum, self.weight_decay = momentum, weight_decay

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """One update; the processes share the matrices out among them."""
        share = slice(dist.get_rank(), None, dist.get_world_size())
        updates = [torch.zeros_like(buffer) for buffer in self.buffers]
        for stack, buffer, update in zip(self.stacks, self.buffers, updates, strict=True):
            gradient = torch.stack([p.grad for p in stack])
            buffer.lerp_(gradient, 1 - self.momentum)
            update[share] = orthogonalize(gradient[share].lerp(buffer[share], self.momentum))
        sum_over_processes(updates)
        for stack, update in zip(self.stacks, updates, strict=True):
            rate = learning_rate * 0.2 * max(update.shape[1:]) ** 0.5
            torch._foreach_mul_(stack, 1 - learning_rate * self.weight_decay)
            torch._foreach_add_(stack, list(update.unbind()), alpha=-rate)

    def state_dict(self) -> dict:
        return {"buffers": self.buffers}

    def load_state_dict(self, state: dict) -> None:
        self.buffers = state["buffers"]


def sum_over_processes(tensors: list[Tensor], scale: float = 1.0) -> None:
    """Add up each tensor over all processes, in place and in one message."""
    if dist.get_world_size() == 1:
        return
    flat = torch.cat([t.flatten() for t in tensors])
    dist.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor)).mul_(scale)


class Optimizer:
    """Muon and AdamW over what of a module needs gradients, which are averaged over the processes and clipped."""

    def __init__(self, module: nn.Module) -> None:
        named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
        self.parameters = [p for _, p in named]
        self.muon = Muon(p for n, p in named if ".layers." in n and p.ndim == 2)
        rest = [p for n, p in named if not (".layers." in n and p.ndim == 2)]
        self.adamw = torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=0.0)

    def step(self, learning_rate: float) -> Tensor:
        """One update with the gradients that there are, which are then gone; their norm over all processes."""
        used = [p for p in self.parameters if p.grad is not None]
        sum_over_processes([p.grad for p in used if p.grad is not None], 1 / dist.get_world_size())
        norm = nn.utils.clip_grad_norm_(used, 1.0)
        self.adamw.param_groups[0]["lr"] = learning_rate
        self.adamw.step()
        self.muon.step(learning_rate)
        for parameter in used:
            parameter.grad = None
        return norm

    def state_dict(self) -> dict:
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])


class Average:
    """The exponential average of a module's parameters, over about 500 steps once there have been as many."""

    def __init__(self, module: nn.Module) -> None:
        self.weights = {n: p.detach().clone() for n, p in module.named_parameters()}

    def update(self, module: nn.Module, step: int) -> None:
        """Takes the parameters after `step` steps into the average."""
        decay = min(0.998, step / (step + 20))
        live = dict(module.named_parameters())
        torch._foreach_lerp_(list(self.weights.values()), [live[n].detach() for n in self.weights], 1 - decay)
