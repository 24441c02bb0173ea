# `make book` and `make test` work from a bare clone; everything else is listed by `make help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export OMP_WAIT_POLICY ?= PASSIVE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help test book site bench lint clean

help:            ## list the targets
	@grep -hE '^[a-z]+: .*##|^[a-z]+:  *##' $(MAKEFILE_LIST) | sed -E 's/:.*##/ -/'

$(READY): requirements.txt requirements-torch.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet -r requirements-torch.txt
	$(BIN)/pip install --quiet --no-build-isolation --no-deps -e .
	touch $@

test: $(READY)   ## install if needed, then run every test and compare every notebook with its stored outputs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --nbval notebooks

book: $(READY)   ## install if needed, execute the notebooks, check the claims, build the book (warnings are errors)
	$(BIN)/jupyter execute --inplace notebooks/*.ipynb
	$(MAKE) --no-print-directory site

site: $(READY)   ## check the claims and build the book from the stored outputs of the notebooks
	mkdir -p _build
	$(BIN)/python -m lib verify --json _build/claims.json
	$(BIN)/python -m lib mutate --json _build/mutants.json
	$(BIN)/jupyter-book build . -W -n --keep-going --all
	@echo "Open _build/html/index.html"

bench: $(READY)  ## measure the record that the page "Speed" shows (seven minutes; leave the machine alone)
	$(BIN)/python -m lib bench --training 120 --json book/_data/bench.json

lint: $(READY)   ## check the style of the code
	$(BIN)/ruff check lib tests book/_ext

clean:           ## remove the built book (the environment stays)
	rm -rf _build
