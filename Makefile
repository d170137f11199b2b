# Everything a contributor does. `make demo` and `make test` need Python 3.11+ and nothing else.
PYTHON ?= python3
BIN := .venv/bin
# Without their dependencies, which are CUDA's libraries and what .venv has; torchvision's version goes with torch 2.13.
VISION := torchvision==0.28.0 open_clip_torch==3.3.0 timm==1.0.31 ftfy num2words wcwidth

.PHONY: demo gpu test test-gpu test-integrations test-kill test-load test-mteb test-ray test-vision coverage format lint docs web-types \
	constraints bench screenshots clean

demo: export ONEWORD_MODEL = basic
demo: .venv/demo
	$(BIN)/python demo/pictures.py .demo/pictures
	$(BIN)/oneword index .demo/pictures demo/texts --db .demo/db
	$(BIN)/oneword search "a cat" --db .demo/db -k 5
	$(BIN)/oneword search --image .demo/pictures/motorcycle_left.png --db .demo/db -k 5
	$(BIN)/oneword search --image .demo/pictures/coffee.png --edit "but a glass of beer" --db .demo/db -k 5
	$(BIN)/python -m research.miniature.demo .demo/scenes
	$(BIN)/oneword index .demo/scenes --model mini --collection scenes --db .demo/db
	$(BIN)/oneword search --image .demo/scenes/white_circle-red-large-00_star-yellow-large-striped-12.png \
		--edit "make the red circle blue" --explain 4 --collection scenes --db .demo/db -k 3
	@cat demo/next.txt

test: .venv/dev lint test-vision
	$(BIN)/python -m pytest -n 2 --dist worksteal

coverage: .venv/dev
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov=oneword --cov-report=term-missing:skip-covered --cov-report=html:.coverage-html

# The documentation into site/, strictly and without a network.
docs: .venv/dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# On a machine with a GPU, by a Python that has torch and transformers.
gpu:
	$(PYTHON) benchmarks/gpu.py --out gpu.json

test-gpu: .venv/dev
	$(BIN)/python -m pytest -m gpu

# In a folder of their own: the plugins of langchain-tests would be loaded by all tests.
test-integrations: .venv/dev .venv/integrations
	$(BIN)/python -m pytest -m integrations -o pythonpath=.venv/integrations -o asyncio_mode=auto \
		-o asyncio_default_fixture_loop_scope=function -W ignore tests/integrations

.venv/integrations: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --target $@ -c constraints.txt \
		langchain-core langchain-tests llama-index-core haystack-ai
	touch $@

test-kill: .venv/dev
	ONEWORD_KILLS=50 $(BIN)/python -m pytest tests/storage/ann/test_kill.py
	ONEWORD_KILLS=100 $(BIN)/python -m pytest tests/indexer/test_kill.py

test-load: .venv/dev
	ONEWORD_LOAD=.load $(BIN)/python -m pytest tests/query/server/load

test-mteb: .venv/dev .venv/mteb
	$(BIN)/python -m pytest tests/engine/evaluation/test_mteb.py

test-ray: .venv/dev .venv/ray
	$(BIN)/python -m pytest -m ray tests/indexer/distributed

# In a folder and a process of their own: with torchvision, transformers takes other image processors.
test-vision: .venv/dev .venv/vision
	$(BIN)/python -m pytest -m vision -o pythonpath=.venv/vision tests/engine

.venv/vision: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $@ $(VISION)
	touch $@

lint: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The page's JavaScript, by TypeScript. Needs Node.js and, the first time, npm's registry.
web-types:
	npx --yes --package typescript@7 tsc --project tsconfig.json

# What CI installs: the versions in .venv. Without PyTorch, whose builds differ by machine, and certifi, which is to be the newest.
constraints: .venv/dev
	$(BIN)/python -m pip freeze --exclude-editable \
		| grep -viE '^(certifi|torch|torchvision|triton|nvidia-[a-z0-9-]*|cuda-[a-z0-9-]*)==|@' > constraints.txt

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev
	$(BIN)/python benchmarks/encode.py --quick

screenshots: .venv/dev
	$(BIN)/python demo/screenshots.py docs

clean:
	rm -rf .venv .demo .load .coverage .coverage-html site

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv .venv

.venv/demo .venv/dev: PINS := -c constraints.txt
.venv/demo .venv/dev .venv/mteb .venv/ray: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINS) -e ".[$(@F)]"
	touch $@
