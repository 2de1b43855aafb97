"""Our pipeline written down as a graph of nodes, in the JSON that ComfyUI's API takes.

ComfyUI draws a pipeline as boxes and wires: each box has inputs and outputs, a wire carries one
output to an input. In JSON a box is {"class_type": …, "inputs": {…}}, and a wire is an input that
holds [the other box's id, the number of its output].
"""

from typing import Any

from edudiff import checks
from edudiff.diffusion.guidance import check_scale
from edudiff.pipelines.comfy_nodes import KINDS, Kind, Workflow, wires
from edudiff.pipelines.denoiser_xl import NEGATIVE_SCORE
from edudiff.pipelines.prompts_xl import Pair, check_size

__all__ = ["BASE", "KINDS", "REFINER", "SAMPLERS", "Kind", "Workflow", "wires", "workflow"]

BASE, REFINER = "sd_xl_base_1.0.safetensors", "sd_xl_refiner_1.0.safetensors"
"""The single files in which SDXL's authors published both models, as ComfyUI's users have them."""

SAMPLERS = {
    "ddpm": "ddpm",
    "ddim": "ddim",
    "euler": "euler",
    "euler-ancestral": "euler_ancestral",
    "heun": "heun",
    "dpm-solver++": "dpmpp_2m",
}
"""What ComfyUI calls our samplers."""


def workflow(
    prompt: str,
    *,
    negative_prompt: str = "",
    seed: int = 0,
    num_inference_steps: int = 20,
    guidance_scale: float = 5.0,
    sampler: str = "dpm-solver++",
    height: int = 1024,
    width: int = 1024,
    original_size: Pair | None = None,
    crops_coords_top_left: Pair = (0, 0),
    target_size: Pair | None = None,
    aesthetic_score: float = 6.0,
    split: float = 0.8,
    base: str = BASE,
    refiner: str | None = None,
) -> Workflow:
    """What `text_to_image_xl.generate`, or with a refiner `generate_refined`, does, as a graph.

    ComfyUI draws other noise from the same seed, and its timesteps ("sgm_uniform", evenly spaced
    from the noisiest on) are near ours and not the same: it makes another picture.

    Args:
        prompt: what to draw, for both text encoders.
        negative_prompt: what to go away from.
        seed: of the noise.
        num_inference_steps: of the whole walk, for both models together.
        guidance_scale: ComfyUI's `cfg`; 1 = off.
        sampler: one of `SAMPLERS`, by our name.
        height: of the picture, in pixels, a multiple of 8.
        width: as the height.
        original_size: height and width it shall look enlarged from; the picture's if not given.
        crops_coords_top_left: row and column of a larger picture it shall look cut from.
        target_size: height and width the U-Net is told; the picture's if not given.
        aesthetic_score: told to the refiner.
        split: the share of the steps, in (0, 1), that is the base's if there is a refiner.
        base: file of the base.
        refiner: file of the refiner; None for none.

    Returns:
        A dictionary that `json.dump` writes, and ComfyUI's `POST /prompt` takes as "prompt".

    Raises:
        ValueError: for an unknown sampler, sizes that are none, a negative guidance scale, or a
            split that leaves one of the two without a step.

    Source:
        The types and inputs of ComfyUI's own nodes (github.com/comfyanonymous/ComfyUI, `nodes.py`
        and `comfy_extras/nodes_clip_sdxl.py`).
    """
    told = _sizes(height, width, original_size, crops_coords_top_left, target_size)
    walk = _walk(seed, num_inference_steps, guidance_scale, sampler)
    graph: Workflow = {}
    loaded = _add(graph, "CheckpointLoaderSimple", ckpt_name=base)
    texts = [_told_base(graph, loaded, text, told) for text in (prompt, negative_prompt)]
    empty = _add(graph, "EmptyLatentImage", width=width, height=height, batch_size=1)
    latents = [empty, 0]
    end = num_inference_steps if refiner is None else _base_steps(num_inference_steps, split)
    latents = _sampler(graph, loaded, texts, latents, walk, (0, end))
    if refiner is not None:
        loaded = _add(graph, "CheckpointLoaderSimple", ckpt_name=refiner)
        scored = ((prompt, aesthetic_score), (negative_prompt, NEGATIVE_SCORE))
        texts = [_told_refiner(graph, loaded, *each, told[0]) for each in scored]
        latents = _sampler(graph, loaded, texts, latents, walk, (end, num_inference_steps))
    _add(graph, "VAEDecode", samples=latents, vae=[loaded, 2])
    _add(graph, "SaveImage", filename_prefix="edudiff", images=[str(len(graph)), 0])
    return graph


def _walk(
    seed: int, num_inference_steps: int, guidance_scale: float, sampler: str
) -> dict[str, Any]:
    checks.whole_at_least(1, num_inference_steps=num_inference_steps)
    checks.whole_at_least(0, seed=seed)
    check_scale(guidance_scale)
    return {
        "noise_seed": seed,
        "steps": num_inference_steps,
        "cfg": guidance_scale,
        "sampler_name": checks.choose("sampler", sampler, SAMPLERS),
        "scheduler": "sgm_uniform",
    }


def _sizes(
    height: int, width: int, original_size: Pair | None, corner: Pair, target_size: Pair | None
) -> list[Pair]:
    here = height, width
    for name, side in (("height", height), ("width", width)):
        checks.whole_at_least(8, **{name: side})
        if side % 8:
            raise ValueError(f"{name}: expected a multiple of 8, got {side}")
    return [
        check_size("original_size", here if original_size is None else original_size),
        check_size("crops_coords_top_left", corner, least=0),
        check_size("target_size", here if target_size is None else target_size),
    ]


def _add(graph: Workflow, class_type: str, **inputs: Any) -> str:
    name = str(len(graph) + 1)
    graph[name] = {"class_type": class_type, "inputs": inputs}
    return name


def _told_base(graph: Workflow, loaded: str, text: str, told: list[Pair]) -> list[Any]:
    (height, width), (top, left), (target_height, target_width) = told
    box = _add(
        graph,
        "CLIPTextEncodeSDXL",
        width=width,
        height=height,
        crop_w=left,
        crop_h=top,
        target_width=target_width,
        target_height=target_height,
        text_g=text,
        text_l=text,
        clip=[loaded, 1],
    )
    return [box, 0]


def _told_refiner(graph: Workflow, loaded: str, text: str, score: float, size: Pair) -> list[Any]:
    box = _add(
        graph,
        "CLIPTextEncodeSDXLRefiner",
        ascore=score,
        width=size[1],
        height=size[0],
        text=text,
        clip=[loaded, 1],
    )
    return [box, 0]


def _base_steps(number: int, split: float) -> int:
    if not 0 < split < 1:
        raise ValueError(f"split: expected a share between 0 and 1, got {split!r}")
    end = round(number * split)
    if not 0 < end < number:
        raise ValueError(f"split: expected steps for both models, got {end} of {number} for base")
    return end


def _sampler(
    graph: Workflow,
    loaded: str,
    texts: list[list[Any]],
    latents: list[Any],
    walk: dict[str, Any],
    part: tuple[int, int],
) -> list[Any]:
    begins, ends = part[0] == 0, part[1] == walk["steps"]
    box = _add(
        graph,
        "KSamplerAdvanced",
        **walk,
        add_noise="enable" if begins else "disable",
        start_at_step=part[0],
        end_at_step=part[1],
        return_with_leftover_noise="disable" if ends else "enable",
        model=[loaded, 0],
        positive=texts[0],
        negative=texts[1],
        latent_image=latents,
    )
    return [box, 0]
