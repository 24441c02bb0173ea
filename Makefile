# `make book` and `make test` work from a bare clone; everything else is listed by `make help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export OMP_WAIT_POLICY ?= PASSIVE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

SOURCES := $(shell find lib -name '*.py') $(shell find lib/experiments/records -name '*.json')
EXECUTED := $(patsubst notebooks/%,_build/executed/%,$(wildcard notebooks/*.ipynb))
CHECKED := _build/claims.json _build/mutants.json
FOUND := $(CHECKED) _build/pictures

.PHONY: help test prove book site refresh pdf browse pages paper coverage notebooks colab bench lint clean

help:            ## list the targets
	@grep -hE '^[a-z]+: .*##|^[a-z]+:  *##' $(MAKEFILE_LIST) | sed -E 's/:.*##/ -/'

$(READY): requirements.txt requirements-torch.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet -r requirements-torch.txt
	$(BIN)/pip install --quiet --no-build-isolation --no-deps -e .
	touch $@

test: $(READY)   ## install if needed, check the claims, run every test, compare every notebook with its stored outputs
	$(MAKE) --no-print-directory $(CHECKED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal tests
	rm -rf _build/alone && mkdir -p _build/alone && cp notebooks/*.ipynb _build/alone
	PYTHONPATH=book/_ext OMP_NUM_THREADS=1 $(BIN)/python -m pytest -p keep --keep _build/executed -n 2 --dist loadfile --nbval _build/alone

prove:           ## install Coq if needed (Debian, as root), compile the formal proofs, list their axioms, try their mutants
	command -v coqc > /dev/null || (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq coq libcoq-coquelicot > /dev/null)
	$(PYTHON) scripts/prove.py

book: $(READY)   ## install if needed, execute copies of the notebooks, check the claims, build the book (warnings are errors)
	OMP_NUM_THREADS=1 $(MAKE) --no-print-directory -j 2 $(EXECUTED) _build/pictures
	$(MAKE) --no-print-directory site

site: $(READY) $(FOUND)   ## check the claims and build the book from the last outputs of the notebooks
	rm -rf _build/html
	$(BIN)/jupyter-book build . -W -n --keep-going --all
	@echo "Open _build/html/index.html"

# What is computed is computed again only if the code or the records have changed: the tests assert what the book shows.
# Notebooks run as copies: nothing is written into notebooks/ but by `make refresh`.
_build/executed/%.ipynb: notebooks/%.ipynb $(SOURCES) | $(READY)
	mkdir -p $(@D)
	cp $< $@.part
	$(BIN)/jupyter execute --inplace $@.part
	mv $@.part $@

refresh: $(READY)   ## execute the notebooks and store their outputs in notebooks/
	OMP_NUM_THREADS=1 $(MAKE) --no-print-directory -j 2 $(EXECUTED)
	cp $(EXECUTED) notebooks/ && touch $(EXECUTED)

_build/claims.json: $(SOURCES) | $(READY)
	mkdir -p $(@D)
	OMP_NUM_THREADS=2 $(BIN)/python -m lib verify --json $@

_build/mutants.json: $(SOURCES) | $(READY)
	mkdir -p $(@D)
	OMP_NUM_THREADS=2 $(BIN)/python -m lib mutate --json $@

_build/pictures: book/_ext/pictures.py $(SOURCES) | $(READY)
	$(BIN)/python $< $@
	touch $@

browse: pages paper   ## visit every page of the built book in Chromium (a Debian package), offline; print it and look at the paper

pages: $(READY)
	SITE=required OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal tests/test_site.py

paper: pdf
	SITE=required $(BIN)/python -m pytest tests/test_paper.py

pdf: $(READY)    ## print the built book with Chromium: _build/book.pdf
	$(BIN)/python book/_ext/paper.py _build/html _build/book.pdf

coverage: $(READY)   ## run the tests and print how much of the library they run (twenty minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --cov=lib --cov-report=term tests

notebooks: $(READY)   ## open Jupyter in the folder of the notebooks
	$(BIN)/pip install --quiet "jupyterlab>=4"
	$(BIN)/jupyter lab --notebook-dir=notebooks

colab: $(READY)  ## a wheel and notebooks whose first cell installs it, for Google Colab: _build/colab
	rm -rf _build/colab
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir _build/colab .
	$(BIN)/python book/_ext/colab.py notebooks _build/colab

bench: $(READY)  ## measure the record that the page "Speed" shows (seven minutes; leave the machine alone)
	$(BIN)/python -m lib bench --training 120 --json lib/experiments/records/bench.json

lint: $(READY)   ## check the style and the types of the code
	$(BIN)/ruff check lib tests book/_ext notebooks
	$(BIN)/ruff format --check lib tests book/_ext notebooks
	$(BIN)/mypy

clean:           ## remove the built book (the environment stays)
	rm -rf _build
