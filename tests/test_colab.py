"""Installing edudiff in Colab moves nothing that Colab already has."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RANGES = {
    canonicalize_name(requirement.name): requirement.specifier
    for requirement in map(Requirement, PROJECT["dependencies"])
}
IN_COLAB = {
    "einops",
    "huggingface-hub",
    "peft",
    "pillow",
    "safetensors",
    "scikit-learn",
    "scipy",
    "tqdm",
}
"""There too, at a version that is not frozen here."""

ADDED = {"jaxtyping"}
"""Small, pure Python, and the only ones that an installation in Colab may bring."""

UPPER_BOUNDS: dict[str, str] = {}
"""package → why no newer version will do."""


def pinned(path: Path) -> dict[str, Version]:
    """The lines `name==version` of a requirements file."""
    lines = re.findall(r"^([\w.-]+)(?:\[.*\])?==([^\s;]+)", path.read_text(), re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in lines}


FROZEN = pinned(ROOT / "tests" / "colab-frozen.txt")


@pytest.mark.parametrize("name", sorted(FROZEN.keys() & RANGES.keys()))
def test_a_range_admits_what_colab_has(name):
    assert FROZEN[name] in RANGES[name]


def test_the_frozen_set_covers_what_would_be_costly_to_move():
    assert RANGES.keys() & FROZEN.keys() == FROZEN.keys() - {"python", "ipython"}


def test_colabs_python_is_supported():
    assert FROZEN["python"] in SpecifierSet(PROJECT["requires-python"])


@pytest.mark.parametrize("name", sorted(RANGES.keys() - FROZEN.keys()))
def test_a_dependency_is_in_colab_or_a_named_small_addition(name):
    assert name in IN_COLAB | ADDED


@pytest.mark.parametrize("name", sorted(RANGES))
def test_a_range_has_a_lower_bound_and_no_other_unless_it_is_justified(name):
    operators = {specifier.operator for specifier in RANGES[name]}
    assert operators == {">="} or (">=" in operators and name in UPPER_BOUNDS)


@pytest.mark.parametrize("name", sorted(RANGES))
def test_the_book_was_built_with_a_version_inside_the_range(name):
    assert pinned(ROOT / "requirements.txt")[name] in RANGES[name]
