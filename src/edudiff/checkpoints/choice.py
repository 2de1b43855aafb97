"""`locate`: the tiny weights or the full-size ones, and one line that says which and why."""

from dataclasses import dataclass
from pathlib import Path

from edudiff import checks
from edudiff.checkpoints import hub, probe, registry
from edudiff.checkpoints.table import MODELS, FullSize, Model

SIZES = ("auto", "tiny", "full")


@dataclass(frozen=True)
class Obstacle:
    """What stands between here and the full-size weights.

    Attributes:
        reason: why they cannot be had or used.
        remedy: what to do about it.
        error: what is raised if they were asked for all the same.
    """

    reason: str
    remedy: str
    error: type[Exception] = ConnectionError


def locate(name: str, size: str = "auto") -> Path:
    """Choose weights by name, and say in one line what was chosen and why.

    `StableDiffusionPipeline.from_pretrained(locate("stable-diffusion"))` loads what comes out,
    whichever it is. "auto" takes the full-size weights if there is a GPU with enough memory for
    them and they are in the hub's cache or can be downloaded, else the tiny ones. With a GPU the
    weights in half precision are taken where there are any, which halves the download; ask
    `from_pretrained` for `torch_dtype=torch.float16` to compute in it too.

    Args:
        name: "vae", "clip", "stable-diffusion", "sdxl", "sdxl-refiner", "stable-diffusion-3"
            (load it without its third text encoder) or "matryoshka".
        size: "auto", "tiny" (comes with the package) or "full" (downloaded once, if need be).

    Returns:
        A folder in the format of diffusers or transformers.

    Raises:
        ValueError: if there is no such name or size, or nothing of that size.
        ConnectionError: if "full" was asked for and the hub does not give it, or if a download
            breaks off; what was downloaded stays for the next call.
        PermissionError: if "full" was asked for and its licence has to be accepted first.
    """
    model = checks.choose("model", name, MODELS)
    checks.choose("size", size, dict.fromkeys(SIZES))
    if size == "tiny":
        return _tiny(name, model)
    if model.full is None:
        obstacle = Obstacle(f"the full-size weights cannot be had ({model.why_not_full})", "")
        if size == "full":
            raise ValueError(f"{name}: {obstacle.reason}.")
        return _tiny(name, model, obstacle)
    return (_full if size == "full" else _auto)(name, model, model.full)


def too_small(full: FullSize, gpu_memory: int | None) -> Obstacle | None:
    """Why the full-size weights cannot be used with that much GPU memory, if so."""
    needed = gigabytes(full.gpu_memory)
    anyway = "ask for size='full' to take it all the same"
    if gpu_memory is None:
        return Obstacle("there is no GPU", f"use one with {needed} of memory, or {anyway}")
    if gpu_memory < full.gpu_memory:
        reason = f"the GPU has {gigabytes(gpu_memory)} of memory left and {needed} are needed"
        return Obstacle(reason, anyway)
    return None


def out_of_reach(full: FullSize, half: bool) -> Obstacle | None:
    """Why the full-size weights are neither in the cache nor to be downloaded, if so."""
    if in_cache(full, half) is not None:
        return None
    return hub_obstacle(full, probe.hub(full))


def hub_obstacle(full: FullSize, state: probe.Hub) -> Obstacle | None:
    """What a state of the hub means for who has no full-size weights yet."""
    absent = "the full-size weights are not in the cache"
    if state == "gated":
        remedy = f"accept the licence at {full.page}, then log in with: hf auth login"
        return Obstacle("the full-size weights are gated", remedy, PermissionError)
    if state == "missing":
        reason = f"the hub no longer has {full.repository} at revision {full.revision[:8]}"
        return Obstacle(reason, "look for a newer edudiff")
    if state == "switched off":
        reason = f"HF_HUB_OFFLINE=1 forbids the network and {absent}"
        return Obstacle(reason, "start again without that variable")
    if state == "unreachable":
        reason = f"the hub cannot be reached and {absent}"
        return Obstacle(reason, "connect to the internet once, then they stay in the cache")
    return None


def in_cache(full: FullSize, half: bool) -> Path | None:
    """The full-size weights in the cache, in the precision asked for or else in the other."""
    for precision in _precisions(full, half):
        folder = hub.cached(full, precision)
        if folder is not None:
            return folder
    return None


def gigabytes(number: int) -> str:
    """A number of bytes as people read it."""
    return f"{number / 1e9:.1f} GB"


def _precisions(full: FullSize, half: bool) -> tuple[bool, ...]:
    if full.half_download is None:
        return (False,)
    return (half, not half)


def _tiny(name: str, model: Model, obstacle: Obstacle | None = None) -> Path:
    """The tiny weights, because they were asked for or because of an obstacle."""
    helps = f" For the full size: {obstacle.remedy}." if obstacle and obstacle.remedy else ""
    if model.tiny is None or model.tiny not in registry.read_table():
        also = f", and {obstacle.reason}" if obstacle else ""
        raise ValueError(f"{name}: no tiny version is shipped yet{also}.{helps}")
    folder = registry.path(model.tiny)
    why = f"since {obstacle.reason}" if obstacle else "as asked for"
    print(f"{name}: tiny version ({model.tiny}), {why}.{helps}")
    return folder


def _full(name: str, model: Model, full: FullSize) -> Path:
    half = probe.gpu_memory() is not None
    obstacle = out_of_reach(full, half)
    if obstacle is not None:
        raise obstacle.error(f"{name}: {obstacle.reason}. What helps: {obstacle.remedy}.")
    return _take(name, full, half, "as asked for")


def _auto(name: str, model: Model, full: FullSize) -> Path:
    gpu = probe.gpu_memory()
    obstacle = too_small(full, gpu) or out_of_reach(full, half=True)
    if gpu is None or obstacle is not None:
        return _tiny(name, model, obstacle)
    return _take(name, full, half=True, why=f"since the GPU has {gigabytes(gpu)} of memory left")


def _take(name: str, full: FullSize, half: bool, why: str) -> Path:
    folder = in_cache(full, half)
    best = _precisions(full, half)[0]
    size = full.half_download if best and full.half_download is not None else full.download
    source = (
        "from the cache" if folder else f"downloading {gigabytes(size)}, licence {full.licence}"
    )
    # Said before a download begins, as it takes long.
    print(f"{name}: full size ({full.repository} at {full.revision[:8]}), {why}; {source}.")
    return folder or hub.download(full, best)
