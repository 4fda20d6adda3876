"""A sparse autoencoder for inference: a few tensors and an activation function.

Every architecture subclasses `SAE` and says how pre-activations become latents; training state lives elsewhere
(`topk.py`, `l1.py`), so that a loaded SAE is small. Latents come in the units of the activations: whatever scaling
training used has been folded into the weights (`fold_scaling`). Only a scaling of each frame by itself cannot be; then
`normalize_activations` says so, and the SAE does and undoes it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from freud.errors import FreudError
from freud.models.edits import Feature, latent


class ShapeError(FreudError):
    """Tensors of an SAE that do not fit together."""


class Sparse(NamedTuple):
    """Active latents as three columns, ordered by frame."""

    frame: Tensor  # [active] int64, row of the input
    latent: Tensor  # [active] int64
    value: Tensor  # [active] float32, above zero; of an SAE with signed latents also below


Normalization = Literal["none", "constant_norm_rescale", "layer_norm"]
NORMALIZATIONS = get_args(Normalization)


def normalized(x: Tensor, how: Normalization) -> tuple[Tensor, Tensor | float, Tensor | float]:
    """Frames x [..., d_in] scaled each by itself, as SAELens names it, and what undoes it.

    "constant_norm_rescale" gives every frame the norm sqrt(d_in); "layer_norm" zero mean and unit variance.

    Returns:
        y, scale, shift with x = y * scale + shift; scale and shift are [..., 1], or 1 and 0. A silent frame stays so.
    """
    match how:
        case "none":
            return x, 1.0, 0.0
        case "constant_norm_rescale":
            scale = x.norm(dim=-1, keepdim=True) / x.shape[-1] ** 0.5
            return x / scale.clamp_min(torch.finfo(x.dtype).tiny), scale, 0.0
        case "layer_norm":
            shift = x.mean(dim=-1, keepdim=True)
            scale = (x - shift).std(dim=-1, keepdim=True)
            return (x - shift) / (scale + 1e-5), scale, shift  # the 1e-5, and that it is not undone, are SAELens's


class SAE(nn.Module):
    """latents = activate((x - b_dec) W_enc + b_enc); reconstruction = latents W_dec + b_dec.

    `b_dec` is subtracted from the input only if `apply_b_dec_to_input`. Names and shapes are SAELens's.

    Attributes:
        W_enc: [d_in, d_sae]. b_enc: [d_sae]. W_dec: [d_sae, d_in]. b_dec: [d_in].
        normalize_activations: how x is scaled first, frame by frame ("none" but for SAEs trained on such frames);
            latents are those of the scaled frame, and `forward` undoes the scaling.
        metadata: what the SAE was trained on: model, model_fingerprint, site, and the training parameters.
    """

    architecture: ClassVar[str]
    W_enc: Tensor
    b_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor

    def __init__(
        self,
        W_enc: Tensor,  # noqa: N803
        b_enc: Tensor,
        W_dec: Tensor,  # noqa: N803
        b_dec: Tensor,
        *,
        apply_b_dec_to_input: bool = True,
        normalize_activations: Normalization = "none",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if W_enc.ndim != 2:
            raise ShapeError(f"W_enc: shape {tuple(W_enc.shape)}; expected [d_in, d_sae]")
        d_in, d_sae = W_enc.shape
        self.W_enc = nn.Parameter(W_enc, requires_grad=False)
        self._add("b_enc", b_enc, (d_sae,))
        self._add("W_dec", W_dec, (d_sae, d_in))
        self._add("b_dec", b_dec, (d_in,))
        self.apply_b_dec_to_input = apply_b_dec_to_input
        self.normalize_activations: Normalization = normalize_activations
        self.metadata = metadata or {}

    def _add(self, name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
        if tuple(tensor.shape) != shape:
            raise ShapeError(
                f"{name}: shape {tuple(tensor.shape)}; expected {shape} beside W_enc {tuple(self.W_enc.shape)}"
            )
        self.register_parameter(name, nn.Parameter(tensor, requires_grad=False))

    @property
    def d_in(self) -> int:
        return self.W_enc.shape[0]

    @property
    def d_sae(self) -> int:
        return self.W_enc.shape[1]

    def __getitem__(self, index: int) -> Feature:
        """Latent number `index` at the site the SAE was trained on, to make edits of: `sae[30].scale(-1)`."""
        return latent(self, index)

    def config(self) -> dict[str, Any]:
        """The fields of `cfg.json` that are this architecture's own."""
        return {}

    def pre_activations(self, x: Tensor) -> Tensor:
        """x: [..., d_in] to [..., d_sae], before the activation function."""
        x, _, _ = normalized(x, self.normalize_activations)
        centered = x - self.b_dec if self.apply_b_dec_to_input else x
        return centered @ self.W_enc + self.b_enc

    def activate(self, pre: Tensor) -> Tensor:
        """Pre-activations [..., d_sae] to latents [..., d_sae]."""
        raise NotImplementedError

    def encode(self, x: Tensor) -> Tensor:
        """x: [..., d_in] to latents [..., d_sae], dense."""
        return self.activate(self.pre_activations(x))

    def to_sparse(self, x: Tensor) -> Sparse:
        """x: [frames, d_in] to its active latents only."""
        latents = self.encode(x)
        frame, latent = latents.nonzero(as_tuple=True)
        return Sparse(frame, latent, latents[frame, latent])

    def decode(self, latents: Tensor) -> Tensor:
        """latents: [..., d_sae] to reconstructions [..., d_in], of the scaled frames if frames are scaled."""
        return latents @ self.W_dec + self.b_dec

    def frame_scale(self, x: Tensor) -> Tensor | float:
        """How much a change of the scaled frame changes the frame x [..., d_in]: [..., 1], or 1.

        An edit of latents f to f' adds (f' - f) W_dec times this.
        """
        return normalized(x, self.normalize_activations)[1]

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., d_in] to its reconstruction."""
        _, scale, shift = normalized(x, self.normalize_activations)
        return self.decode(self.encode(x)) * scale + shift

    @torch.no_grad()
    def fold_scaling(self, scale: Tensor, mean: Tensor | float = 0.0) -> None:
        """Take x from now on, instead of (x - mean) * scale, and reconstruct x: the scaling moves into the weights.

        Latents come in the units of x, decoder rows keep their norm (see docs/decisions/0004). With a scale of its own
        for each dimension [d_in] their norm changes with the direction; what can be done about that is up to
        `unit_decoder`.
        """
        scale = scale.to(self.W_enc)
        if not self.apply_b_dec_to_input:
            self._shift_latents_(-(torch.as_tensor(mean).to(scale) * scale).expand(self.d_in) @ self.W_enc)
        self.b_dec.copy_(self.b_dec / scale + mean)
        if scale.ndim == 0:
            self._scale_latents_(1 / scale, weights=False)  # W_enc * scale / scale, W_dec / scale * scale
        else:
            self.W_enc.mul_(scale[:, None])
            self.W_dec.div_(scale)
            self.unit_decoder()

    @torch.no_grad()
    def unit_decoder(self) -> None:
        """Scale every decoder row to norm 1 and its latent the other way: same reconstructions, comparable latents."""
        norms = self.W_dec.norm(dim=1).clamp_min(torch.finfo(self.W_dec.dtype).tiny)
        self.W_dec.div_(norms[:, None])
        self._scale_latents_(norms)

    def _scale_latents_(self, factor: Tensor, *, weights: bool = True) -> None:
        """Multiply latents by `factor` [] or [d_sae], above zero, by way of the biases and, if wanted, W_enc."""
        if weights:
            self.W_enc.mul_(factor)
        self.b_enc.mul_(factor)

    def _shift_latents_(self, shift: Tensor) -> None:
        """Add `shift` [d_sae] to the pre-activations."""
        self.b_enc.add_(shift)

    def check_site(self, origin: dict[str, Any], width: int) -> None:
        """Refuse activations that this SAE was not trained for.

        Args:
            origin: `model_fingerprint` and `site` of the activations.
            width: their width.

        Raises:
            FreudError: another width, site or model; an SAE that does not say where it comes from passes by width.
        """
        if width != self.d_in:
            raise FreudError(
                f"SAE of width {self.d_in}: {origin['site']} has width {width}; use one trained on that site"
            )
        site, model = self.metadata.get("site"), self.metadata.get("model_fingerprint")
        if site is not None and site != origin["site"]:
            raise FreudError(f"SAE of {site}: these are activations of {origin['site']}; use one trained on that site")
        if model is not None and model != origin["model_fingerprint"]:
            raise FreudError(
                f"SAE of model {self.metadata.get('model')} ({model}): these are activations of "
                f"{origin['model']} ({origin['model_fingerprint']}); use one trained on that model"
            )
