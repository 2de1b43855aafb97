"""The notebooks that know two sizes, run at the full one on small weights under the true names."""

import os
from pathlib import Path

import nbformat
import pytest
import small_repositories
from nbclient import NotebookClient

from edudiff.checkpoints.table import MODELS

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
NEEDED = {
    "11-stable-diffusion": ["stable-diffusion"],
    "12-sdxl": ["sdxl", "stable-diffusion", "sdxl-refiner"],
    "13-beyond-sdxl": ["stable-diffusion-3"],
    "16-lora": ["stable-diffusion"],
}
CHOICE, FULL = 'SIZE = "auto"', 'SIZE = "full"'


@pytest.fixture
def hub_home(tmp_path):
    def fill(names):
        for name in names:
            folder = tmp_path / name
            small_repositories.SAVERS[name](folder)
            small_repositories.fill(tmp_path / "hf", MODELS[name].full, folder)
        return tmp_path / "hf"

    return fill


@pytest.mark.slow
@pytest.mark.parametrize("name", NEEDED)
def test_the_same_cells_run_at_full_size(name, hub_home, tmp_path):
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    chosen = [cell for cell in notebook.cells if CHOICE in cell.source]
    assert len(chosen) == 1, "one cell chooses the size"
    chosen[0].source = chosen[0].source.replace(CHOICE, FULL)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute(
        env={
            **os.environ,
            "HF_HOME": str(hub_home(NEEDED[name])),
            "HF_HUB_OFFLINE": "1",
            "JUPYTER_PREFER_ENV_PATH": "1",
        }
    )
    printed = [out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", [])]
    full = MODELS[NEEDED[name][0]].full
    assert f"full size ({full.repository} at {full.revision[:8]})" in "".join(printed)


def test_every_notebook_that_knows_two_sizes_is_run_at_both():
    sources = {file.stem: nbformat.read(file, 4).cells for file in NOTEBOOKS.glob("*.ipynb")}
    knowing = {name for name, cells in sources.items() if any(CHOICE in c.source for c in cells)}
    assert knowing == set(NEEDED)
