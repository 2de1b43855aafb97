"""Every measure of the book on one set of pictures: what a row of the comparison table is."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPTokenizer

from edudiff import checks
from edudiff.data import captions, drawing, scenes
from edudiff.evaluation import oracle
from edudiff.evaluation.clip_score import Features, clip_score, fit_features
from edudiff.evaluation.diversity import vendi_score
from edudiff.evaluation.frechet import frechet_distance
from edudiff.evaluation.memorised import familiarity
from edudiff.models.clip import CLIP

FIRST_TRUE_SEED = scenes.FIRST_TEST_SEED + 2**22
"""True pictures to compare with are those of scenes from here on; no prompt is about them."""

NUM_TRUE, NUM_TRAINING = 2048, 4096
SIZE = 64


@dataclass(frozen=True)
class Panel:
    """Those who judge, and what they have to know.

    Attributes:
        clip: a CLIP.
        tokenizer: its tokeniser.
        features: what it sees, cut down; see `clip_score.Features`.
        true: features of true pictures, (n, d).
        training: pictures that models were trained on.
        fresh: true pictures that none was trained on.
    """

    clip: CLIP
    tokenizer: CLIPTokenizer
    features: Features
    true: Tensor
    training: Tensor
    fresh: Tensor


def make_panel(
    clip: CLIP,
    tokenizer: CLIPTokenizer,
    num_true: int = NUM_TRUE,
    num_training: int = NUM_TRAINING,
) -> Panel:
    """Draw the true pictures, some of the training pictures, and find the features.

    Args:
        clip: a CLIP for pictures of 64 × 64.
        tokenizer: its tokeniser.
        num_true: true pictures that the features and the Fréchet distance rest on.
        num_training: training pictures, those of the first scenes, among which copies are
            looked for.
    """
    checks.whole_at_least(1, num_training=num_training)
    true = drawing.draw(scenes.scenes(range(FIRST_TRUE_SEED, FIRST_TRUE_SEED + num_true)), SIZE)
    training = drawing.draw(scenes.scenes(range(num_training)), SIZE)
    features = fit_features(clip, true)
    return Panel(clip, tokenizer, features, features(true), training, true[:512])


def by_number(prompts: Sequence[str], verdicts: Sequence[oracle.Verdict]) -> dict[str, list[bool]]:
    """For each picture whether everything is right, apart by how much its caption asks for.

    Returns:
        "one": of captions with one object; "two": of those with two and a relation.
    """
    claims = [captions.read(prompt) for prompt in prompts]
    pairs = list(zip(verdicts, claims, strict=True))
    return {
        "one": [v.all for v, c in pairs if len(c.objects) == 1],
        "two": [v.all for v, c in pairs if c.relation],
    }


def shares(
    prompts: Sequence[str], verdicts: Sequence[oracle.Verdict]
) -> dict[str, tuple[int, int]]:
    """Of how many pictures something holds, and how many captions say it.

    Returns:
        "one" and "two": everything, see `by_number`; "colour", "shape", "binding" and "relation":
        that alone. (right, asked) for each.
    """
    groups = by_number(prompts, verdicts)
    for name in ("colour", "shape", "binding", "relation"):
        groups[name] = [bool(v[name]) for v in verdicts if v[name] is not None]
    return {name: (sum(right), len(right)) for name, right in groups.items()}


def measures(
    panel: Panel, pictures: Float[Tensor, " b 3 s s"], prompts: Sequence[str]
) -> dict[str, object]:
    """What all of them say of one picture for each prompt.

    Returns:
        those of `shares`; "right": for each picture 1 if the oracle finds all that was asked,
        else 0; "clip": for each picture its CLIP score; "clip_score": their mean; "frechet": the
        distance of the pictures' features from those of true ones; "familiarity": see there.
    """
    verdicts = oracle.judge(pictures, prompts)
    scores = clip_score(panel.clip, panel.tokenizer, pictures, prompts).tolist()
    return {
        **shares(prompts, verdicts),
        "right": [int(verdict.all) for verdict in verdicts],
        "clip": [round(score, 3) for score in scores],
        "clip_score": fmean(scores),
        "frechet": frechet_distance(panel.features(pictures), panel.true),
        "familiarity": familiarity(pictures, panel.fresh, panel.training),
    }


def diversity(panel: Panel, groups: Sequence[Float[Tensor, " n 3 s s"]]) -> float:
    """How many different pictures a model draws for one prompt: the mean Vendi score.

    Args:
        panel: who looks.
        groups: for each of some prompts several pictures.
    """
    checks.whole_at_least(1, groups=len(groups))
    return fmean(vendi_score(panel.features(group)) for group in groups)


@torch.no_grad()
def true_group(shape: str, colour: str, count: int) -> Float[Tensor, " n 3 s s"]:
    """True pictures of one object, as different as the world is; for `diversity` of the truth."""
    found: list[scenes.Scene] = []
    seed = FIRST_TRUE_SEED
    while len(found) < count:
        scene = scenes.scene(seed, split="all")
        if [(thing.shape, thing.colour) for thing in scene.objects] == [(shape, colour)]:
            found.append(scene)
        seed += 1
    return drawing.draw(found, SIZE)
