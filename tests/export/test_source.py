"""Encoders as the exporter wants them."""

import numpy as np

from vae_export import ort
from vae_export.graphs import export_graph
from vae_export.source import BookEncoder
from vae_runtime.arrays import UInt8
from vae_train.model import build_vae

OUTPUTS = ["z_mean", "z_log_var"]


def test_the_books_log_variance_is_doubled(digits: UInt8) -> None:
    encoder = build_vae((1, 28, 28), 2, seed=0).eval().encoder
    plain = export_graph(encoder, (1, 28, 28), "image", OUTPUTS, {})
    book = export_graph(BookEncoder(encoder).eval(), (1, 28, 28), "image", OUTPUTS, {})
    images = digits[:4].astype(np.float32) / np.float32(255)
    z_mean, z_log_var = ort.run(plain.SerializeToString(), images)
    book_mean, book_log_var = ort.run(book.SerializeToString(), images)
    np.testing.assert_allclose(book_mean, z_mean, atol=1e-7)
    np.testing.assert_allclose(book_log_var, 2 * z_log_var, atol=1e-7)
