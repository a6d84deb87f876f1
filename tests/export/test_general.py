"""Encoders and decoders from elsewhere: other layers, sizes, channels and latent dimensions."""

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

import vae_runtime
from vae_export import export_bundle
from vae_runtime.errors import VAEError


class Heads(nn.Module):
    """features -> z_mean, z_log_var."""

    def __init__(self, body: nn.Module, width: int, latent_dim: int) -> None:
        super().__init__()
        self.body, self.mean, self.log_var = body, nn.Linear(width, latent_dim), nn.Linear(width, latent_dim)

    def forward(self, image):
        x = self.body(image)
        return self.mean(x), self.log_var(x)


class Residual(nn.Module):
    def __init__(self, channels: int, norm: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), norm, nn.SiLU())

    def forward(self, x):
        return x + self.layers(x)


def dense(shape, latent_dim):
    size = int(np.prod(shape))
    encoder = Heads(nn.Sequential(nn.Flatten(), nn.Linear(size, 64), nn.Tanh()), 64, latent_dim)
    layers = [nn.Linear(latent_dim, 64), nn.ELU(), nn.Linear(64, size), nn.Sigmoid(), nn.Unflatten(1, shape)]
    return encoder, nn.Sequential(*layers)


def convolutional(shape, latent_dim, norm, up):
    channels, height, width = shape
    h, w = height // 4, width // 4
    body = nn.Sequential(
        nn.Conv2d(channels, 16, 3, stride=2, padding=1), norm(), nn.ReLU(),
        nn.Conv2d(16, 16, 3, stride=2, padding=1), norm(), nn.LeakyReLU(0.1),
        Residual(16, norm()), nn.Dropout(0.5), nn.Flatten(),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(latent_dim, 16 * h * w), nn.Unflatten(1, (16, h, w)), Residual(16, norm()),
        up(), norm(), nn.GELU(), up(), nn.ReLU(), nn.Conv2d(16, channels, 3, padding=1), nn.Sigmoid(),
    )  # fmt: skip
    return Heads(body, 16 * h * w, latent_dim), decoder


def nearest():
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(16, 16, 3, padding=1))


def bilinear():
    upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return nn.Sequential(upsample, nn.Conv2d(16, 16, 3, padding=1))


def transposed(kernel, padding, extra=0):
    return lambda: nn.ConvTranspose2d(16, 16, kernel, stride=2, padding=padding, output_padding=extra)


def batch_norm():
    return nn.BatchNorm2d(16)


def group_norm():
    return nn.GroupNorm(4, 16)


CASES = {
    "dense-1": lambda: ((1, 28, 28), 1, dense((1, 28, 28), 1)),
    "dense-256": lambda: ((3, 32, 32), 256, dense((3, 32, 32), 256)),
    "batch-nearest": lambda: ((1, 28, 28), 16, convolutional((1, 28, 28), 16, batch_norm, nearest)),
    "group-bilinear": lambda: ((3, 64, 64), 32, convolutional((3, 64, 64), 32, group_norm, bilinear)),
    "batch-kernel-4": lambda: ((3, 128, 128), 64, convolutional((3, 128, 128), 64, batch_norm, transposed(4, 1))),
    "group-kernel-3": lambda: ((1, 32, 48), 2, convolutional((1, 32, 48), 2, group_norm, transposed(3, 1, 1))),
    "plain-kernel-2": lambda: ((3, 28, 28), 8, convolutional((3, 28, 28), 8, nn.Identity, transposed(2, 0))),
    "plain-kernel-5": lambda: ((1, 36, 36), 8, convolutional((1, 36, 36), 8, nn.Identity, transposed(5, 2, 1))),
}


