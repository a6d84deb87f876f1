import numpy as np
import torch

from vae_train.batches import batches, epoch_order
from vae_train.distributed import SINGLE_PROCESS, ProcessGroup

IMAGES = np.arange(23, dtype=np.uint8).reshape(23, 1, 1, 1)


def read(first: int, processes: ProcessGroup = SINGLE_PROCESS) -> list[tuple[int, list[int]]]:
    """The size of each batch of ten, and the numbers of the images in it."""
    order = torch.arange(len(IMAGES)).flip(0)
    parts = batches(IMAGES, order, 10, first=first, processes=processes, pin=False)
    return [(count, part.flatten().tolist()) for count, part in parts]


def test_every_image_comes_once_in_order_and_the_last_batch_has_the_rest() -> None:
    expected = [(10, list(range(22, 12, -1))), (10, list(range(12, 2, -1))), (3, [2, 1, 0])]
    assert read(first=0) == expected
    assert read(first=2) == expected[2:]
    assert read(first=3) == []


def test_the_processes_share_a_batch_among_them() -> None:
    whole = read(first=0)
    shares = [read(first=0, processes=ProcessGroup(rank, 3)) for rank in range(3)]
    for i, (count, images) in enumerate(whole):
        parts = [share[i] for share in shares]
        assert {size for size, _ in parts} == {count}
        assert [image for _, part in parts for image in part] == images


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    first = epoch_order(100, seed=1, epoch=2)
    torch.manual_seed(5)
    assert torch.equal(first, epoch_order(100, seed=1, epoch=2))
    assert sorted(first.tolist()) == list(range(100))
    assert not torch.equal(first, epoch_order(100, seed=1, epoch=3))
    assert not torch.equal(first, epoch_order(100, seed=2, epoch=2))
