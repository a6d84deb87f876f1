"""Mathematics of the latent space: places, labels, densities, bounds."""
