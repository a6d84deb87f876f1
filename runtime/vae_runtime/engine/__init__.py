"""How a bundle's graphs run: sessions, threads, execution providers, precisions."""
