"""Where a module's encoder and decoder are: its methods, its attributes, heads and convolutions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vae_export.contract import run_module
from vae_export.torch_modules import module_name
from vae_runtime.errors import VAEError

# Pairs of methods of a whole VAE, and pairs of attributes that are modules themselves.
METHOD_PAIRS = (("encode", "decode"),)
ATTRIBUTE_PAIRS = (("encoder", "decoder"), ("enc", "dec"))
# Attributes that turn the features of an `encoder` into the mean, and into its spread.
MEAN_HEADS = ("fc_mu", "fc_mean", "fc_z_mean", "mu", "mean", "z_mean", "to_mu", "linear_mu")
SPREAD_HEADS = (
    "fc_var",
    "fc_logvar",
    "fc_log_var",
    "fc_z_log_var",
    "logvar",
    "log_var",
    "z_log_var",
    "to_logvar",
    "linear_logvar",
)
# How other names of such layers end.
MEAN_ENDINGS = ("mu", "mean")
SPREAD_ENDINGS = ("var",)
# latent-diffusion's names of the 1×1 convolutions behind the encoder and before the decoder.
QUANT_CONV = "quant_conv"
POST_QUANT_CONV = "post_quant_conv"
# Attributes that hold the codebook of a VQ-VAE.
QUANTIZERS = ("quantizer", "quantize", "vq", "vq_layer", "vector_quantizer", "codebook")
# Modules that hold the real one, what torch.compile returns among them, and where they hold it.
WRAPPERS = ("DataParallel", "DistributedDataParallel", "OptimizedModule")
WRAPPED_ATTRIBUTES = ("module", "_orig_mod")


@dataclass(frozen=True)
class Parts:
    """Two modules that may be an encoder and a decoder, and where they were found."""

    encoder: nn.Module
    decoder: nn.Module
    found_at: str


class VAEMethod(nn.Module):
    """One method of a VAE as a module of its own."""

    def __init__(self, vae: nn.Module, method: str) -> None:
        super().__init__()
        self.vae = vae
        self.method = method
        self.exported_as = f"{type(vae).__name__}.{method}"

    def forward(self, x: Tensor) -> Any:
        return getattr(self.vae, self.method)(x)


class WithHeads(nn.Module):
    """An encoder of features, and the two layers that make the mean and its spread of them."""

    def __init__(self, encoder: nn.Module, mean: nn.Module, spread: nn.Module, name: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.mean = mean
        self.spread = spread
        self.exported_as = name

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.encoder(image)
        if isinstance(self.mean, nn.Linear):
            features = torch.flatten(features, 1)
        return self.mean(features), self.spread(features)


class Chain(nn.Module):
    """Two modules, one behind the other."""

    def __init__(self, first: nn.Module, second: nn.Module, name: str) -> None:
        super().__init__()
        self.first = first
        self.second = second
        self.exported_as = name

    def forward(self, x: Tensor) -> Any:
        return self.second(self.first(x))


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside DataParallel and torch.compile.

    Raises VAEError for TorchScript, which torch cannot trace again.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise VAEError(
            f"{module_name(module)} is TorchScript, which cannot be exported; "
            "give the module that it was made of"
        )
    for name in WRAPPED_ATTRIBUTES:
        inner = module._modules.get(name)
        if inner is not None and type(module).__name__ in WRAPPERS:
            return unwrapped(inner)
    return module


def unwrap_inside(module: nn.Module) -> None:
    """Put what they hold in the place of wrappers inside a module."""
    for parent in list(module.modules()):
        # Not `named_children`, which gives a module of two names only once.
        for name, child in list(parent._modules.items()):
            # TorchScript may be a loss, which nobody exports.
            if child is None or isinstance(child, torch.jit.ScriptModule):
                continue
            inner = unwrapped(child)
            if inner is not child:
                setattr(parent, name, inner)


def require_no_torchscript(module: nn.Module, inputs: Tensor) -> None:
    """Raise VAEError where a module that runs on `inputs` (N, …) is TorchScript."""

    def check(called: nn.Module, _: Any) -> None:
        if isinstance(called, torch.jit.ScriptModule):
            scripted.append(called)

    scripted: list[nn.Module] = []
    handle = nn.modules.module.register_module_forward_pre_hook(check)
    try:
        run_module(module, inputs)
    finally:
        handle.remove()
    if scripted:
        # It refuses TorchScript.
        unwrapped(scripted[0])


def vae_inside(module: nn.Module) -> nn.Module:
    """The module that has the parts: itself, or the only one inside of it that has.

    So are VAEs in LightningModules beside losses and metrics, and in averages of weights. Raises
    VAEError where several may be it, and where a codebook stands beside it.
    """
    if _has_parts(module):
        return module
    inside = [(name, child) for name, child in module.named_children() if _has_parts(child)]
    if len(inside) > 1:
        names = ", ".join(name for name, _ in inside)
        raise VAEError(
            f"{module_name(module)} has several modules that may be the VAE: {names}; give one"
        )
    if not inside:
        return module
    _require_no_codebook(module)
    return inside[0][1]


def _has_parts(module: nn.Module) -> bool:
    for first, second in METHOD_PAIRS:
        if callable(getattr(module, first, None)) and callable(getattr(module, second, None)):
            return True
    for first, second in ATTRIBUTE_PAIRS:
        pair = (getattr(module, first, None), getattr(module, second, None))
        if all(isinstance(part, nn.Module) for part in pair):
            return True
    return False


def possible_parts(vae: nn.Module) -> list[Parts]:
    """Every pair of parts that a whole VAE has by the names that people give them.

    Methods come first: they call whatever stands beside the encoder. Raises VAEError where there
    are none, where several layers may be one head, and for a VQ-VAE.
    """
    _require_no_codebook(vae)
    pairs = [*_method_pairs(vae), *_attribute_pairs(vae)]
    if pairs:
        return pairs
    children = ", ".join(name for name, _ in vae.named_children()) or "none"
    raise VAEError(
        f"{module_name(vae)} has neither methods encode and decode nor attributes encoder and "
        f"decoder (its own: {children}); give the two modules as a pair (encoder, decoder)"
    )


def _require_no_codebook(vae: nn.Module) -> None:
    for name in QUANTIZERS:
        if isinstance(getattr(vae, name, None), nn.Module):
            raise VAEError(
                f"{module_name(vae)} has a codebook ({name}): the latents of a VQ-VAE are indices, "
                "and a bundle's are continuous with a mean and a log variance; to export it as an "
                "autoencoder of the vectors, give the pair (encoder and codebook, decoder)"
            )


def _method_pairs(vae: nn.Module) -> Iterator[Parts]:
    for encode, decode in METHOD_PAIRS:
        if callable(getattr(vae, encode, None)) and callable(getattr(vae, decode, None)):
            found_at = f"methods {encode} and {decode} of {type(vae).__name__}"
            yield Parts(VAEMethod(vae, encode), VAEMethod(vae, decode), found_at)


def _attribute_pairs(vae: nn.Module) -> Iterator[Parts]:
    for encoder_name, decoder_name in ATTRIBUTE_PAIRS:
        encoder = getattr(vae, encoder_name, None)
        decoder = getattr(vae, decoder_name, None)
        if not isinstance(encoder, nn.Module) or not isinstance(decoder, nn.Module):
            continue
        name = f"{type(vae).__name__}.{encoder_name}"
        found_at = f"attributes {encoder_name} and {decoder_name} of {type(vae).__name__}"
        heads = _heads(vae)
        plain = Parts(encoder, decoder, found_at)
        quant_conv = getattr(vae, QUANT_CONV, None)
        post_quant_conv = getattr(vae, POST_QUANT_CONV, None)
        if heads is not None:
            mean, spread = heads
            encoder = WithHeads(encoder, getattr(vae, mean), getattr(vae, spread), name)
            found_at += f", heads {mean} and {spread}"
        elif isinstance(quant_conv, nn.Module):
            encoder = Chain(encoder, quant_conv, name)
            found_at += f", {QUANT_CONV}"
        if isinstance(post_quant_conv, nn.Module):
            decoder = Chain(post_quant_conv, decoder, f"{type(vae).__name__}.{decoder_name}")
            found_at += f", {POST_QUANT_CONV}"
        yield Parts(encoder, decoder, found_at)
        if heads is not None:
            # They may be part of the encoder as well as of the whole.
            yield plain


def _heads(vae: nn.Module) -> tuple[str, str] | None:
    """The names of the layers for mean and spread that stand beside the encoder, if there are."""
    means = _layers(vae, MEAN_HEADS, MEAN_ENDINGS)
    spreads = _layers(vae, SPREAD_HEADS, SPREAD_ENDINGS)
    if not means or not spreads:
        return None
    if len(means) > 1 or len(spreads) > 1:
        raise VAEError(
            f"{module_name(vae)} has several layers that may be a head: "
            f"{', '.join([*means, *spreads])}; give it a method encode that returns the two"
        )
    return means[0], spreads[0]


def _layers(vae: nn.Module, names: Sequence[str], endings: tuple[str, ...]) -> list[str]:
    """The layers of these names; where there are none, the only one whose name ends so."""
    layers = [name for name, _ in vae.named_children()]
    known = [name for name in layers if name in names]
    similar = [name for name in layers if name.endswith(endings)]
    if not known and len(similar) > 1:
        # Decoders and priors have such layers too.
        return []
    return known or similar
