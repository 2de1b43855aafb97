"""Write sizes and hashes of the shipped weights into the package's table, after a training.

cp -r runs/vae/model src/edudiff/checkpoints/weights/tiny-vae
python tools/register_weights.py
"""

import json
import sys
from pathlib import Path

from edudiff.checkpoints import registry

LARGEST = 30_000_000
"""Bytes of all weights together: everyone who installs the package fetches them."""


def register(root: Path) -> registry.Table:
    """Describe every folder in root/weights in root/registry.json; the new table comes out.

    Raises:
        ValueError: if a folder holds no weights, or all together are too large.
    """
    folders = sorted(folder for folder in (root / "weights").glob("*") if folder.is_dir())
    for folder in folders:
        if not any(folder.rglob("*.safetensors")):
            raise ValueError(f"{folder}: expected a .safetensors file in it, got none")
    size = sum(file.stat().st_size for file in (root / "weights").rglob("*") if file.is_file())
    if size > LARGEST:
        raise ValueError(f"{root / 'weights'}: expected at most {LARGEST} bytes, got {size}")
    table = {folder.name: registry.fingerprints(folder) for folder in folders}
    text = json.dumps(table, indent=2) + "\n"
    (root / "registry.json").write_text(text, encoding="utf-8", newline="\n")
    return table


def main() -> None:
    """Register, and say what changed."""
    before = registry.read_table(registry.ROOT)
    try:
        after = register(registry.ROOT)
    except ValueError as error:
        sys.exit(f"register_weights: {error}")
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            print(f"{name}: gone")
        else:
            print(f"{name}: {'as before' if before.get(name) == after[name] else 'new'}")


if __name__ == "__main__":
    main()
