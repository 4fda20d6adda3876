"""Labels against features: what a feature responds to, with scores, controls and a name."""
