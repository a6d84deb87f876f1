"""Other people's VAEs, and what an export gains on them."""
