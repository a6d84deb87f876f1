"""`vae-run explore --static` writes the built page with a bundle."""

from pathlib import Path

import pytest
from tests.runtime.helpers import DATA, Run

import vae_runtime
from vae_runtime.explore.static_page import BUNDLE_FOLDER, PAGE_FILES


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """What a build leaves, as far as Python looks at it."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    for name in (*PAGE_FILES, "assets/worker.js"):
        (folder / name).write_text(name)
    return folder


def test_the_page_is_written_with_the_bundle_and_may_be_written_again(
    vae_run: Run, page: Path, tmp_path: Path
) -> None:
    for bundle in (DATA / "tiny.vae", DATA / "color.vae"):
        done = vae_run("explore", "--static", "site", "--page", page, "-m", bundle)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "site: the page, and the bundle in model.vae\n"
        site = tmp_path / "site"
        assert (site / "assets" / "worker.js").read_text() == "assets/worker.js"
        written = vae_runtime.load(site / BUNDLE_FOLDER)
        written.check()
        assert written.image_shape == vae_runtime.load(bundle).image_shape


def test_what_is_no_page_is_not_replaced(vae_run: Run, page: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "thesis.txt").write_text("mine")
    done = vae_run("explore", "--static", "site", "--page", page)
    assert done.returncode == 1
    assert "site: exists and is not a page of vae-run explore" in done.stderr
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["thesis.txt"]


def test_a_page_that_was_not_built_is_one_line(vae_run: Run, tmp_path: Path) -> None:
    done = vae_run("explore", "--static", "site", "--page", tmp_path / "dist")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the page isn't built: in examples/browser of a clone")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "site").exists()


def test_a_page_without_static_is_wrong_usage(vae_run: Run) -> None:
    done = vae_run("explore", "--page", "dist")
    assert done.returncode == 2
    assert "--page goes with --static" in done.stderr


def test_worker_and_writer_agree_on_the_bundles_name() -> None:
    root = Path(__file__).parents[3]
    transport = (root / "examples" / "browser" / "transport.js").read_text("utf-8")
    assert f'const OWN_BUNDLE = "{BUNDLE_FOLDER}/";' in transport
