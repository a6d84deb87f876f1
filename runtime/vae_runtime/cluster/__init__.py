"""Whole data sets on an engine that exists: what `vae-run ray` does. Needs the extra [ray]."""
