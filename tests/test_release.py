"""What is written in more than one place says the same everywhere."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import edudiff

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]


def test_the_release_tag_is_the_package_s_version():
    assert REPOSITORY["branch"] == f"v{edudiff.__version__}"


def test_the_package_and_its_metadata_have_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert project["version"] == citation["version"] == edudiff.__version__


@pytest.mark.parametrize("name", ["README.md", "CITATION.cff"])
def test_addresses_on_github_are_the_configured_repository(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    found = set(re.findall(r"https://github\.com/[\w-]+/[\w-]+", text))
    assert found == {REPOSITORY["url"]}


def test_the_readme_opens_every_chapter_in_colab_at_the_release_tag():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    where = REPOSITORY["url"].removeprefix("https://github.com/")
    base = (
        f"https://colab.research.google.com/github/{where}/blob/{REPOSITORY['branch']}/notebooks/"
    )
    linked = {link.removeprefix(base) for link in re.findall(r"\((https://colab[^)]+)\)", readme)}
    assert linked == {f"{path.stem}.ipynb" for path in (ROOT / "book").glob("[0-9]*.md")}
