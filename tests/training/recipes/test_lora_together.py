"""`edudiff train lora` by two processes, in parts, forgetful and divided, takes the steps of one.

Run as a script, this file is one of several processes.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils._pytree import key_get, tree_flatten_with_path, tree_structure

from edudiff import cli
from edudiff.pipelines.text_to_image import TextToImage
from edudiff.training.job import Batch
from edudiff.training.recipes import lora
from edudiff.training.recipes.lora_examples import Examples

WORDS = "train lora --data pictures --steps 6 --batch-size 8 --rank 4 --log-every 1"
THRIFTY = "--accumulate 2 --recompute"


def train_here(out: str, more: str = "", *, stop: int | None = None) -> int:
    """The command as it is, but with few pictures to look at; broken off after `stop` steps.

    How much of the U-Net each process holds when it looks is written down.
    """
    own, asked = Path(f"own-{out}-{os.environ.get('RANK', 0)}.json".replace(" ", "-")), []
    draw, draw_samples = Examples.draw, lora.draw_samples

    def draw_fewer(pipe: TextToImage, told: Sequence[str]) -> Tensor:
        weights = [getattr(p, "to_local", lambda p=p: p)() for p in pipe.unet.parameters()]
        own.write_text(json.dumps(sum(each.numel() for each in weights)))
        return draw_samples(pipe, told[:1], num_inference_steps=2)

    def draw_some(self: Examples, *told: Any) -> Batch:
        asked.append(1)
        if stop is not None and len(asked) > stop:
            raise KeyboardInterrupt
        return draw(self, *told)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lora, "NUM_PROMPTS", 1)
        patch.setattr(lora, "draw_samples", draw_fewer)
        patch.setattr(Examples, "draw", draw_some)
        options = f"--checkpoint-every 3 --sample-every 4 {more}"
        return cli.main([*f"{WORDS} {options} --out".split(), out])


def be_one_of_several() -> None:
    """Train together; go on, divided, where one process was; break off half-way."""
    assert train_here("together") == 0
    assert train_here("thrifty", THRIFTY) == 0
    assert train_here("first alone, then divided", "--shard") == 0
    assert train_here("first divided, then alone", "--shard", stop=3) == 130


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(train_here(sys.argv[1], THRIFTY) if len(sys.argv) > 1 else be_one_of_several())


from edudiff.data import captions, drawing, scenes  # noqa: E402
from edudiff.display.encode import to_image  # noqa: E402
from edudiff.models import lora_files  # noqa: E402
from edudiff.training.log import read  # noqa: E402

SHARDED = Path(__file__).resolve().parents[3] / "configs" / "sharded.yaml"
DIVIDED = ["divided", "first alone, then divided"]
NAMES = ["together", "thrifty", *DIVIDED, "first divided, then alone"]


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
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    accelerate = ["-m", "accelerate.commands.launch", "--config_file", str(SHARDED)]
    accelerate += ["--num_processes", "2", __file__, "divided"]
    environment = {**os.environ, "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert train_here("alone") == 0
        assert train_here("first alone, then divided", stop=3) == 130
        for words in (torchrun, accelerate):
            subprocess.run([sys.executable, *words], check=True, env=environment, timeout=600)
        assert train_here("first divided, then alone") == 0
    return folder


def assert_near(found: object, expected: object) -> None:
    """Each tensor within 2 %: Adam makes much of the last digits of slopes that are near zero."""
    assert tree_structure(found) == tree_structure(expected)
    for path, value in tree_flatten_with_path(expected)[0]:
        other = key_get(found, path)
        if isinstance(value, Tensor):
            assert (other - value).norm() <= 0.02 * value.norm(), path
        else:
            assert other == value, path


def curve(out: Path) -> Tensor:
    rows = [row for row in read(out / "log.jsonl") if "quality" not in row]
    return torch.tensor([[row["step"], row["loss"], row["error"]] for row in rows])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_two_processes_take_the_steps_of_one(name, folder):
    alone = curve(folder / "alone")
    assert alone[:, 0].tolist() == [1, 2, 3, 4, 5, 6] and len(alone[:, 1].unique()) == 6
    torch.testing.assert_close(curve(folder / name), alone, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_they_save_the_same_lora(name, folder):
    found, expected = (lora_files.read(folder / each / "model") for each in (name, "alone"))
    assert found.about["base_sha256"] == expected.about["base_sha256"]
    assert max(value.abs().max() for key, value in expected.tensors.items() if "lora_B" in key) > 0
    assert_near(found.tensors, expected.tensors)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_they_save_the_same_checkpoint(name, folder):
    found, expected = (
        torch.load(folder / each / "last.pt", weights_only=True)["parts"]
        for each in (name, "alone")
    )
    for part in ("network", "optimizer"):
        assert_near(found[part], expected[part])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_they_see_the_same_pictures_and_measure_the_same(name, folder):
    for step in (4, 6):
        found, expected = (
            np.asarray(Image.open(folder / each / "samples" / f"step-{step:06}.png")).astype(int)
            for each in (name, "alone")
        )
        assert abs(found - expected).max() <= 2  # of 255 levels
    found, expected = (read(folder / each / "log.jsonl")[-1] for each in (name, "alone"))
    assert found["quality"] == pytest.approx(expected["quality"], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", DIVIDED)
def test_each_process_holds_half_of_a_divided_network(name, folder):
    path = "own-{}-{}.json".format
    whole = json.loads((folder / path("alone", 0)).read_text())
    shares = [
        json.loads((folder / path(name.replace(" ", "-"), rank)).read_text()) for rank in (0, 1)
    ]
    assert sum(shares) == whole
    assert abs(shares[0] - shares[1]) < 0.02 * whole
