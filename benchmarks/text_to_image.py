"""How often the small Stable Diffusion draws all that a prompt says, as the oracle sees it.

    python benchmarks/text_to_image.py                         score on 500 test prompts
    python benchmarks/text_to_image.py --tune                  guidance scales, on other prompts
    python benchmarks/text_to_image.py --grid grid.png         pictures of the first 16 test prompts

Prints shares with their 95 % Wilson intervals, and the time one picture takes.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from scipy.stats import binomtest

from edudiff.checkpoints import registry
from edudiff.data import captions
from edudiff.display.encode import to_image
from edudiff.evaluation import oracle
from edudiff.evaluation.oracle import STATEMENTS, Verdict
from edudiff.pipelines.text_to_image import TextToImage, generate, load
from edudiff.training.recipes import tiny_sd

SIDE, TEXT_HEIGHT, COLUMNS = 128, 44, 4


def report(name: str, right: Sequence[bool | None]) -> None:
    """One line: a share and its interval; what no prompt said anything of is left out."""
    said = [holds for holds in right if holds is not None]
    low, high = binomtest(sum(said), len(said)).proportion_ci(method="wilson")
    print(f"{name:28} {sum(said) / len(said):6.1%} of {len(said):4}  [{low:.1%}, {high:.1%}]")


def score(pipe: TextToImage, count: int, guidance_scale: float, steps: int) -> None:
    """Everything the oracle says, on prompts that training never saw."""
    options = {"guidance_scale": guidance_scale, "num_inference_steps": steps}
    print(f"{steps} DPM-Solver++ steps, guidance {guidance_scale:g}")
    for split in ("train", "held_out"):
        prompts = tiny_sd.test_captions(count, split=split)
        verdicts = tiny_sd.judge(pipe, prompts, **options)
        claims = [captions.read(prompt) for prompt in prompts]

        def all_of(wanted: Callable, verdicts: list[Verdict] = verdicts, claims=claims) -> list:
            return [v.all for v, c in zip(verdicts, claims, strict=True) if wanted(c)]

        print("combinations seen in training" if split == "train" else "combinations held out")
        report("  one object, all right", all_of(lambda claim: len(claim.objects) == 1))
        report("  two and a relation, all right", all_of(lambda claim: claim.relation))
        for statement in STATEMENTS:
            report(f"  {statement}", [verdict[statement] for verdict in verdicts])


def tune(pipe: TextToImage, count: int, steps: int) -> None:
    """Guidance scales side by side, on prompts of their own."""
    prompts = tiny_sd.test_captions(count, first_seed=tiny_sd.FIRST_TUNING_SEED)
    for scale in (1, 1.5, 2, 3, 4, 5, 7):
        verdicts = tiny_sd.judge(pipe, prompts, guidance_scale=scale, num_inference_steps=steps)
        report(f"guidance {scale:g}", [verdict.all for verdict in verdicts])


def timing(pipe: TextToImage, steps: int) -> None:
    """Seconds for one picture, the first one left out."""
    seconds = []
    for seed in range(6):
        start = time.perf_counter()
        generator = torch.Generator().manual_seed(seed)
        generate(pipe, ["a red star"], generator=generator, num_inference_steps=steps)
        seconds.append(time.perf_counter() - start)
    print(f"one picture: {sorted(seconds[1:])[2]:.2f} s, median of 5")


def grid(pipe: TextToImage, file: Path, guidance_scale: float, steps: int) -> None:
    """The first 16 test prompts, four in a row, each above its picture."""
    prompts = tiny_sd.test_captions(16)
    pictures = generate(
        pipe,
        prompts,
        generator=torch.Generator().manual_seed(0),
        guidance_scale=guidance_scale,
        num_inference_steps=steps,
    )
    height = SIDE + TEXT_HEIGHT
    sheet = Image.new("RGB", (COLUMNS * (SIDE + 8), 4 * height), "white")
    pen = ImageDraw.Draw(sheet)
    for i, (prompt, picture) in enumerate(zip(prompts, pictures, strict=True)):
        x, y = i % COLUMNS * (SIDE + 8) + 4, i // COLUMNS * height
        pen.multiline_text((x, y + 2), _wrapped(prompt, pen), fill="black", spacing=1, font_size=10)
        shown = to_image(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        sheet.paste(shown, (x, y + TEXT_HEIGHT - 2))
    sheet.save(file)
    print(f"{file}: {len(prompts)} prompts, 'all' holds for", end=" ")
    print(sum(verdict.all for verdict in oracle.judge(pictures, prompts)))


def _wrapped(text: str, pen: ImageDraw.ImageDraw) -> str:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if pen.textlength(longer, font_size=10) <= SIDE:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="a diffusers folder (the shipped one)")
    parser.add_argument("--count", type=int, default=500, help="prompts")
    parser.add_argument("--steps", type=int, default=tiny_sd.NUM_STEPS)
    parser.add_argument("--guidance", type=float, default=tiny_sd.GUIDANCE_SCALE)
    parser.add_argument("--tune", action="store_true", help="compare guidance scales")
    parser.add_argument("--grid", type=Path, help="write pictures to this file")
    options = parser.parse_args()
    pipe = load(options.weights or registry.path("tiny-sd"))
    if options.tune:
        tune(pipe, options.count, options.steps)
    elif options.grid:
        grid(pipe, options.grid, options.guidance, options.steps)
    else:
        score(pipe, options.count, options.guidance, options.steps)
        timing(pipe, options.steps)


if __name__ == "__main__":
    main()
