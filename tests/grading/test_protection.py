import pytest

from edudiff.grading import attempt, confine, protection
from edudiff.grading.confine import Confinement
from edudiff.grading.limits import Limits
from edudiff.grading.protection import Finding, report


def test_what_is_found_is_what_holds(confinement, tmp_path):
    (tmp_path / "secret").write_text("x")
    found = protection.examine(confinement, [tmp_path], Limits())
    safe = {finding.text: finding.safe for finding in found}
    if confinement.namespaces:
        assert safe["no network"] and safe[f"out of sight: {tmp_path}"]
        assert [f for f in found if not f.safe and "user" not in f.text] == []


def test_without_means_nothing_is_promised(tmp_path):
    (tmp_path / "secret").write_text("x")
    found = protection.examine(Confinement(), [tmp_path], Limits())
    assert f"they can read {tmp_path}" in [each.text for each in found if not each.safe]


def test_a_system_on_which_nothing_starts_is_told(monkeypatch):
    monkeypatch.setattr(confine, "python", lambda module: ["false"])
    monkeypatch.setattr(attempt, "START", 5.0)
    with pytest.raises(OSError, match="grade: expected an answer from a process of ours"):
        protection.examine(Confinement(), [], Limits())


def test_what_is_not_protected_stands_last():
    text = report([Finding("a", False), Finding("b", True)])
    assert text == "protected: b\nNOT PROTECTED: a"
