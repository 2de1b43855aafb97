import pytest

from edudiff.evaluation.fact_check import Disagreement, FactCheck


def check() -> FactCheck:
    return FactCheck({"right": [3, 1], "wrong": [2]})


def test_verdicts_stand_in_the_order_of_the_claims():
    assert list(check().verdicts.items()) == [(1, "right"), (2, "wrong"), (3, "right")]


def test_a_verdict_that_agrees_is_printed_with_its_numbers(capsys):
    page = check()
    page.decide(2, "wrong", "64 × 64")
    assert capsys.readouterr().out == " 2  wrong: 64 × 64\n"
    assert page.found == {2: "wrong"}


def test_a_verdict_that_disagrees_stops_the_page():
    page = check()
    with pytest.raises(Disagreement, match="claim 2: the page prints wrong, found right"):
        page.decide(2, "right", "8 × 8")
    assert page.found == {}


def test_the_summary_counts_what_is_printed_and_what_was_found():
    page = check()
    page.decide(1, "right", "1 = 1")
    assert page.summary().splitlines() == [
        "right                 2, by cells  1",
        "imprecise             0, by cells  0",
        "wrong                 1, by cells  0",
        "not checkable here    0, by cells  0",
        "together              3, by cells  1",
    ]


def test_an_unknown_verdict_is_refused(refusal):
    with refusal("unknown verdict.*Did you mean 'imprecise'"):
        FactCheck({"inprecise": [1]})


def test_a_claim_with_two_verdicts_is_refused(refusal):
    with refusal(r"printed: expected one verdict for each claim, got two for \[1\]"):
        FactCheck({"right": [1, 2], "wrong": [1]})


def test_a_claim_that_the_page_does_not_have_is_refused(refusal):
    with refusal("number: expected one of the page's claims, got 4"):
        check().decide(4, "right", "")


def test_a_claim_is_decided_once(refusal):
    page = check()
    page.decide(1, "right", "")
    with refusal("number: expected a claim that is still open, got 1"):
        page.decide(1, "right", "")
