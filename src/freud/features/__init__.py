"""Features: the index of every neuron or latent of a site, and exact queries on it.

`index` builds the tables (DESIGN.md section 4) from stored activations, out of core; `read` opens them as a
`FeatureIndex` that answers "which clips drive this feature" and "which features does this clip drive".
"""

from freud.features.build import index
from freud.features.query import FeatureIndex, Hit, read

__all__ = ["FeatureIndex", "Hit", "index", "read"]
