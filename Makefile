# make book    everything a reader needs: environment, chapters, pages; make help: the rest

PYTHON ?= python3
TORCH ?=
RUN = .venv/bin/python

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand -t 18
	@echo "options: TORCH=cpu for PyTorch without CUDA, PYTHON=python3.12 for another Python"

book: .venv/ready  ## build the book into _build/html
	$(RUN) tools/build_book.py
archive: book  ## pack the site for reading offline, and print it as a PDF
	$(RUN) tools/archive.py

test: .venv/ready  ## build the book and run every test, without a network
	$(RUN) tools/run_tests.py

lint: .venv/ready  ## check style, types, spelling, the arrows between rooms, the notebooks
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check src tests tools
	.venv/bin/lint-imports
	$(RUN) -m mypy
	$(RUN) -m nbstripout --verify notebooks/*.ipynb
	$(RUN) -m codespell_lib
	$(RUN) tools/make_notebooks.py --check

notebooks: .venv/ready  ## write notebooks/ from book/
	$(RUN) tools/make_notebooks.py

costs: .venv/ready  ## measure time and memory of every chapter and write them into book/
	$(RUN) tools/measure_costs.py

clean:  ## remove what was built, but not the environment
	rm -rf _build

.venv/ready: requirements.txt pyproject.toml tools/make_venv.py
	$(PYTHON) tools/make_venv.py $(TORCH)

.PHONY: help book archive test lint notebooks costs clean
