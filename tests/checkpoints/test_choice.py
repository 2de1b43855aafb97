import dataclasses
import os
import subprocess
import sys

import pytest
from diffusers import AutoencoderKL, DiffusionPipeline, StableDiffusionPipeline
from transformers import CLIPModel, CLIPTokenizer

from edudiff.checkpoints import choice, locate, probe, registry
from edudiff.checkpoints.table import MODELS, Model

FULL = MODELS["stable-diffusion"].full
TITLE = "full size (stable-diffusion-v1-5/stable-diffusion-v1-5 at 451f4fe1)"
LICENCE = "licence CreativeML Open RAIL-M"
PAGE = "https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5"
ENOUGH = 16_000_000_000


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    """A name with tiny weights that are there, whatever else is shipped."""
    monkeypatch.setitem(choice.MODELS, "stable-diffusion", Model("tiny-vae", FULL))


def with_gpu(monkeypatch, memory):
    monkeypatch.setattr(probe, "gpu_memory", lambda: memory)


def hub_is(monkeypatch, state):
    monkeypatch.setattr(probe, "hub", lambda full: state)


def said(capsys) -> str:
    """The one line that was printed."""
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and out.endswith("\n")
    return out.rstrip("\n")


def test_without_a_gpu_it_is_tiny(home, monkeypatch, capsys):
    with_gpu(monkeypatch, None)
    assert locate("stable-diffusion") == registry.path("tiny-vae")
    assert said(capsys) == (
        "stable-diffusion: tiny version (tiny-vae), since there is no GPU. For the full size: use "
        "one with 6.0 GB of memory, or ask for size='full' to take it all the same."
    )


def test_without_a_gpu_the_hub_is_not_asked(home, monkeypatch):
    def ask(full):
        raise AssertionError("a request that nobody needs")

    with_gpu(monkeypatch, None)
    monkeypatch.setattr(probe, "hub", ask)
    locate("stable-diffusion")


def test_with_too_small_a_gpu_it_is_tiny(fill, stable_diffusion, monkeypatch, capsys):
    fill(FULL, stable_diffusion)
    with_gpu(monkeypatch, FULL.gpu_memory - 1)
    assert locate("stable-diffusion") == registry.path("tiny-vae")
    assert "since the GPU has 6.0 GB of memory left and 6.0 GB are needed. For" in said(capsys)


def test_a_gpu_of_just_the_right_size_will_do(fill, stable_diffusion, monkeypatch, capsys):
    fill(FULL, stable_diffusion)
    with_gpu(monkeypatch, FULL.gpu_memory)
    locate("stable-diffusion")
    assert TITLE in said(capsys)


@pytest.mark.parametrize(
    "state, line",
    [
        ("unreachable", "the hub cannot be reached and the full-size weights are not in the cache"),
        ("switched off", "HF_HUB_OFFLINE=1 forbids the network and the full-size weights are not"),
        (
            "missing",
            "the hub no longer has stable-diffusion-v1-5/stable-diffusion-v1-5 at revision",
        ),
        (
            "gated",
            f"the full-size weights are gated. For the full size: accept the licence at {PAGE}",
        ),
    ],
)
def test_what_keeps_the_full_size_away_is_said(state, line, home, monkeypatch, capsys):
    with_gpu(monkeypatch, ENOUGH)
    hub_is(monkeypatch, state)
    assert locate("stable-diffusion") == registry.path("tiny-vae")
    assert f"tiny version (tiny-vae), since {line}" in said(capsys)


def test_every_state_of_the_hub_but_one_is_an_obstacle():
    obstacles = {state: choice.hub_obstacle(FULL, state) for state in probe.HUB_STATES}
    assert [state for state, obstacle in obstacles.items() if obstacle is None] == ["reachable"]
    assert len({obstacle.reason for obstacle in obstacles.values() if obstacle}) == 4


def test_with_a_gpu_and_a_full_cache_it_is_full_without_the_network(
    fill, stable_diffusion, monkeypatch, capsys
):
    fill(FULL, stable_diffusion)
    with_gpu(monkeypatch, ENOUGH)
    pipe = StableDiffusionPipeline.from_pretrained(locate("stable-diffusion"))
    assert said(capsys) == (
        f"stable-diffusion: {TITLE}, since the GPU has 16.0 GB of memory left; from the cache."
    )
    pipe("a red circle", num_inference_steps=1, height=16, width=16)


def test_with_a_gpu_and_the_hub_it_is_full_and_says_how_much_it_downloads(web, monkeypatch, capsys):
    with_gpu(monkeypatch, ENOUGH)
    folder = locate("stable-diffusion")
    assert said(capsys).endswith(
        f"since the GPU has 16.0 GB of memory left; downloading 2.7 GB, {LICENCE}."
    )
    assert StableDiffusionPipeline.from_pretrained(folder).unet is not None
    assert all(".fp16." in name for name in web.fetched if name.endswith(".safetensors"))


def test_without_a_gpu_the_full_size_is_in_single_precision(web, monkeypatch, capsys):
    with_gpu(monkeypatch, None)
    locate("stable-diffusion", "full")
    assert (
        said(capsys) == f"stable-diffusion: {TITLE}, as asked for; downloading 5.5 GB, {LICENCE}."
    )
    assert not any(".fp16." in name for name in web.fetched)


@pytest.mark.parametrize("memory", [None, ENOUGH])
def test_the_other_precision_in_the_cache_spares_a_download(memory, web, monkeypatch):
    with_gpu(monkeypatch, ENOUGH if memory is None else None)
    first = locate("stable-diffusion", "full")
    web.fetched.clear()
    with_gpu(monkeypatch, memory)
    assert locate("stable-diffusion", "full") == first
    assert web.fetched == []


