"""A sparse autoencoder for inference: four tensors and an activation function.

Every architecture subclasses `SAE` and says how pre-activations become latents; training state lives elsewhere
(`topk.py`, `l1.py`), so that a loaded SAE is small. Latents come in the units of the activations: whatever scaling
training used has been folded into the weights.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from freud.errors import FreudError


class ShapeError(FreudError):
    """Tensors of an SAE that do not fit together."""


class Sparse(NamedTuple):
    """Active latents as three columns, ordered by frame."""

    frame: Tensor  # [active] int64, row of the input
    latent: Tensor  # [active] int64
    value: Tensor  # [active] float32, above zero


class SAE(nn.Module):
    """latents = activate((x - b_dec) W_enc + b_enc); reconstruction = latents W_dec + b_dec.

    `b_dec` is subtracted from the input only if `apply_b_dec_to_input`. Names and shapes are SAELens's.

    Attributes:
        W_enc: [d_in, d_sae]. b_enc: [d_sae]. W_dec: [d_sae, d_in]. b_dec: [d_in].
        metadata: what the SAE was trained on: model, model_fingerprint, site, and the training parameters.
    """

    architecture: ClassVar[str]

    def __init__(
        self,
        W_enc: Tensor,  # noqa: N803
        b_enc: Tensor,
        W_dec: Tensor,  # noqa: N803
        b_dec: Tensor,
        *,
        apply_b_dec_to_input: bool = True,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if W_enc.ndim != 2:
            raise ShapeError(f"W_enc: shape {tuple(W_enc.shape)}; expected [d_in, d_sae]")
        d_in, d_sae = W_enc.shape
        for name, tensor, shape in (
            ("b_enc", b_enc, (d_sae,)),
            ("W_dec", W_dec, (d_sae, d_in)),
            ("b_dec", b_dec, (d_in,)),
        ):
            if tuple(tensor.shape) != shape:
                raise ShapeError(
                    f"{name}: shape {tuple(tensor.shape)}; expected {shape} beside W_enc {tuple(W_enc.shape)}"
                )
        self.W_enc = nn.Parameter(W_enc, requires_grad=False)
        self.b_enc = nn.Parameter(b_enc, requires_grad=False)
        self.W_dec = nn.Parameter(W_dec, requires_grad=False)
        self.b_dec = nn.Parameter(b_dec, requires_grad=False)
        self.apply_b_dec_to_input = apply_b_dec_to_input
        self.metadata = metadata or {}

    @property
    def d_in(self) -> int:
        return self.W_enc.shape[0]

    @property
    def d_sae(self) -> int:
        return self.W_enc.shape[1]

    def config(self) -> dict[str, Any]:
        """The fields of `cfg.json` that are this architecture's own."""
        return {}

    def pre_activations(self, x: Tensor) -> Tensor:
        """x: [..., d_in] to [..., d_sae], before the activation function."""
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
        """latents: [..., d_sae] to reconstructions [..., d_in]."""
        return latents @ self.W_dec + self.b_dec

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., d_in] to its reconstruction."""
        return self.decode(self.encode(x))

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
