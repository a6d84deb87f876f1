# The inner loop; `bash .ci/run` is the gate. Run `make setup` once.

BIN = .venv/bin

.PHONY: setup test test-slow sbom test-fast lint format types bench model bundles api docs-picture ci

setup:
	python3 -m venv .venv
	$(BIN)/pip install "torch==2.13.0" -e ".[dev]"

test:
	$(BIN)/pytest -n 2 --dist loadfile

test-slow:
	$(BIN)/pytest -n 2 -m "slow and not install"

test-fast:
	$(BIN)/pytest -q tests/runtime

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format:
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types:
	$(BIN)/mypy

bench: runs/exact/model.pt
	$(BIN)/python -m benchmarks runs/exact/model.pt

runs/exact/model.pt:
	$(BIN)/vae-train --preset exact --validation 5000 -o runs/exact

model: runs/exact/model.pt
	$(BIN)/python tools/make_digits.py runs/exact/model.pt

bundles:
	$(BIN)/python -m tests.runtime.make_bundles

api:
	$(BIN)/pdoc -o build/api vae_runtime.vae vae_runtime.errors vae_runtime.bundle vae_runtime.formats.files vae_runtime.formats.images vae_runtime.formats.latents vae_runtime.formats.npy vae_runtime.formats.pictures vae_runtime.formats.png vae_runtime.formats.sheets vae_train.config vae_train.data vae_train.loop vae_export.api

# What an installation brings along, as CycloneDX.
sbom:
	mkdir -p build
	$(BIN)/cyclonedx-py environment $(BIN)/python --output-format JSON --output-reproducible -o build/sbom.json

docs-picture:
	$(BIN)/vae-run grid -o docs/grid.png

ci:
	bash .ci/run
