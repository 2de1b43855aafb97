import base64
import hashlib
import io
import subprocess
import tarfile

import pytest

import fetch_web_assets
from fetch_web_assets import AssetError

FILES = {"LICENSE": b"free", "dist/a.js": b"1", "dist/b.js": b"2", "README.md": b"words"}


def packed(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def integrity(content):
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


def entry(content, *files):
    return {
        "version": "1.0.0",
        "integrity": integrity(content),
        "for": "site",
        "files": ["LICENSE", *files],
    }


@pytest.fixture
def registry(monkeypatch):
    """npm as it would answer: `registry(content)`; counts how often it was asked."""
    asked = []

    def offer(content):
        def download(package, version, folder):
            asked.append(package)
            tarball = folder / "package.tgz"
            tarball.write_bytes(content)
            return tarball

        monkeypatch.setattr(fetch_web_assets, "download", download)
        return asked

    return offer


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_only_the_wanted_files_arrive(registry, tmp_path):
    content = packed(FILES)
    registry(content)
    assert fetch_web_assets.fetch("@scope/thing", entry(content, "dist/*.js"), tmp_path)
    assert names(tmp_path / "site" / "thing") == [".fetched", "dist/a.js", "dist/b.js"]
    assert (tmp_path / "site" / "thing" / "LICENSE").read_bytes() == b"free"


def test_what_is_there_is_not_fetched_again(registry, tmp_path):
    content = packed(FILES)
    asked = registry(content)
    wanted = entry(content, "dist/a.js")
    assert fetch_web_assets.fetch("thing", wanted, tmp_path)
    assert not fetch_web_assets.fetch("thing", wanted, tmp_path)
    assert asked == ["thing"]


def test_a_changed_wish_is_fetched_anew(registry, tmp_path):
    content = packed(FILES)
    registry(content)
    fetch_web_assets.fetch("thing", entry(content, "dist/a.js"), tmp_path)
    assert fetch_web_assets.fetch("thing", entry(content, "dist/b.js"), tmp_path)
    assert names(tmp_path / "site" / "thing") == [".fetched", "dist/b.js"]


def test_a_damaged_file_is_refused_and_leaves_what_was_there(registry, tmp_path):
    good = packed(FILES)
    registry(good)
    fetch_web_assets.fetch("thing", entry(good, "dist/a.js"), tmp_path)
    registry(good[:-1])
    with pytest.raises(AssetError, match="expected sha512-"):
        fetch_web_assets.fetch("thing", entry(good, "dist/b.js"), tmp_path)
    assert names(tmp_path) == ["site/thing/.fetched", "site/thing/dist/a.js"]


def test_a_missing_member_is_refused_and_leaves_nothing(registry, tmp_path):
    content = packed(FILES)
    registry(content)
    with pytest.raises(AssetError, match="expected dist/c.js, got no such file"):
        fetch_web_assets.fetch("thing", entry(content, "dist/c.js"), tmp_path)
    assert names(tmp_path) == []


def test_a_member_outside_its_package_is_refused(registry, tmp_path):
    content = packed({**FILES, "../../evil.js": b"!"})
    registry(content)
    with pytest.raises(AssetError, match="expected names below the package"):
        fetch_web_assets.fetch("thing", entry(content, "*.js"), tmp_path)
    assert names(tmp_path) == []


def test_a_download_that_fails_says_what_npm_said(monkeypatch, tmp_path):
    def fail(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "no such package")

    monkeypatch.setattr(fetch_web_assets.subprocess, "run", fail)
    monkeypatch.setattr(fetch_web_assets, "npm_command", lambda: ["npm"])
    with pytest.raises(AssetError, match="no such package"):
        fetch_web_assets.download("thing", "1.0.0", tmp_path)


def test_npm_of_this_machine_comes_first(monkeypatch):
    monkeypatch.setattr(fetch_web_assets.shutil, "which", lambda name: f"/bin/{name}")
    assert fetch_web_assets.npm_command() == ["/bin/npm"]


def test_npm_inside_the_wheel_is_found(monkeypatch):
    monkeypatch.setattr(fetch_web_assets.shutil, "which", lambda name: None)
    done = subprocess.run(
        [*fetch_web_assets.npm_command(), "--version"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout.partition(".")[0]) >= 9


def test_no_npm_at_all_is_said(monkeypatch):
    monkeypatch.setattr(fetch_web_assets.shutil, "which", lambda name: None)
    monkeypatch.setattr(fetch_web_assets, "find_spec", lambda name: None)
    with pytest.raises(AssetError, match="expected Node.js"):
        fetch_web_assets.npm_command()
