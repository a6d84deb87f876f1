"""`vae-run explore`: a local web page on a model's latent space, without dependencies."""

from vae_runtime.explore.server import ExploreServer, open_server

__all__ = ["ExploreServer", "open_server"]
