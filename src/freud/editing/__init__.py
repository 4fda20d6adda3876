"""Edits of features while a model runs, and what the model then hears."""
