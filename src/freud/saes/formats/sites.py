"""From the names other tools give to places in a model to ours (`encoder.blocks.3.mlp.1`).

Only names that can mean one thing are translated; for all others the user is asked (`--site`).
"""

from __future__ import annotations

import re

_CANONICAL = re.compile(
    r"(encoder|decoder)\.("
    r"blocks\.\d+(\.(attn|cross_attn)(\.(query|key|value|heads))?|\.mlp(\.1)?)?"
    r"|ln_post|ln)"
)
_ALIASES = [  # Hugging Face's module paths, in this order
    (r"^(whisper\.|model\.)+", ""),
    (r"\blayers\.", "blocks."),
    (r"\bself_attn\b", "attn"),
    (r"\bencoder_attn\b", "cross_attn"),
    (r"\bq_proj$", "query"),
    (r"\bk_proj$", "key"),
    (r"\bv_proj$", "value"),
    (r"\bout_proj\.input$", "heads"),
    (r"\.out_proj$", ""),
    (r"\bactivation_fn$", "mlp.1"),
    (r"\bfc2$", "mlp"),
    (r"^encoder\.layer_norm$", "encoder.ln_post"),
    (r"^decoder\.layer_norm$", "decoder.ln"),
]


def canonical(name: object) -> str | None:
    """Our name for a site that another tool calls `name`; None if it does not name one of ours."""
    if not isinstance(name, str):
        return None
    for pattern, replacement in _ALIASES:
        name = re.sub(pattern, replacement, name)
    return name if _CANONICAL.fullmatch(name) else None
