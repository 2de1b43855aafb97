"""`edudiff train lora` by two processes, in parts and forgetful, takes the steps of one.

Run as a script, this file is one of several processes.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from edudiff import cli
from edudiff.training.recipes import lora

WORDS = "train lora --data pictures --steps 6 --batch-size 8 --rank 4 --log-every 1 --out"
THRIFTY = "--accumulate 2 --recompute"


def train_here(words: str) -> int:
    """The command as it is, without the pictures and the measuring, which no step looks at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lora, "measure", lambda pipe, examples: {})
        patch.setattr(lora, "draw_samples", lambda pipe, told: torch.zeros(3, 8, 8))
        return cli.main(words.split())


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(train_here(f"{WORDS} together") or train_here(f"{WORDS} thrifty {THRIFTY}"))


from edudiff.data import captions, drawing, scenes  # noqa: E402
from edudiff.display.encode import to_image  # noqa: E402
from edudiff.models import lora_files  # noqa: E402
from edudiff.training.log import read  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight scenes, and what one process and two made of them."""
    folder = tmp_path_factory.mktemp("lora")
    (folder / "pictures").mkdir()
    rows = []
    for seed in range(8):
        scene = scenes.scene(seed)
        to_image(-drawing.draw([scene], 64)[0]).save(folder / "pictures" / f"{seed}.png")
        text = captions.describe(scene, seed)
        rows.append(json.dumps({"file_name": f"{seed}.png", "text": text}))
    (folder / "pictures" / "metadata.jsonl").write_text("\n".join(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert train_here(f"{WORDS} alone") == 0
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    environment = {**os.environ, "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *words], check=True, env=environment, timeout=300, cwd=folder)
    return folder


def curve(out: Path) -> Tensor:
    rows = [row for row in read(out / "log.jsonl") if "quality" not in row]
    return torch.tensor([[row["step"], row["loss"], row["error"]] for row in rows])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["together", "thrifty"])
def test_two_processes_take_the_steps_of_one(name, folder):
    alone = curve(folder / "alone")
    assert alone[:, 0].tolist() == [1, 2, 3, 4, 5, 6] and len(alone[:, 1].unique()) == 6
    torch.testing.assert_close(curve(folder / name), alone, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["together", "thrifty"])
def test_they_save_the_same_lora(name, folder):
    found, expected = (lora_files.read(folder / each / "model") for each in (name, "alone"))
    assert found.metadata == expected.metadata
    assert max(value.abs().max() for key, value in expected.tensors.items() if "lora_B" in key) > 0
    torch.testing.assert_close(found.tensors, expected.tensors, atol=1e-4, rtol=1e-3)
