"""Folders that say themselves which images are for training and which for testing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Names of sub-folders, in small letters.
TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing")
VALIDATION_NAMES = ("val", "valid", "validation")


@dataclass(frozen=True)
class FolderSplits:
    """The sub-folders of a folder that are splits; `test` is None where all images are to train on.

    `unused` is validation images beside test images.
    """

    train: Path
    test: Path | None
    unused: Path | None


def find_splits(folder: Path, files: Sequence[Path]) -> FolderSplits | None:
    """The splits of a folder whose image files are all in train/, test/, val/ and the like.

    None for any other folder: its sub-folders are labels. Without test images the validation images
    stand in for them.
    """
    found: dict[str, Path] = {}
    for name in _top_folders(folder, files):
        split = _split_named(name)
        if split is None or split in found:
            return None
        found[split] = folder / name
    if "train" not in found:
        return None
    test = found.get("test")
    validation = found.get("validation")
    if test is None:
        return FolderSplits(found["train"], validation, unused=None)
    return FolderSplits(found["train"], test, unused=validation)


def files_below(folder: Path, files: Sequence[Path]) -> list[Path]:
    """Those of `files` that are in `folder` or its sub-folders."""
    return [path for path in files if path.is_relative_to(folder)]


def _top_folders(folder: Path, files: Sequence[Path]) -> list[str]:
    """The names of the first sub-folders of `files`; that of a file in `folder` is its own."""
    return sorted({path.relative_to(folder).parts[0] for path in files})


def _split_named(name: str) -> str | None:
    splits = {"train": TRAIN_NAMES, "test": TEST_NAMES, "validation": VALIDATION_NAMES}
    for split, names in splits.items():
        if name.lower() in names:
            return split
    return None