def test_asked_for_full_it_is_full_also_on_a_small_gpu(fill, stable_diffusion, monkeypatch, capsys):
    fill(FULL, stable_diffusion)
    with_gpu(monkeypatch, 1)
    locate("stable-diffusion", "full")
    assert said(capsys) == f"stable-diffusion: {TITLE}, as asked for; from the cache."


def test_asked_for_tiny_it_is_tiny_also_on_a_large_gpu(fill, stable_diffusion, monkeypatch, capsys):
    fill(FULL, stable_diffusion)
    with_gpu(monkeypatch, ENOUGH)
    assert locate("stable-diffusion", "tiny") == registry.path("tiny-vae")
    assert said(capsys) == "stable-diffusion: tiny version (tiny-vae), as asked for."


@pytest.mark.parametrize(
    "state, kind, helps",
    [
        ("unreachable", ConnectionError, "connect to the internet once"),
        ("switched off", ConnectionError, "start again without that variable"),
        ("missing", ConnectionError, "look for a newer edudiff"),
        ("gated", PermissionError, f"accept the licence at {FULL.page}, then log in with"),
    ],
)
def test_asked_for_full_and_not_to_be_had_it_says_what_helps(
    state, kind, helps, home, monkeypatch, capsys
):
    with_gpu(monkeypatch, None)
    hub_is(monkeypatch, state)
    with pytest.raises(kind, match=f"stable-diffusion: .*What helps: {helps}"):
        locate("stable-diffusion", "full")
    assert capsys.readouterr().out == ""


def test_a_gated_repository_is_found_out_by_asking(web, monkeypatch):
    with_gpu(monkeypatch, None)
    web.refuses = "GatedRepo"
    with pytest.raises(PermissionError, match="accept the licence at https://huggingface.co/"):
        locate("stable-diffusion", "full")


@pytest.mark.parametrize("name", ["vae", "clip"])
def test_the_parts_come_in_both_sizes(
    name, fill, vae_repository, clip_repository, monkeypatch, capsys
):
    fill(MODELS[name].full, {"vae": vae_repository, "clip": clip_repository}[name])
    with_gpu(monkeypatch, ENOUGH)
    load = {"vae": AutoencoderKL, "clip": CLIPModel}[name].from_pretrained
    full, tiny = locate(name), locate(name, "tiny")
    assert tiny == registry.path(f"tiny-{name}") and full != tiny
    load(full)
    load(tiny)
    if name == "clip":
        assert CLIPTokenizer.from_pretrained(full)("a red circle").input_ids


def test_where_no_tiny_version_is_shipped_that_is_said(home, monkeypatch, refusal):
    monkeypatch.setitem(choice.MODELS, "vae", Model(None, MODELS["vae"].full))
    with refusal("vae: no tiny version is shipped yet."):
        locate("vae", "tiny")


def test_without_a_tiny_version_the_obstacle_to_the_full_one_is_said(home, monkeypatch, refusal):
    with_gpu(monkeypatch, None)
    without = dataclasses.replace(MODELS["sdxl-refiner"], tiny=None)
    monkeypatch.setitem(choice.MODELS, "sdxl-refiner", without)
    with refusal(
        "sdxl-refiner: no tiny version is shipped yet, and there is no GPU. For the full size: use"
    ):
        locate("sdxl-refiner")


def test_weights_that_the_table_names_but_nobody_ships_are_not_claimed(monkeypatch, refusal):
    monkeypatch.setitem(choice.MODELS, "vae", Model("tiny-unheard-of", MODELS["vae"].full))
    with refusal("vae: no tiny version is shipped yet."):
        locate("vae", "tiny")


def test_apple_s_weights_are_not_to_be_had_and_it_says_why(home, refusal):
    with refusal("matryoshka: .*the full-size weights cannot be had .Apple publishes them as pick"):
        locate("matryoshka", "full")


def test_auto_takes_the_tiny_version_where_no_full_one_exists(capsys):
    assert locate("matryoshka") == registry.path("tiny-mdm")
    assert "since the full-size weights cannot be had (Apple" in said(capsys)


def test_an_unknown_name_is_answered_with_the_nearest(refusal):
    with refusal("unknown model: expected one of .*, got 'sdlx'. Did you mean 'sdxl'?"):
        locate("sdlx")


def test_an_unknown_size_is_answered_with_the_sizes_there_are(refusal):
    with refusal(r"unknown size: expected one of \['auto', 'full', 'tiny'\], got 'huge'"):
        locate("vae", "huge")


LOAD = """
import sys, torch
from diffusers import StableDiffusionPipeline
from edudiff.checkpoints import locate
pipe = StableDiffusionPipeline.from_pretrained(locate("stable-diffusion", "full"))
made = pipe("a red circle", num_inference_steps=2, height=16, width=16, output_type="pt")
print(made.images.shape)
"""


def test_in_a_fresh_process_the_environment_alone_decides(fill, home, stable_diffusion):
    fill(FULL, stable_diffusion)
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-c", LOAD], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"stable-diffusion: {TITLE}, as asked for; from the cache.",
        "torch.Size([1, 3, 16, 16])",
    ]


def test_offline_with_an_empty_cache_a_fresh_process_says_what_to_do(home):
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    code = "from edudiff.checkpoints import locate; locate('stable-diffusion', 'full')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "ConnectionError: stable-diffusion: HF_HUB_OFFLINE=1 forbids" in done.stderr


def test_the_tiny_pipeline_is_a_whole_pipeline(monkeypatch):
    with_gpu(monkeypatch, None)
    monkeypatch.setitem(choice.MODELS, "stable-diffusion", Model("tiny-sd", FULL))
    pipe = DiffusionPipeline.from_pretrained(locate("stable-diffusion"))
    assert isinstance(pipe, StableDiffusionPipeline)
