"""How fast bundles are beside what else runs the same networks: `python -m benchmarks --help`."""
