"""Anybody's VAE as the encoder and the decoder that a bundle needs, without glue code.

`adapt` finds the parts of a whole module (`parts`), runs them, finds the posterior and the image in
whatever they return (`outputs`) and the range of the images (`ranges`), and wraps the parts
(`wrapped`) so that what is traced keeps the contract. What it found is said in `Adapted.findings`;
what it cannot decide is an error that lists the candidates.
"""

from vae_export.adapters.adapt import Adapted, Hints, adapt
from vae_export.adapters.outputs import SPREADS, Spread
from vae_export.adapters.ranges import ImageRange

__all__ = ["SPREADS", "Adapted", "Hints", "ImageRange", "Spread", "adapt"]