@pytest.fixture(params=CASES)
def exported(request, tmp_path):
    """A bundle of one case, its modules with running statistics that aren't the initial ones."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shape, latent_dim, (encoder, decoder) = CASES[request.param]()
        for norm in (m for m in (*encoder.modules(), *decoder.modules()) if isinstance(m, nn.BatchNorm2d)):
            nn.init.uniform_(norm.running_mean, -0.3, 0.3)
            nn.init.uniform_(norm.running_var, 0.5, 2)
    path = tmp_path / "other.vae"
    bundle = export_bundle(encoder, decoder, image_shape=shape, latent_dim=latent_dim, output=path)
    return path, bundle, encoder.eval(), decoder.eval()


def test_modules_from_elsewhere(exported):
    path, bundle, encoder, decoder = exported
    random = np.random.default_rng(0)
    images = random.random((2, *bundle.image_shape), np.float32)
    z = random.standard_normal((2, bundle.latent_dim)).astype(np.float32)
    with torch.no_grad():
        expected = [*encoder(torch.from_numpy(images)), decoder(torch.from_numpy(z))]
    with vae_runtime.load(path, provider="cpu") as vae:
        vae.check()
        for found, want in zip([*vae.encode(images), vae.decode(z)], expected, strict=True):
            np.testing.assert_allclose(found, want.numpy(), atol=1e-5 * max(1, float(want.abs().max())))
    for variant in bundle.variants:
        for file, feed in ((variant.encoder.file, {"image": images[:1]}), (variant.decoder.file, {"z": z[:1]})):
            model = onnx.load(path / file)
            onnx.checker.check_model(model, full_check=True)
            if np.prod(bundle.image_shape) <= 3 * 64 * 64:  # the evaluator is slow
                want = expected[:2] if "image" in feed else expected[2:]
                for value, other in zip(ReferenceEvaluator(model).run(None, feed), want, strict=True):
                    np.testing.assert_allclose(value, other[:1].numpy(), atol=1e-5 * max(1, float(other.abs().max())))


def test_a_decoder_without_sigmoid_is_refused(tmp_path):
    encoder, decoder = dense((1, 8, 8), 2)
    with pytest.raises(VAEError, match="sigmoid"):
        export_bundle(encoder, decoder[:3].append(nn.Unflatten(1, (1, 8, 8))), image_shape=(1, 8, 8), latent_dim=2,
                      output=tmp_path / "x.vae")  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_the_callers_modules_stay_as_they_were(tmp_path):
    encoder, decoder = (module.double().train() for module in dense((1, 8, 8), 2))
    with pytest.raises(VAEError, match="fails on an input"):  # they take float64
        export_bundle(encoder, decoder, image_shape=(1, 8, 8), latent_dim=2, output=tmp_path / "x.vae")
    assert encoder.training
    assert decoder.training
    encoder.float(), decoder.float()
    export_bundle(encoder, decoder, image_shape=(1, 8, 8), latent_dim=2, output=tmp_path / "x.vae")
    assert encoder.training
    assert decoder.training


class Different(nn.Module):
    """Computes something else while it is exported."""

    def forward(self, z):
        image = z.sigmoid().unflatten(1, (1, 1, 2))
        return image / 2 if torch.compiler.is_exporting() else image


def test_a_graph_that_differs_from_torch_is_never_written(tmp_path):
    encoder, _ = dense((1, 1, 2), 2)
    with pytest.raises(VAEError, match="image differs from torch by 0.49.*nothing was written"):
        export_bundle(encoder, Different(), image_shape=(1, 1, 2), latent_dim=2, output=tmp_path / "x.vae")
    assert not list(tmp_path.iterdir())


def test_the_sub_module_at_fault_is_named(tmp_path):
    encoder, decoder = dense((1, 8, 8), 2)
    decoder[2] = nn.Linear(63, 64)
    with pytest.raises(VAEError, match="Sequential, in its 2, fails on an input of 256×2: mat1 and mat2") as caught:
        export_bundle(encoder, decoder, image_shape=(1, 8, 8), latent_dim=2, output=tmp_path / "x.vae")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_labels_give_concepts(tmp_path, digits, digit_labels):
    encoder, decoder = dense((1, 28, 28), 2)
    bundle = export_bundle(encoder, decoder, image_shape=(1, 28, 28), latent_dim=2, output=tmp_path / "x.vae",
                           images=digits, labels=digit_labels)  # fmt: skip
    assert set(bundle.labels) == {str(label) for label in np.unique(digit_labels)}
    assert sum(label.count for label in bundle.labels.values()) == len(digits)
    four = encoder.eval()(torch.from_numpy(digits[digit_labels == 4]).float() / 255)[0]
    np.testing.assert_allclose(bundle.labels["4"].mean, four.mean(0).detach().numpy(), atol=1e-5)


class Listed(nn.Module):
    """Returns a list, or a tuple of one, as modules do."""

    def __init__(self, inner, kind):
        super().__init__()
        self.inner, self.kind = inner, kind

    def forward(self, x):
        value = self.inner(x)
        return self.kind(value if isinstance(value, tuple) else [value])


def test_lists_and_tuples_of_outputs_are_taken(tmp_path):
    encoder, decoder = dense((1, 8, 8), 2)
    bundle = export_bundle(Listed(encoder, list), Listed(decoder, tuple), image_shape=(1, 8, 8), latent_dim=2,
                           output=tmp_path / "x.vae")  # fmt: skip
    assert bundle.latent_dim == 2


class Single(nn.Module):
    """Insists on float32."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.float())


