"""Every engine that runs a bundle's graphs, compared with what torch gave for its check data."""
