import torch

from vae_train.augmentation import shifted


def test_a_shifted_image_keeps_its_ink_and_moves_by_its_offset() -> None:
    images = torch.zeros(64, 1, 28, 28)
    images[:, :, 14, 14] = 1
    offsets = torch.randint(-2, 3, (64, 2), generator=torch.Generator().manual_seed(0))
    places = shifted(images, offsets).nonzero()
    assert len(places) == 64
    assert torch.equal(places[:, 2:] - 14, -offsets)


def test_no_images_stay_no_images() -> None:
    images = torch.zeros(0, 1, 28, 28)
    assert shifted(images, torch.zeros(0, 2, dtype=torch.int64)).shape == images.shape
