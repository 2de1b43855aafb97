"""A folder of pictures as LoRA is trained on it: each with a caption, a few of them held out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from edudiff import checks
from edudiff.data import folder
from edudiff.data.folder import Example, Problem
from edudiff.pipelines.prompts import check_prompts, encode
from edudiff.pipelines.starts import encode as encode_pictures
from edudiff.pipelines.text_to_image import TextToImage

CAPTION_FROM = ("metadata", "folder")
HELD_OUT = 10
"""One picture in so many is held out."""
AT_ONCE = 8


@dataclass(frozen=True)
class Pictures:
    """Pictures with captions.

    Attributes:
        root: the folder.
        examples: those that can be used.
        captions: of each.
        problems: what else is there, and why it is not used.
    """

    root: Path
    examples: tuple[Example, ...]
    captions: tuple[str, ...]
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        """How many there are."""
        return len(self.examples)

    @property
    def names(self) -> list[str]:
        """Each picture's file, as seen from the folder."""
        return [each.path.relative_to(self.root).as_posix() for each in self.examples]

    def held_out(self) -> list[int]:
        """Places of the pictures that training does not see: one in ten, of four at least one.

        They are spread evenly; with fewer than four pictures there are none.
        """
        if len(self) < 4:
            return []
        count = max(1, len(self) // HELD_OUT)
        return [int((k + 0.5) * len(self) / count) for k in range(count)]

    def fingerprint(self) -> str:
        """Of all pictures and captions: a training is resumed with the same ones only."""
        digest = hashlib.sha256()
        for example, caption in zip(self.examples, self.captions, strict=True):
            digest.update(hashlib.sha256(example.path.read_bytes()).digest())
            digest.update(caption.encode() + b"\0")
        return digest.hexdigest()


def open_pictures(root: Path | str, caption_from: str = "metadata") -> Pictures:
    """Look at a folder; what cannot be used is a problem with a name.

    Args:
        root: the folder, laid out as `data.folder` says.
        caption_from: "metadata": a picture's text in metadata.jsonl; "folder": the name of the
            folder it lies in, with spaces for "_" and "-".

    Raises:
        ValueError: if no picture can be used, or captions are asked from where there are none.
    """
    checks.choose("caption_from", caption_from, dict.fromkeys(CAPTION_FROM))
    found = folder.open_folder(root)
    has_metadata = (found.root / folder.METADATA).is_file()
    if has_metadata != (caption_from == "metadata"):
        there = "captions in metadata.jsonl" if has_metadata else "no metadata.jsonl"
        other = "metadata" if has_metadata else "folder"
        raise ValueError(
            f"{root}: expected captions from the {caption_from}, got {there}; "
            f"--caption-from {other} takes them from the {other}"
        )
    pairs, problems = [], list(found.problems)
    for example in found.examples:
        caption = example.caption or (example.label or "").replace("_", " ").replace("-", " ")
        if caption.strip():
            pairs.append((example, caption.strip()))
        else:
            name = example.path.relative_to(found.root).as_posix()
            problems.append(Problem(name, "no caption: it lies in no folder of its own"))
    if not pairs:
        raise ValueError(f"{root}: expected a picture with a caption, got {problems[0]}")
    examples, captions = zip(*pairs, strict=True)
    return Pictures(found.root, examples, captions, tuple(problems))


def latents_of(pipe: TextToImage, pictures: Pictures) -> Float[Tensor, " b c h w"]:
    """The most likely latents of all pictures, at the size the pipeline was trained at, on the CPU.

    Raises:
        ValueError: naming the picture, if it can no longer be read or its latents are not finite.
    """
    weight, found = pipe.unet.conv_in.weight, []
    for example, name in zip(pictures.examples, pictures.names, strict=True):
        picture = folder.load(example, pipe.size)[None].to(weight.device)
        try:
            found.append(encode_pictures(pipe, picture).float().cpu())
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return torch.cat(found)


def contexts_of(pipe: TextToImage, texts: Sequence[str]) -> Float[Tensor, " b m d"]:
    """What the text encoder says of each caption, on the CPU; "" is no text.

    Raises:
        ValueError: naming the caption, if it is too long.
    """
    check_prompts(texts, pipe.tokenizer, name="captions", may_be_empty=True)
    parts = [texts[first : first + AT_ONCE] for first in range(0, len(texts), AT_ONCE)]
    return torch.cat(
        [encode(part, pipe.tokenizer, pipe.text_encoder).float().cpu() for part in parts]
    )
