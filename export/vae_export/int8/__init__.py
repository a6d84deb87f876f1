"""int8 graphs: which layers are quantized, how, and what it costs.

`variant` is the way in; it asks `search`, which tries choices of layers with `qdq`, repairs them
with `bias_correction`, and has them judged by `judge`.
"""

from vae_runtime.errors import VAEError


class Int8UnavailableError(VAEError):
    """These networks have no int8 variant that is faster and inside the budget."""
