"""Run the chapters whose results are not known yet, several at a time.

Jupyter Book runs one chapter after the other as it reads them. What is run here lies in its cache
before it begins, so that on several processor cores a book takes a part of the time. A chapter
that fails is not kept: Jupyter Book runs it again, and says what is wrong and where.
"""

import multiprocessing
import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook

import chapter_times

MOST_AT_ONCE = 4
"""A chapter may hold more than a gigabyte."""

ALONE = ("17-scaling-out",)
"""It measures what a second core gains, and would measure the other chapters too."""

SECONDS_FOR_A_CELL = 900
"""As in `_config.yml`."""


def unknown(folder: Path, cache_path: Path) -> list[Path]:
    """The chapters of a folder that the cache has no results of, those that take longest first."""
    cache, found = get_cache(cache_path), []
    for path in sorted(folder.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if not is_myst_markdown_notebook(text):
            continue
        try:
            cache.match_cache_notebook(read_myst_markdown_notebook(text))
        except KeyError:
            cost = chapter_times.COST.search(text)
            found.append((int(cost["run"].removesuffix(" s")) if cost else 0, path))
    return [path for _, path in sorted(found, reverse=True)]


def execute(path: Path) -> tuple[str, float, str]:
    """Run one chapter where it lies.

    Returns:
        The notebook with its results as text; the seconds it took; what went wrong, or "".
    """
    notebook = read_myst_markdown_notebook(path.read_text(encoding="utf-8"))
    done = single_nb_execution(notebook, str(path.parent), SECONDS_FOR_A_CELL, allow_errors=False)
    return nbformat.writes(done.nb), done.time, done.exc_string or ""


def _begin(environment: Mapping[str, str]) -> None:
    os.environ.update(environment)


def run(folder: Path, cache_path: Path, environment: Mapping[str, str]) -> None:
    """Run what is not known and keep the results where Jupyter Book looks for them.

    Args:
        folder: with the chapters, `book`.
        cache_path: `_build/.jupyter_cache`.
        environment: variables that chapters run under, beside those that are set.
    """
    chapters = unknown(folder, cache_path)
    alone = [path for path in chapters if path.stem in ALONE]
    together = [path for path in chapters if path not in alone]
    at_once = min(os.cpu_count() or 1, MOST_AT_ONCE)
    _keep(together, at_once, cache_path, environment)
    _keep(alone, 1, cache_path, environment)


def _keep(
    chapters: Iterable[Path], at_once: int, cache_path: Path, environment: Mapping[str, str]
) -> None:
    """Run chapters, so many at a time, and put each into the cache as it is done."""
    cache, start = get_cache(cache_path), time.monotonic()
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, fresh, _begin, (dict(environment),)) as pool:
        running = {pool.submit(execute, path): path for path in chapters}
        for each in as_completed(running):
            path, (text, seconds, wrong) = running[each], each.result()
            if not wrong:
                notebook = nbformat.reads(text, as_version=4)
                bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            said = "failed, and is run again as its page is made" if wrong else f"{seconds:.0f} s"
            print(f"{time.monotonic() - start:5.0f} s  {path.stem}: {said}", flush=True)
