"""Train variational autoencoders with PyTorch: networks, objective, data, loop, checkpoint, evaluation.

Imports `vae_runtime` for files and pictures, never `vae_export`.
"""
