"""The npm module gives what Python gives, on onnxruntime-node and onnxruntime-web. Needs node and
npm, so it runs in .ci/run.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.bindings.conftest import ROOT, npm
from tests.bindings.golden import write_golden

from vae_runtime.formats.idx import read_idx
from vae_runtime.vae import EMBEDDED_BUNDLE

pytestmark = pytest.mark.install
DATA = ROOT / "tests" / "runtime" / "data"
DIGITS = ROOT / "tests" / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"
MAX_TARBALL_BYTES = 50_000


def test_models_seeds_and_pictures_agree_with_python(module: Path, tmp_path: Path) -> None:
    bundles = {"digits": EMBEDDED_BUNDLE}
    for name in ("tiny", "color"):
        bundles[name] = DATA / f"{name}.vae"
    bundles["continuous"] = tmp_path / "continuous.vae"
    _write_continuous(bundles["continuous"])
    golden = tmp_path / "golden"
    golden.mkdir()
    write_golden(golden, bundles, read_idx(DIGITS))
    done = subprocess.run(
        ["npm", "test"],
        cwd=module,
        env=os.environ | {"VAE_EDGE_GOLDEN": str(golden)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _write_continuous(path: Path) -> None:
    """tiny.vae with the continuous Bernoulli likelihood."""
    shutil.copytree(DATA / "tiny.vae", path)
    manifest = json.loads((path / "bundle.json").read_text())
    manifest["likelihood"] = {"name": "continuous_bernoulli"}
    (path / "bundle.json").write_text(json.dumps(manifest))


def test_bundles_of_a_dynamic_size_are_refused_with_what_to_do(
    module: Path, tmp_path: Path
) -> None:
    bundle = shutil.copytree(DATA / "tiny.vae", tmp_path / "any.vae")
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest |= {"schema": 2, "dynamic_size": True}
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    script = module / "any_size.mjs"
    script.write_text(
        'import { BundleError, load } from "vae-edge";\n'
        f"const load_it = () => load({json.dumps(str(bundle))});\n"
        "await load_it().catch((e) => console.log(e instanceof BundleError, e.message));\n"
    )
    done = subprocess.run(
        ["node", script.name], cwd=module, capture_output=True, text=True, timeout=120
    )
    script.unlink()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("true ")
    assert "graphs of a dynamic size don't run here; export it without" in done.stdout
    assert done.stdout.count("\n") == 1


def test_the_examples_of_its_readme_run(module: Path) -> None:
    shutil.copytree(EMBEDDED_BUNDLE, module / "digits.vae", dirs_exist_ok=True)
    blocks = re.findall(r"```js\n(.*?)```", (module / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 3
    printed = []
    for i, block in enumerate(blocks):
        script = module / f"example_{i}.mjs"
        script.write_text(block)
        done = subprocess.run(
            ["node", script.name], cwd=module, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, block + done.stderr
        printed.append(done.stdout)
        script.unlink()
    assert printed[0] == "cpu asked for 2 [ 1, 28, 28 ]\n"
    assert printed[2] == "true no-such.vae: no such bundle\n"


def test_a_typescript_program_sees_its_types(module: Path) -> None:
    readme = (module / "README.md").read_text("utf-8")
    block = re.findall(r"```js\n(.*?)```", readme, re.DOTALL)[0]
    wrong = 'const text: string = await vae.decode("0");\n'
    options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022"]
    for code, is_right in ((block, True), (block + wrong, False)):
        (module / "program.mts").write_text(code)
        done = subprocess.run(
            ["npx", "tsc", *options, "program.mts"],
            cwd=module,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode == 0) == is_right, done.stdout
    assert "is not assignable to type 'string'" in done.stdout


def test_the_benchmark_measures_every_graph_on_both_engines(module: Path) -> None:
    done = subprocess.run(
        ["node", "benchmark.mjs", str(DATA / "tiny.vae")],
        cwd=module,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(wasm|cpu) +(\S+) +batch (\d+)", done.stdout, re.M)
    assert len(set(found)) == 2 * 2 * 2


def test_it_is_as_small_as_its_readme_says_and_needs_nothing(module: Path) -> None:
    (pack,) = json.loads(npm(module, "pack", "--dry-run", "--json"))
    assert pack["size"] <= MAX_TARBALL_BYTES
    readme = (module / "README.md").read_text("utf-8")
    stated = re.search(r"takes (\d+) KB as a tarball", readme)
    assert stated
    assert abs(pack["size"] / 1000 - int(stated[1])) < 3
    package = json.loads((module / "package.json").read_text("utf-8"))
    assert "dependencies" not in package
    assert all(peer["optional"] for peer in package["peerDependenciesMeta"].values())


def test_the_ziggurats_tables_are_those_of_numpys_library(module: Path) -> None:
    import numpy as np

    library = Path(np.__file__).parent / "random" / "lib" / "libnpyrandom.a"
    script = """
        import * as tables from "./dist/random/ziggurat_tables.js";
        const limits = BigUint64Array.from(tables.LAYER_LIMITS, BigInt);
        for (const table of [tables.LAYER_HEIGHTS, limits, tables.LAYER_WIDTHS]) {
          console.log(Buffer.from(table.buffer).toString("hex"));
        }
    """
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script],
        cwd=module,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    tables = done.stdout.split()
    assert len(tables) == 3
    for table in tables:
        assert len(table) == 2 * 256 * 8
        assert bytes.fromhex(table) in library.read_bytes()
