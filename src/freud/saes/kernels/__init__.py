"""The hot path of training a sparse SAE: choosing latents, decoding the chosen ones, and the gradients of both.

Nothing here makes a [frames, d_sae] gradient or a [frames, k, d_in] tensor: what is sparse stays sparse, forward and
backward. `plain.py` says the same in dense autograd and is what every path is tested against; `topk`, `decode` and
`error` are differentiable and may be mixed with any other operation.
"""

from freud.saes.kernels.choose import kept, largest_of_all, looks, topk, topk_apart
from freud.saes.kernels.few import Dense, Few, above
from freud.saes.kernels.sparse import Pattern, decode, error, scores
from freud.saes.kernels.unexplained import unexplained

__all__ = [
    "Dense",
    "Few",
    "Pattern",
    "above",
    "decode",
    "error",
    "kept",
    "largest_of_all",
    "looks",
    "scores",
    "topk",
    "topk_apart",
    "unexplained",
]
