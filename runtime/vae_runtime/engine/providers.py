"""Execution providers: what was asked for, whether it truly runs here, and if not, why.

onnxruntime falls back to the CPU with a line on stderr when a provider's libraries don't load. So
the libraries are loaded with the system's own loader first, whose message is the reason, and
onnxruntime is asked only if that worked.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vae_runtime.errors import ProviderError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
CUDA_DRIVER = "libcuda.so.1"
CUDA_LIBRARIES = ("libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so")
# They call a web service for operators of their own and leave all others to the CPU.
REMOTE_PROVIDERS = {"AzureExecutionProvider"}
REPLACE = "pip uninstall -y onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]'"
REPAIR = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install --no-deps onnxruntime-gpu"


@dataclass(frozen=True)
class Provider:
    """onnxruntime's name for an execution provider, and its options."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def resolve(requested: str, options: Mapping[str, Any] | None = None) -> Provider:
    """ "auto", "cpu", "cuda", "cuda:N" or onnxruntime's own name -> a provider that runs here.

    Raises ProviderError that says why when an explicit one cannot run; "auto" takes CUDA where it
    works, and warns where onnxruntime-gpu is installed but CUDA is unusable. On CUDA fp32 means
    fp32: TF32 is off.
    """
    if not isinstance(requested, str):
        raise TypeError(f"provider must be a string, not {type(requested).__name__}")
    options = dict(options or {})
    kind, _, device = requested.lower().partition(":")
    if kind == "cuda" or requested == CUDA:
        return _explicit_cuda(requested, device, options)
    if requested.lower() == "auto":
        return _automatic(options)
    if requested.lower() == "cpu" or requested == CPU:
        if options:
            raise ProviderError(f"the CPU takes no provider options: {', '.join(options)}")
        return Provider(CPU)
    return Provider(_available_name(requested), options)


def check_active(session: Any, provider: Provider) -> None:
    """Raise ProviderError when a session doesn't run on what it was built for."""
    active = session.get_providers()
    if provider.name in active:
        return
    reason = ""
    if provider.name == CUDA:
        reason = cuda_problem()
    if not reason:
        reason = "onnxruntime could not start it (no such device, or its driver is too old)"
    raise ProviderError(
        f"{provider.name} is not active, onnxruntime chose {', '.join(active)}: {reason}"
    )


def cuda_problem(device: int = 0) -> str:
    """Why CUDA cannot run on that device here, in words; empty where nothing speaks against it."""
    import onnxruntime

    wheels = installed_wheels()
    if "onnxruntime-gpu" not in wheels and CUDA not in onnxruntime.get_available_providers():
        return f"this onnxruntime has no CUDA support; replace it: {REPLACE}"
    if {"onnxruntime", "onnxruntime-gpu"} <= wheels:
        return f"onnxruntime and onnxruntime-gpu are installed over each other; repair it: {REPAIR}"
    if CUDA not in onnxruntime.get_available_providers():
        return "onnxruntime-gpu is installed, but its files are incomplete; repair it: " + REPAIR
    return _library_problem() or _device_problem(device)


def installed_wheels() -> set[str]:
    """Which of onnxruntime's wheels the package metadata lists."""
    from importlib import metadata

    found = set()
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            metadata.version(name)
            found.add(name)
        except metadata.PackageNotFoundError:
            pass
    return found


def _explicit_cuda(requested: str, device: str, options: Mapping[str, Any]) -> Provider:
    if device and not device.isdigit():
        raise ProviderError(f"provider {requested}: the device after cuda: must be a number")
    number = int(device or 0)
    reason = cuda_problem(number)
    if reason:
        raise ProviderError(f"CUDA cannot run here: {reason}")
    return _cuda(number, options)


def _available_name(requested: str) -> str:
    """onnxruntime's name for a provider that is asked for with or without its long ending."""
    import onnxruntime

    wanted = requested.lower()
    available = [p for p in onnxruntime.get_available_providers() if p not in REMOTE_PROVIDERS]
    for name in available:
        if name.lower() in (wanted, f"{wanted}executionprovider"):
            return str(name)
    raise ProviderError(
        f"{requested!r}: this onnxruntime has no such provider; it has {', '.join(available)}"
    )


def _automatic(options: Mapping[str, Any]) -> Provider:
    import onnxruntime

    # A look at the folder that the wheel's files are in; importlib.metadata would take a tenth of a
    # short command.
    site_packages = Path(str(onnxruntime.__file__)).parent.parent
    has_gpu_wheel = any(site_packages.glob("onnxruntime_gpu-*.dist-info"))
    if CUDA not in onnxruntime.get_available_providers() and not has_gpu_wheel:
        return Provider(CPU)
    reason = cuda_problem()
    if reason:
        import warnings

        warnings.warn(
            f"onnxruntime-gpu is installed but CUDA cannot run, using the CPU: {reason}",
            stacklevel=4,
        )
        return Provider(CPU)
    return _cuda(0, options)


def _cuda(device: int, options: Mapping[str, Any]) -> Provider:
    return Provider(CUDA, {"device_id": device, "use_tf32": 0, **options})


def _library_problem() -> str:
    import onnxruntime

    if hasattr(onnxruntime, "preload_dlls"):
        _preload_quietly(onnxruntime)
    folder = Path(str(onnxruntime.__file__)).parent / "capi"
    for library in CUDA_LIBRARIES:
        path = folder / library
        # Windows has other names; there onnxruntime's own check must do.
        if not path.exists():
            continue
        try:
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            return _no_driver(error) if CUDA_DRIVER in str(error) else str(error)
    return ""


def _preload_quietly(onnxruntime: Any) -> None:
    """Load the pip-installed nvidia-* libraries, whose absence preload_dlls prints."""
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()):
        onnxruntime.preload_dlls()


def _device_problem(device: int) -> str:
    try:
        driver = ctypes.CDLL(CUDA_DRIVER)
    except OSError as error:
        return _no_driver(error)
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the driver finds no CUDA device"
    if device >= count.value:
        return f"there is no device {device}; the driver finds {count.value}, numbered from 0"
    return ""


def _no_driver(error: OSError) -> str:
    return f"no NVIDIA driver: {error}"
