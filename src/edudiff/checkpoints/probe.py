"""What this machine has: a GPU, the hub within reach. Asked anew at every call.

Nothing here depends on where the package runs; it looks and says what it sees.
"""

import contextlib
from typing import Literal, get_args

import huggingface_hub
import torch
from huggingface_hub import constants, errors

from edudiff.checkpoints.table import FullSize

Hub = Literal["reachable", "gated", "missing", "switched off", "unreachable"]
HUB_STATES: tuple[Hub, ...] = get_args(Hub)
SECONDS = 3.0
"""How long the hub may take to answer before it counts as unreachable."""


def gpu_memory() -> int | None:
    """Bytes of GPU memory that this process could use; None without a GPU.

    What PyTorch keeps for this process counts as usable, so that a second look from the same
    notebook says the same as the first.
    """
    if torch.cuda.is_available():
        with contextlib.suppress(RuntimeError):  # a GPU that is there but cannot be used
            free, _ = torch.cuda.mem_get_info()
            return free + torch.cuda.memory_reserved()
    if torch.backends.mps.is_available():
        return torch.mps.recommended_max_memory()
    return None


def hub(full: FullSize, seconds: float = SECONDS) -> Hub:
    """Whether a repository could be downloaded from now, found out by one small request.

    Returns:
        "reachable"; "gated": its licence has not been accepted by whoever is logged in here;
        "missing": the hub answers, but has no such repository or revision; "switched off": the
        environment forbids (HF_HUB_OFFLINE=1); "unreachable": no answer.
    """
    if constants.HF_HUB_OFFLINE:
        return "switched off"
    file = f"{full.folders[0]}/config.json".lstrip("/")
    url = huggingface_hub.hf_hub_url(full.repository, file, revision=full.revision)
    try:
        huggingface_hub.get_hf_file_metadata(url, timeout=seconds)
    except errors.GatedRepoError:
        return "gated"
    except (
        errors.RepositoryNotFoundError,
        errors.RevisionNotFoundError,
        errors.EntryNotFoundError,
    ):
        return "missing"
    except (OSError, errors.HTTPError):  # no connection, no answer in time, or an error there
        return "unreachable"
    return "reachable"
