"""Train variational autoencoders with PyTorch.

Imports `vae_runtime` for files and charts, never `vae_export`.
"""
