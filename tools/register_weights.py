"""Put a trained model among the shipped weights, and enter sizes and hashes in the package's table.

python tools/register_weights.py runs/vae tiny-vae    takes the model of a finished training
python tools/register_weights.py runs/sd-vae tiny-sd/vae     takes it as a part of a pipeline
python tools/register_weights.py                      only enters what lies there
"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from edudiff.checkpoints import registry

LARGEST = 30_000_000
"""Bytes of all weights together: everyone who installs the package fetches them."""


def take(run: Path, folder: Path) -> None:
    """Copy from the folder of a finished training: the model, its log and its last pictures.

    The model card in `folder` stays as it is.

    Raises:
        ValueError: if the training has not ended.
    """
    if not (run / "model").is_dir():
        raise ValueError(f"{run}: expected a finished training with a model in it, got none")
    files = {file.relative_to(run / "model").as_posix(): file for file in _files(run / "model")}
    files["training.jsonl"], files["settings.json"] = run / "log.jsonl", run / "settings.json"
    pictures = sorted((run / "samples").glob("step-*.png"))
    if pictures:
        files["samples.png"] = pictures[-1]
    for name, file in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / name)


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
    if len(arguments) not in (0, 2):
        sys.exit(f"register_weights: expected nothing, or a run and a name\n\n{__doc__}")
    try:
        if arguments:
            take(Path(arguments[0]), registry.ROOT / "weights" / arguments[1])
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
