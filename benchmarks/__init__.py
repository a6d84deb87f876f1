"""How fast and how good bundles and training are, each table by one command.

    python -m benchmarks CHECKPOINT         images per second beside other runtimes
    python -m benchmarks.processes          start-up and memory of whole processes
    python -m benchmarks.quality [BUNDLE…]  what an independent classifier makes of the images
    python -m benchmarks.runtimes BUNDLE    what every engine makes of a bundle's graphs
    python -m benchmarks.training           images per second of training
    python -m benchmarks.recipes            what changes to the recipe do to the ELBO

`peers`, `plain`, `turns`, `rates`, `classifier` and `tables` are their parts.
"""
