import hashlib
import tomllib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import register_weights
from edudiff.checkpoints import registry

PROJECT = Path(__file__).resolve().parents[2]
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A table with one entry, and its weights."""
    folder = tmp_path / "weights" / "tiny-vae"
    folder.mkdir(parents=True)
    save_file({"weight": torch.randn(50)}, folder / WEIGHTS)
    (folder / "config.json").write_text("{}")
    (folder / "README.md").write_text("# Tiny VAE")
    register_weights.register(tmp_path)
    return tmp_path


def test_a_name_leads_to_its_folder(root):
    assert registry.path("tiny-vae", root=root) == root / "weights" / "tiny-vae"


def test_a_fingerprint_is_the_size_and_the_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert registry.fingerprint(tmp_path / "a") == {
        "size": 3,
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",  # FIPS 180-2
    }


def test_a_digest_tells_one_set_of_weights_from_another(root):
    before = registry.digest("tiny-vae", root=root)
    assert len(before) == 16 and registry.digest("tiny-vae", "tiny-vae", root=root) != before
    save_file({"weight": torch.randn(50)}, root / "weights" / "tiny-vae" / WEIGHTS)
    register_weights.register(root)
    assert registry.digest("tiny-vae", root=root) != before
    with pytest.raises(ValueError, match="tiny-cat"):
        registry.digest("tiny-cat", root=root)


def test_what_loaders_read_is_in_the_table_also_in_folders_below(root):
    folder = root / "weights" / "tiny-vae"
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "merges.txt").write_text("a b")
    assert set(registry.fingerprints(folder)) == {"config.json", WEIGHTS, "tokenizer/merges.txt"}


def test_the_model_card_may_be_edited(root):
    (root / "weights" / "tiny-vae" / "README.md").write_text("# Better words")
    registry.path("tiny-vae", root=root)


def test_an_unknown_name_is_answered_with_the_nearest(root, refusal):
    with refusal(r"unknown weights: expected one of .*, got 'tiny-vea'. Did you mean 'tiny-vae'\?"):
        registry.path("tiny-vea", root=root)


def test_without_any_weights_every_name_is_unknown(tmp_path, refusal):
    (tmp_path / "registry.json").write_text("{}")
    with refusal("unknown weights: expected one of \\[\\], got 'tiny-vae'"):
        registry.path("tiny-vae", root=tmp_path)


def test_a_file_that_was_cut_short_is_refused_with_its_sizes(root, refusal):
    file = root / "weights" / "tiny-vae" / WEIGHTS
    whole = file.read_bytes()
    file.write_bytes(whole[:-7])
    with refusal(f"{WEIGHTS}: expected {len(whole)} bytes, got {len(whole) - 7}. Reinstall"):
        registry.path("tiny-vae", root=root)


def test_a_file_with_one_other_bit_is_refused_with_its_hashes(root, refusal):
    file = root / "weights" / "tiny-vae" / WEIGHTS
    whole = file.read_bytes()
    other = whole[:-1] + bytes([whole[-1] ^ 1])
    file.write_bytes(other)
    expected, got = (hashlib.sha256(content).hexdigest() for content in (whole, other))
    with refusal(f"{WEIGHTS}: expected SHA-256 {expected}, got {got}. Reinstall"):
        registry.path("tiny-vae", root=root)


def test_a_changed_configuration_is_refused(root, refusal):
    (root / "weights" / "tiny-vae" / "config.json").write_text("[]")
    with refusal("config.json: expected SHA-256"):
        registry.path("tiny-vae", root=root)


def test_a_missing_file_is_refused_with_the_cure(root, refusal):
    file = root / "weights" / "tiny-vae" / WEIGHTS
    file.unlink()
    cure = f"Reinstall edudiff or, in a clone of it, run: git checkout -- {file}"
    with refusal(f"{WEIGHTS}: expected a file, got none. {cure}"):
        registry.path("tiny-vae", root=root)


def test_a_damaged_file_is_refused_every_time(root, refusal):
    (root / "weights" / "tiny-vae" / "config.json").write_text("[]")
    for _ in range(2):
        with refusal("config.json: expected SHA-256"):
            registry.path("tiny-vae", root=root)


def test_files_are_read_once_per_process(root, monkeypatch):
    read, fingerprint = [], registry.fingerprint

    def remember(file: Path) -> registry.Fingerprint:
        read.append(file.name)
        return fingerprint(file)

    monkeypatch.setattr(registry, "fingerprint", remember)
    for _ in range(3):
        registry.path("tiny-vae", root=root)
    assert sorted(read) == ["config.json", WEIGHTS]


SHIPPED = [file for file in (registry.ROOT / "weights").rglob("*") if file.is_file()]


def test_the_shipped_weights_are_those_of_the_table():
    """After a training: python tools/register_weights.py."""
    folders = sorted({f.relative_to(registry.ROOT / "weights").parts[0] for f in SHIPPED})
    table = {name: registry.fingerprints(registry.ROOT / "weights" / name) for name in folders}
    assert registry.read_table() == table


@pytest.mark.parametrize("name", sorted(registry.read_table()))
def test_shipped_weights_are_whole_and_have_a_model_card(name):
    assert (registry.path(name) / "README.md").is_file()


def test_all_weights_together_are_small_enough_to_come_with_the_package():
    assert sum(file.stat().st_size for file in SHIPPED) <= 90_000_000


def packaged(package: str, folder: Path) -> set[Path]:
    """The files below a package's folder that would be installed with it."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    globs = settings["tool"]["setuptools"]["package-data"][package]
    return {path for glob in globs for path in folder.glob(glob) if path.is_file()}


def test_an_installation_gets_the_table_and_every_file_of_the_weights(root):
    assert packaged("edudiff.checkpoints", registry.ROOT) == {
        registry.ROOT / "registry.json",
        *SHIPPED,
    }
    below = root / "weights" / "tiny-vae" / "deep" / "er.json"
    below.parent.mkdir()
    below.touch()
    everything = {path for path in root.rglob("*") if path.is_file()}
    assert packaged("edudiff.checkpoints", root) == everything


def test_an_installation_tells_type_checkers_that_it_is_typed():
    assert packaged("edudiff", registry.ROOT.parent) == {registry.ROOT.parent / "py.typed"}
