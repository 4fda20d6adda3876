"""What the replication page looks at: sites of the encoder by basis, and which of them have SAEs.

A basis is a kind of feature. MLP neurons come after a nonlinearity that works on each of them alone, so their
coordinates are privileged; those of heads, queries, keys and values are only up to a rotation within each head, and
those of the residual stream and of what is added to it not at all.
"""

BLOCKS = [f"encoder.blocks.{block}" for block in range(6)]
NEURONS, COORDINATES = "neurons", "coordinates"
SITES = {
    NEURONS: [f"{block}.mlp.1" for block in BLOCKS],
    COORDINATES: [*BLOCKS, "encoder.ln_post"],
    "MLP outputs": [f"{block}.mlp" for block in BLOCKS],
    "attention outputs": [f"{block}.attn" for block in BLOCKS],
    "attention heads": [f"{block}.attn.heads" for block in BLOCKS],
    "queries": [f"{block}.attn.query" for block in BLOCKS],
    "keys": [f"{block}.attn.key" for block in BLOCKS],
    "values": [f"{block}.attn.value" for block in BLOCKS],
}
ADDED = [basis for basis in SITES if basis not in {NEURONS, COORDINATES}]  # parts of what attention and MLP add
ALL = [site for sites in SITES.values() for site in sites]
NAMED = [*BLOCKS, *SITES[NEURONS]]  # those that `freud name` is tried on, and where sounds are looked for
SAE_SITES = {"speech": ("encoder.blocks.3", "encoder.blocks.4", "encoder.blocks.2"), "sounds": ("encoder.blocks.4",)}
