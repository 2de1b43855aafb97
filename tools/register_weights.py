"""Put a trained model among the shipped weights, and enter sizes and hashes in the package's table.

python tools/register_weights.py runs/vae tiny-vae    takes the model of a finished training
python tools/register_weights.py runs/sd-vae tiny-sd/vae     takes it as a part of a pipeline
python tools/register_weights.py runs/sd runs/sd-more tiny-sd     takes one that others went before
python tools/register_weights.py                      only enters what lies there
"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from edudiff.checkpoints import registry

LARGEST = 90_000_000
"""Bytes of all weights together: everyone who installs the package fetches them."""


def take(runs: Sequence[Path], folder: Path) -> None:
    """Copy from the folders of finished trainings: the model, its log and its last pictures.

    The model card in `folder` stays as it is.

    Args:
        runs: the training that made the model, after those whose weights it went on from.
        folder: where to.

    Raises:
        ValueError: if a training has not ended.
    """
    for run in runs:
        if not (run / "model").is_dir():
            raise ValueError(f"{run}: expected a finished training with a model in it, got none")
    last = runs[-1]
    files = {file.relative_to(last / "model").as_posix(): file for file in _files(last / "model")}
    files["settings.json"] = last / "settings.json"
    pictures = sorted((last / "samples").glob("step-*.png"))
    if pictures:
        files["samples.png"] = pictures[-1]
    for name, file in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / name)
    (folder / "training.jsonl").write_text(joined_log(runs), encoding="utf-8", newline="\n")


def joined_log(runs: Sequence[Path]) -> str:
    """The logs one after the other, steps and seconds counted on.

    Each ends with its line of quality, so that the whole tells what every training has brought.
    """
    lines: list[dict] = []
    for run in runs:
        timed = [line for line in lines if "seconds" in line]
        before = timed[-1] if timed else {"step": 0, "seconds": 0}
        for text in (run / "log.jsonl").read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            counted = {key: line[key] + before[key] for key in ("step", "seconds") if key in line}
            lines.append(line | counted)
    return "".join(json.dumps(line) + "\n" for line in lines)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def register(root: Path) -> registry.Table:
    """Describe every folder in root/weights in root/registry.json; the new table comes out.

    Raises:
        ValueError: if a folder holds no weights, or all together are too large.
    """
    folders = sorted(folder for folder in (root / "weights").glob("*") if folder.is_dir())
    for folder in folders:
        if not any(folder.rglob("*.safetensors")):
            raise ValueError(f"{folder}: expected a .safetensors file in it, got none")
    size = sum(file.stat().st_size for file in _files(root / "weights"))
    if size > LARGEST:
        raise ValueError(f"{root / 'weights'}: expected at most {LARGEST} bytes, got {size}")
    table = {folder.name: registry.fingerprints(folder) for folder in folders}
    text = json.dumps(table, indent=2) + "\n"
    (root / "registry.json").write_text(text, encoding="utf-8", newline="\n")
    return table


def main(arguments: Sequence[str] = ()) -> None:
    """Take a model if one is named, register, and say what changed."""
    before = registry.read_table(registry.ROOT)
    if len(arguments) == 1:
        sys.exit(f"register_weights: expected nothing, or runs and a name\n\n{__doc__}")
    try:
        if arguments:
            *runs, name = arguments
            take([Path(run) for run in runs], registry.ROOT / "weights" / name)
        after = register(registry.ROOT)
    except ValueError as error:
        sys.exit(f"register_weights: {error}")
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            print(f"{name}: gone")
        else:
            print(f"{name}: {'as before' if before.get(name) == after[name] else 'new'}")


if __name__ == "__main__":
    main(sys.argv[1:])
