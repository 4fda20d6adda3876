"""Measures of dictionaries, each defined once, and their report."""
