"""What is and is not protected on this machine: tried out, not promised."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edudiff.grading import stub
from edudiff.grading.attempt import START
from edudiff.grading.confine import Confinement
from edudiff.grading.limits import Limits
from edudiff.grading.session import Stopped, open_session


@dataclass(frozen=True)
class Finding:
    """One sentence about a danger.

    Attributes:
        text: what holds here.
        safe: whether the danger is shut out.
    """

    text: str
    safe: bool


def examine(confinement: Confinement, secret: Sequence[Path], limits: Limits) -> list[Finding]:
    """Start a process as submissions are started, and let it try.

    Args:
        confinement: how they are started.
        secret: folders that they should not be able to read.
        limits: what they may use.

    Raises:
        OSError: if not even this works.
    """
    answers = next(path for path in sorted(stub.FOLDER.glob("*.py")) if path.stem == "catalogue")
    paths = [str(path.resolve()) for path in (*secret, answers)]
    order = {"limits": asdict(limits), "alone": confinement.alone, "paths": paths}
    try:
        with open_session(confinement, "edudiff.grading.student", limits.memory) as session:
            found = session.ask(order, START)
    except Stopped as stopped:
        raise OSError(f"grade: expected an answer from a process of ours. {stopped}") from None
    sees = found["sees"]
    user = f"user {found['user']}"
    return [
        Finding(f"a user of their own ({user})", True)
        if confinement.own_user
        else Finding("they run with your own user's rights on files", False),
        Finding("no network", True)
        if not found["network"]
        else Finding("the network is blocked in Python only", False),
        Finding("processes of their own, all ended afterwards", True)
        if confinement.alone
        else Finding("processes that break away may go on", False),
        *(
            Finding(f"they can read {path}", False)
            if path in sees
            else Finding(f"out of sight: {path}", True)
            for path in paths
        ),
    ]


def report(findings: Sequence[Finding]) -> str:
    """The findings as lines, what is not protected last."""
    ordered = sorted(findings, key=lambda finding: not finding.safe)
    return "\n".join(
        f"{'protected' if each.safe else 'NOT PROTECTED'}: {each.text}" for each in ordered
    )