def test_a_module_that_insists_on_float32_is_compared_in_float32(tmp_path):
    encoder, decoder = (Single(module) for module in dense((1, 8, 8), 2))
    bundle = export_bundle(encoder, decoder, image_shape=(1, 8, 8), latent_dim=2, output=tmp_path / "x.vae")
    assert bundle.variants[0].parity["decoder"]["largest"] < 1e-6


def test_what_cannot_be_copied_is_one_line(tmp_path):
    encoder, decoder = dense((1, 8, 8), 2)
    decoder[0] = torch.nn.utils.weight_norm(decoder[0])
    decoder(torch.rand(1, 2))
    with pytest.raises(VAEError, match="Sequential cannot be copied: .*weight_norm"):
        export_bundle(encoder, decoder, image_shape=(1, 8, 8), latent_dim=2, output=tmp_path / "x.vae")


def test_a_double_precision_output_is_refused_with_its_name(tmp_path):
    encoder, decoder = dense((1, 8, 8), 2)

    class Double(nn.Module):
        def forward(self, z):
            return decoder(z).double()

    with pytest.raises(VAEError, match="Double: image should be float32 .*not float64"):
        export_bundle(encoder, Double(), image_shape=(1, 8, 8), latent_dim=2, output=tmp_path / "x.vae")


def test_transposed_convolutions_of_one_dimension_are_left_alone(tmp_path):
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.up = nn.ConvTranspose1d(2, 4, 3, stride=2)

        def forward(self, z):
            return self.up(z[:, :, None].expand(-1, -1, 4))[..., :-1].sigmoid()[:, None, :, :]

    encoder, _ = dense((1, 4, 8), 2)
    bundle = export_bundle(encoder, Rows(), image_shape=(1, 4, 8), latent_dim=2, output=tmp_path / "x.vae")
    assert [v.name for v in bundle.variants] == ["fp32"]


def test_int8_of_somebody_elses_modules(tmp_path, digits):
    encoder, decoder = dense((1, 28, 28), 16)
    bundle = export_bundle(encoder, decoder, image_shape=(1, 28, 28), latent_dim=16, output=tmp_path / "x.vae",
                           images=digits, precisions=["fp32", "int8"])  # fmt: skip
    assert bundle.precisions == ("fp32", "int8")
    with pytest.raises(VAEError, match="int8 needs images"):
        export_bundle(encoder, decoder, image_shape=(1, 28, 28), latent_dim=16, output=tmp_path / "y.vae",
                      precisions=["int8"])  # fmt: skip


def test_int8_without_a_wide_layer_says_so(tmp_path, digits):
    encoder = Heads(nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU()), 8, 2)
    decoder = nn.Sequential(nn.Linear(2, 784), nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28)))
    with pytest.raises(VAEError, match="int8: no layer of these networks can be quantised: none is wide"):
        export_bundle(encoder, decoder, image_shape=(1, 28, 28), latent_dim=2, output=tmp_path / "x.vae",
                      images=digits, precisions=["int8"])  # fmt: skip
