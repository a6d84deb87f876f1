"""int8 graphs: which layers are quantized, how, and what it costs.

`variant` is the way in; it asks `search`, which tries choices of layers with `qdq`, repairs them
with `bias_correction`, and has them judged by `judge`.
"""
