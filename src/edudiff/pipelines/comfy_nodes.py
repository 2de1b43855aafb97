"""The boxes of ComfyUI that our pipeline needs, and what may be wired to what."""

from typing import Any, NamedTuple

from edudiff import checks

Workflow = dict[str, dict[str, Any]]
"""{a box's id: {"class_type": its kind, "inputs": {name: a setting, or [id, output's number]}}}"""


class Kind(NamedTuple):
    """What a kind of box needs and gives: names of all inputs, and those of wires with their type.

    Attributes:
        settings: inputs that are numbers or words.
        wires: inputs that come from other boxes, and what they carry.
        outputs: what it gives, in order.
    """

    settings: tuple[str, ...]
    wires: dict[str, str]
    outputs: tuple[str, ...]


KINDS = {
    "CheckpointLoaderSimple": Kind(("ckpt_name",), {}, ("MODEL", "CLIP", "VAE")),
    "CLIPTextEncodeSDXL": Kind(
        (
            *("width", "height", "crop_w", "crop_h", "target_width", "target_height"),
            *("text_g", "text_l"),
        ),
        {"clip": "CLIP"},
        ("CONDITIONING",),
    ),
    "CLIPTextEncodeSDXLRefiner": Kind(
        ("ascore", "width", "height", "text"), {"clip": "CLIP"}, ("CONDITIONING",)
    ),
    "EmptyLatentImage": Kind(("width", "height", "batch_size"), {}, ("LATENT",)),
    "KSamplerAdvanced": Kind(
        (
            *("add_noise", "noise_seed", "steps", "cfg", "sampler_name", "scheduler"),
            *("start_at_step", "end_at_step", "return_with_leftover_noise"),
        ),
        {
            "model": "MODEL",
            "positive": "CONDITIONING",
            "negative": "CONDITIONING",
            "latent_image": "LATENT",
        },
        ("LATENT",),
    ),
    "VAEDecode": Kind((), {"samples": "LATENT", "vae": "VAE"}, ("IMAGE",)),
    "SaveImage": Kind(("filename_prefix",), {"images": "IMAGE"}, ()),
}
"""The boxes used here; ComfyUI has many more."""


def wires(graph: Workflow) -> list[tuple[str, str, str]]:
    """All wires of a graph: from which box, to which, and what it carries.

    Raises:
        ValueError: for a box of unknown kind, an input that is missing, too many or not the wire
            it should be, and a wire from nowhere or of another type than its end.
    """
    found = []
    for name, box in graph.items():
        kind = checks.choose("class_type", box["class_type"], KINDS)
        expected, got = {*kind.settings, *kind.wires}, set(box["inputs"])
        if got != expected:
            missing, surplus = sorted(expected - got), sorted(got - expected)
            raise ValueError(f"node {name}: expected no other inputs, got {missing=}, {surplus=}")
        for entry, carried in kind.wires.items():
            source, output = _ends(graph, f"node {name}, {entry}", box["inputs"][entry])
            if output != carried:
                raise ValueError(f"node {name}, {entry}: expected {carried}, got {output}")
            found.append((source, name, carried))
    return found


def _ends(graph: Workflow, where: str, wire: Any) -> tuple[str, str]:
    """The box at which a wire begins, and what it carries."""
    if not isinstance(wire, list) or len(wire) != 2 or wire[0] not in graph:
        raise ValueError(f"{where}: expected [a node's id, an output's number], got {wire!r}")
    outputs = KINDS[graph[wire[0]]["class_type"]].outputs
    if wire[1] not in range(len(outputs)):
        raise ValueError(f"{where}: expected one of {len(outputs)} outputs, got {wire[1]!r}")
    return wire[0], outputs[wire[1]]
