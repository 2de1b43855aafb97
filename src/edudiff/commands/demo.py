"""`edudiff demo`: a page in the browser to try the models on, drawn with Gradio, which is optional.

What the page does is in `draw`, which knows nothing of pages; Gradio only shows it.
"""

import argparse
import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edudiff import checks
from edudiff.commands import painters
from edudiff.commands.generate import enlarge
from edudiff.commands.numbers import whole_number

if TYPE_CHECKING:
    from PIL import Image

DESCRIPTION = """\
Open a page in the browser with a field for the prompt, the settings and the pictures, at every
resolution that the model draws. It is served by this machine to itself alone, and needs Gradio:

  pip install gradio"""

SHOWN = 256
"""Pixels a side of what the page shows: smaller pictures are enlarged, every pixel as a square."""

Drawn = list[tuple["Image.Image", str]]
"""Pictures, and of each its own size in words."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's words."""
    painters.add_arguments(parser, "matryoshka", "what is chosen when the page opens")
    parser.add_argument(
        "--port", type=whole_number, default=7860, metavar="N", help="where to serve it (7860)"
    )
    parser.add_argument(
        "--share",
        action="store_true",
        help="ask Gradio's servers for a public address too, as in Colab: whoever has it can draw",
    )


def run(options: argparse.Namespace) -> None:
    """Serve the page until it is interrupted.

    Raises:
        ValueError: if Gradio is not installed, saying how it is.
        OSError: if the port is taken.
    """
    page = make_page(options.model, options.size)
    page.launch(server_name="127.0.0.1", server_port=options.port, share=options.share)


def draw(
    model: str,
    prompt: str,
    steps: int,
    guidance: int | float,
    seed: int,
    *,
    size: str = "auto",
    after_step: Callable[[int], object] = lambda done: None,
) -> Drawn:
    """From what the page asks to what it shows: a picture at every resolution, high to low.

    Args:
        model: one of `painters.PAINTERS`; it is loaded once, the first time.
        prompt: what to draw.
        steps: how many, at least 1.
        guidance: how far to follow the prompt; 1 = off.
        seed: decides the noise.
        size: which weights, as `locate` knows them.
        after_step: told after every step how many are done.

    Raises:
        ValueError: for an unknown model, a prompt without words or too long, or numbers that
            cannot be.
        OSError: if weights cannot be had.
    """
    import torch

    from edudiff.display.encode import to_image

    checks.choose("model", model, painters.PAINTERS)
    if not prompt.strip():
        raise ValueError(f"prompt: expected some words, got {prompt!r}")
    checks.whole_at_least(1, steps=steps)
    checks.whole_at_least(0, seed=seed)
    given = {"num_inference_steps": steps, "guidance_scale": float(guidance)}
    done = iter(range(1, steps + 1))
    levels = painters.draw(
        model,
        loaded(model, size),
        [prompt],
        painters.complete(model, given),
        generator=torch.Generator().manual_seed(seed),
        after_step=lambda: after_step(next(done)),
    )
    shown: Drawn = []
    for (picture,) in levels:
        height, width = picture.shape[1:]
        larger = enlarge(picture, max(1, SHOWN // max(height, width)))
        shown.append((to_image(larger), f"{width} × {height} pixels"))
    return shown


@functools.cache
def loaded(model: str, size: str) -> Any:
    """The model's pipeline, read once.

    Raises:
        ValueError: what `locate` and the loader refuse.
        OSError: if weights cannot be had.
    """
    from edudiff.checkpoints import locate

    folder: Path = locate(model, size)
    return painters.load(model, folder)


def make_page(model: str, size: str) -> Any:
    """The page, as a `gradio.Blocks`: fields on the left, pictures on the right.

    Args:
        model: what is chosen when it opens.
        size: which weights, as `locate` knows them.

    Raises:
        ValueError: if Gradio is not installed, saying how it is.
    """
    gr = need_gradio()
    scale = painters.PAINTERS[model].takes["guidance_scale"]
    with gr.Blocks(title="edudiff", analytics_enabled=False) as page:
        gr.Markdown("# edudiff\nA prompt, and what the models of the book draw of it.")
        with gr.Row():
            with gr.Column():
                fields = [
                    gr.Dropdown(list(painters.PAINTERS), value=model, label="Model"),
                    gr.Textbox("a red circle left of a blue square", label="Prompt"),
                    gr.Slider(1, 100, value=20, step=1, label="Steps"),
                    gr.Slider(0, 10, value=scale, step=0.5, label="Guidance (1: off)"),
                    gr.Number(0, precision=0, minimum=0, label="Seed"),
                ]
                button = gr.Button("Draw", variant="primary")
            with gr.Column(scale=2):
                pictures = gr.Gallery(
                    label="Pictures", show_label=False, columns=3, height="auto", format="png"
                )
                sizes = gr.Markdown()
        gr.on(
            [button.click, fields[1].submit],
            make_answer(gr, size),
            fields,
            [pictures, sizes],
            show_progress_on=pictures,
            api_name="draw",
        )
    return page


def make_answer(gr: Any, size: str) -> Callable[..., tuple[list["Image.Image"], str]]:
    """What the page does when it is asked: `draw`, with a bar, and errors shown on the page.

    Args:
        gr: the module `gradio`.
        size: which weights, as `locate` knows them.
    """
    bar = gr.Progress()  # which Gradio looks for among the default values

    def answer(
        model: str,
        prompt: str,
        steps: int | float,
        guidance: int | float,
        seed: int | float,
        progress: Any = bar,
    ) -> tuple[list["Image.Image"], str]:
        steps, seed = int(steps), int(seed)

        def show(done: int) -> None:
            progress((done, steps), unit="steps")

        try:
            drawn = draw(model, prompt, steps, guidance, seed, size=size, after_step=show)
        except (ValueError, OSError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        pictures, sizes = zip(*drawn, strict=True)
        return list(pictures), " · ".join(sizes)

    return answer


def need_gradio() -> Any:
    """The module `gradio`.

    Raises:
        ValueError: if it is not installed, saying how it is.
    """
    try:
        return importlib.import_module("gradio")
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        how = 'pip install gradio   (or edudiff with it: pip install "edudiff[demo]")'
        raise ValueError(f"gradio: expected it to be installed, got none; try: {how}") from error
