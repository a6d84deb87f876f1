"""The list of operators that a reduced onnxruntime needs."""

from pathlib import Path

from vae_export.operators_config import write_operators_config
from vae_runtime.vae import EMBEDDED_BUNDLE


def test_operators_are_listed_by_domain_and_opset_fused_ones_too(tmp_path: Path) -> None:
    graphs = [path.read_bytes() for path in sorted(EMBEDDED_BUNDLE.glob("*.onnx"))]
    file = tmp_path / "required_operators.config"
    write_operators_config(file, graphs)
    comment, *lines = file.read_text("utf-8").splitlines()
    assert comment.startswith("#")
    found = {}
    for line in lines:
        domain, opset, operators = line.split(";")
        assert opset.isdecimal()
        found[domain] = operators.split(",")
        assert found[domain] == sorted(found[domain])
    assert {"Conv", "ConvTranspose", "Gemm", "Sigmoid"} <= set(found["ai.onnx"])
    # onnxruntime fuses a convolution with the ReLU behind it.
    assert "FusedConv" in found["com.microsoft"]
