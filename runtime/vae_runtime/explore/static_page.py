"""The page as files for any web server that has files alone, with a bundle beside it.

`examples/browser` builds the page: this package's own scripts, a worker in place of the server, and
onnxruntime's 14 MB of WebAssembly, which is why a wheel doesn't hold it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from vae_runtime.bundle.packing import bundle_files
from vae_runtime.bundle.storage import BundleStorage
from vae_runtime.door import is_file
from vae_runtime.errors import VAEError
from vae_runtime.formats.files import replacing_folder

# Where a clone of the repository has it.
BUILT_PAGE = Path(__file__).parents[3] / "examples" / "browser" / "dist"
# Where the page looks for its bundle; transport.js in examples/browser has the same name.
BUNDLE_FOLDER = "model.vae"
PAGE_FILES = ("index.html", "service_worker.js")


def write_static_page(target: Path, bundle: BundleStorage, page: Path = BUILT_PAGE) -> None:
    """Write the built page in the folder `page`, and a bundle, into the folder `target`.

    A page that stands there is replaced. Raises VAEError where the page isn't built, where
    something else stands at `target`, or for what cannot be written.
    """
    if not is_page(page):
        raise VAEError(
            "the page isn't built: in examples/browser of a clone of vae-edge run "
            "'npm install --ignore-scripts && npm run build', and give its folder dist by --page"
        )
    files = bundle_files(bundle)
    with replacing_folder(target, is_page, "page of vae-run explore") as folder:
        shutil.copytree(page, folder, dirs_exist_ok=True)
        inside = folder / BUNDLE_FOLDER
        inside.mkdir()
        for name, content in files.items():
            (inside / name).write_bytes(content)


def is_page(folder: Path) -> bool:
    """Whether a folder holds a built page."""
    return all(is_file(folder / name) for name in PAGE_FILES)
