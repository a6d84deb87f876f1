"""docs/architecture.md and docs/bundle.md say what is there, and the import rule holds."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from vae_runtime.bundle import records

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGES = {
    "vae_runtime": ROOT / "runtime" / "vae_runtime",
    "vae_train": ROOT / "train" / "vae_train",
    "vae_export": ROOT / "export" / "vae_export",
}
MAY_IMPORT = {
    "vae_runtime": {"vae_runtime"},
    "vae_train": {"vae_train", "vae_runtime"},
    "vae_export": {"vae_export", "vae_train", "vae_runtime"},
}
MAP = (DOCS / "architecture.md").read_text("utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]


def modules(package: str) -> Iterator[Path]:
    yield from sorted(PACKAGES[package].rglob("*.py"))


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def section(package: str) -> str:
    """The part of the map about one package."""
    _, _, rest = MAP.partition(f"### {PACKAGES[package].relative_to(ROOT)}")
    return rest.partition("\n### ")[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_is_on_the_map(package: str) -> None:
    shown = section(package)
    missing = []
    for path in modules(package):
        name = str(path.relative_to(PACKAGES[package]))
        is_on_map = f"`{name}`" in shown or f"`{name.rpartition('/')[0]}/`" in shown
        if not is_on_map and path.name not in ("__init__.py", "__main__.py"):
            missing.append(name)
    assert missing == []


def test_every_file_of_the_npm_module_is_on_the_map() -> None:
    sources = ROOT / "bindings" / "js" / "src"
    _, _, rest = MAP.partition("### bindings/js")
    shown = set(re.findall(r"`([\w/]+\.ts)`", rest.partition("\n### ")[0]))
    assert shown == {path.relative_to(sources).as_posix() for path in sources.rglob("*.ts")}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_on_the_map_is_there(package: str) -> None:
    named = re.findall(r"`([\w/]+\.py)`", section(package))
    assert named
    assert [name for name in named if not (PACKAGES[package] / name).is_file()] == []


def test_where_to_add_things_names_files_that_are_there() -> None:
    _, _, rest = MAP.partition("## Where do I add")
    table = rest.partition("\n## ")[0]
    for path in re.findall(r"`((?:runtime|train|export|tests)/[\w/]+\.py)`", table):
        if "NAME" not in path:
            assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    for path in modules(package):
        for module in imported_modules(path):
            root = module.partition(".")[0]
            assert root not in PACKAGES or root in MAY_IMPORT[package], (path, module)


def test_every_bundle_key_is_in_its_specification() -> None:
    page = (DOCS / "bundle.md").read_text("utf-8")
    found = [kind for kind in vars(records).values() if is_dataclass(kind)]
    keys = {field.name for kind in found for field in fields(kind)}
    assert {"latent_dim", "sha256", "elbo_change", "log_var"} <= keys
    assert sorted(key for key in keys if f"`{key}`" not in page) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text("utf-8")):
        assert (document.parent / target).exists(), target


def test_the_readme_links_every_document() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [path.name for path in DOCS.glob("*.md") if f"(docs/{path.name})" not in readme] == []


def test_the_npm_module_has_the_version_of_the_package() -> None:
    package = json.loads((ROOT / "bindings" / "js" / "package.json").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert package["version"] == project["version"]
