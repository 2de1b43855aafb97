import re
from pathlib import Path

import pytest

import make_venv

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("version", [(3, 8), (3, 10)])
def test_an_old_python_is_told_what_is_needed(version):
    assert "Python 3.11 or newer is needed" in make_venv.complaint(version, [])


def test_a_python_without_venv_is_told_what_to_install():
    assert "apt install python3.12-venv" in make_venv.complaint((3, 12), ["ensurepip"])


@pytest.mark.parametrize("version", [(3, 11), (3, 14), (4, 0)])
def test_a_newer_python_will_do(version):
    assert make_venv.complaint(version, []) is None


@pytest.mark.parametrize(
    ("bounds", "version", "answer"),
    [
        (">=2.4", "2.13.0+cpu", True),
        (">=2.4", "2.4.0", True),
        (">=2.4", "2.3.1", False),
        (">=2.10", "2.9.0", False),
        (">=2.4,<3", "3.0.0", False),
        (">=2.4, !=2.5", "2.5.0", False),
        (">=2.4", "2.14.0a0+git1234", True),
        ("", "1.0", True),
    ],
)
def test_bounds_admit_versions_as_pip_would(bounds, version, answer):
    assert make_venv.admits(bounds, version) is answer


def test_the_bounds_of_pytorch_are_found_in_our_own_pyproject():
    bounds = make_venv.torch_bounds((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = re.search(r"(?m)^torch==(.+)$", (ROOT / "requirements.txt").read_text())[1]
    assert bounds.startswith(">=") and make_venv.admits(bounds, pinned)


def test_a_pyproject_without_pytorch_is_refused():
    with pytest.raises(ValueError, match="expected a dependency"):
        make_venv.torch_bounds('dependencies = ["torchvision>=1"]')


def test_leaving_pytorch_out_leaves_the_rest_alone():
    text = "numpy==2.4.6\ntorch==2.13.0\ntorchvision==0.28.0\n"
    assert make_venv.without_torch(text) == "numpy==2.4.6\ntorchvision==0.28.0\n"


@pytest.fixture
def project(monkeypatch, tmp_path):
    """A project in an empty folder; returns the list of what was asked of pip."""
    (tmp_path / "requirements.txt").write_text("numpy==2.4.6\ntorch==2.13.0\n")
    (tmp_path / "pyproject.toml").write_text('dependencies = ["torch>=2.4"]\n')
    (tmp_path / ".venv").mkdir()
    asked = []
    monkeypatch.setattr(make_venv, "ROOT", tmp_path)
    monkeypatch.setattr(make_venv, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(make_venv, "pip", lambda *words: asked.append(words))
    monkeypatch.setattr(make_venv, "create", lambda *, share: share)
    monkeypatch.setattr(make_venv, "torch_of", lambda python: None)
    monkeypatch.setattr(make_venv.sys, "argv", ["make_venv.py"])
    return asked


def installed(folder):
    return (folder / ".venv" / "requirements.txt").read_text()


def test_a_finished_environment_is_left_alone(project, tmp_path):
    make_venv.main()
    first = len(project)
    make_venv.main()
    assert first > 0 and len(project) == first


def test_changed_requirements_are_installed(project, tmp_path):
    make_venv.main()
    first = len(project)
    (tmp_path / "requirements.txt").write_text("numpy==2.5.0\ntorch==2.13.0\n")
    make_venv.main()
    assert len(project) == 2 * first and "2.5.0" in installed(tmp_path)


def test_an_interrupted_installation_is_taken_up_again(project, tmp_path, monkeypatch):
    def interrupted(*words):
        raise KeyboardInterrupt

    monkeypatch.setattr(make_venv, "pip", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_venv.main()
    monkeypatch.setattr(make_venv, "pip", lambda *words: project.append(words))
    make_venv.main()
    assert project


def test_a_suitable_pytorch_of_the_machine_is_kept(project, tmp_path, monkeypatch):
    monkeypatch.setattr(make_venv, "torch_of", lambda python: "2.11.0+cu130")
    make_venv.main()
    assert installed(tmp_path) == "numpy==2.4.6\n"


def test_an_unsuitable_pytorch_of_the_machine_is_not_kept(project, tmp_path, monkeypatch):
    monkeypatch.setattr(make_venv, "torch_of", lambda python: "2.1.0")
    make_venv.main()
    assert "torch==2.13.0" in installed(tmp_path)


def test_the_small_pytorch_comes_from_its_own_index_and_nothing_else_does(project, monkeypatch):
    monkeypatch.setattr(make_venv.sys, "argv", ["make_venv.py", "cpu"])
    make_venv.main()
    assert [words for words in project if "--index-url" in words] == [
        ("install", "--no-deps", "--index-url", make_venv.CPU_BUILDS, "torch==2.13.0")
    ]
