"""The bundle: what the exporter writes and the runtime reads, as docs/bundle.md specifies it.

Imports neither numpy nor onnxruntime.
"""

from vae_runtime.bundle.manifest import SCHEMA, from_json, to_json
from vae_runtime.bundle.reading import (
    CHECK_FILE,
    describe_graph,
    is_bundle,
    read_bundle,
    read_graph,
)
from vae_runtime.bundle.records import (
    FITS,
    LIKELIHOODS,
    Bundle,
    Component,
    Fit,
    GraphFile,
    GraphPrecision,
    Label,
    Likelihood,
    LikelihoodName,
    Preprocess,
    Variant,
)
from vae_runtime.bundle.storage import MANIFEST, BundleSource, BundleStorage, open_storage

__all__ = [
    "CHECK_FILE",
    "FITS",
    "LIKELIHOODS",
    "MANIFEST",
    "SCHEMA",
    "Bundle",
    "BundleSource",
    "BundleStorage",
    "Component",
    "Fit",
    "GraphFile",
    "GraphPrecision",
    "Label",
    "Likelihood",
    "LikelihoodName",
    "Preprocess",
    "Variant",
    "describe_graph",
    "from_json",
    "is_bundle",
    "open_storage",
    "read_bundle",
    "read_graph",
    "to_json",
]
