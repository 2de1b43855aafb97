"""Every tensor of the published code's small models, see tests/fixtures/matryoshka/README.md.

Whatever lies in that folder is compared, however deep it is nested.
"""

import json
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.guidance import guide
from edudiff.diffusion.multiscale import pyramid, shifted, shifted_schedules
from edudiff.diffusion.multiscale_loss import joint_loss, keep_mixed, mixed_fractions
from edudiff.diffusion.multiscale_sampling import (
    matryoshka_timesteps,
    multiscale_sample,
    multiscale_step,
)
from edudiff.diffusion.prediction import eps_from_velocity
from edudiff.diffusion.schedule import make_schedule
from edudiff.diffusion.threshold import THRESHOLDS
from edudiff.models.matryoshka_unet import MatryoshkaUNet
from edudiff.models.nested_unet import NestedUNet

FILES = sorted((Path(__file__).parents[1] / "fixtures" / "matryoshka").glob("*.npz"))
SCHEDULE = make_schedule("cosine")


def network(config, text_dim):
    """Our network with the options of theirs."""
    widths, levels = config["resolution_channels"], config["attention_levels"]
    layers = [n if i in levels else 0 for i, n in enumerate(config["num_attention_layers"])]
    micro = config["micro_conditioning"]
    common = {
        "block_out_channels": widths,
        "layers_per_block": config["num_resnets_per_resolution"],
        "attention_layers": layers,
        "scale": None if micro is None else int(micro.removeprefix("scale:")),
    }
    if "inner_config" in config:
        inner = network(config["inner_config"], text_dim)
        return NestedUNet(inner, normalize_input=not config["skip_normalization"], **common)
    return MatryoshkaUNet(
        **common,
        text_dim=text_dim,
        context_dim=config["conditioning_feature_proj_dim"],
        masked_cross_attention=bool(config["masked_cross_attention"]),
        time_embed_dim=config["temporal_dim"],
        norm_num_groups=config["resnet_config"]["num_groups_norm"],
    )


def weights(shapes, seed):
    """Each from its own name, as the README says."""
    found = {}
    for name, shape in shapes.items():
        generator = torch.Generator().manual_seed((zlib.crc32(name.encode()) + seed) % 2**31)
        r = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            found[name] = r / math.sqrt(math.prod(shape[1:]))
        else:
            found[name] = 1 + 0.2 * r if name.endswith("weight") else 0.1 * r
    return found


@dataclass
class Reference:
    arrays: np.lib.npyio.NpzFile
    meta: dict
    model: torch.nn.Module

    def __getitem__(self, key):
        return torch.from_numpy(self.arrays[key])

    def levels(self, key):
        return [self[f"{key}_{i}"] for i in range(len(self.meta["sizes"]))]

    def ask(self, xs, t, states="in/lm_outputs", mask="in/lm_mask"):
        with torch.no_grad():
            return self.model(xs, t, self[states], self[mask].bool())

    def schedules(self):
        return shifted_schedules(SCHEDULE, self.model.ratios, 1)

    def tags(self, kind):
        return sorted({key.split("/")[1] for key in self.arrays if key.startswith(f"{kind}/")})


@pytest.fixture(scope="module", params=FILES, ids=lambda file: file.stem)
def reference(request):
    arrays = np.load(request.param)
    meta = json.loads(str(arrays["meta"]))
    model = network(meta["config"], arrays["in/lm_outputs"].shape[-1])
    model.load_state_dict(weights(meta["state"], meta["seed"]))
    return Reference(arrays, meta, model)


def assert_levels_close(found, expected, atol):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


COMPARED = re.compile(
    r"meta|in/(x_\d|times|lm_outputs|lm_mask)|out/\d|mix/(x|out)_\d|thr/(in|none|clip|dynamic(_if)?)"
    r"|sch/(gammas(_scale\d+_power\d)?|timesteps_\d+)|loss/(images|lm_outputs|lm_mask)"
    r"|loss/\w+/(loss|time|(eps|x_t|v_pred|gamma)_\d|eps_(pred|target)_0)"
    r"|samp/(lm_cfg|mask_cfg)|samp/ddim0(_cfg)?/(timesteps|x0?_step(0|4)_\d)"
)
"""What the tests below read. A new kind of tensor is to be compared too."""


def test_no_tensor_of_the_reference_is_left_out(reference):
    assert [key for key in reference.arrays if not COMPARED.fullmatch(key)] == []


def test_parameters_have_the_names_and_shapes_of_the_reference(reference):
    found = {name: list(w.shape) for name, w in reference.model.state_dict().items()}
    assert found == reference.meta["state"]
    assert sum(p.numel() for p in reference.model.parameters()) == reference.meta["n_params"]
    nest_ratio = reference.meta["nest_ratio"] or []
    assert list(reference.model.ratios) == [*nest_ratio, 1]


def test_the_answer_at_every_resolution_is_that_of_the_reference(reference):
    found = reference.ask(reference.levels("in/x"), reference["in/times"].long())
    expected = [reference[f"out/{i}"] for i in range(len(found))]
    assert_levels_close(found, expected, 1e-5)


def test_the_answer_to_a_mixed_batch_is_that_of_the_reference(reference):
    if "mix/x_0" not in reference.arrays:
        pytest.skip("one resolution cannot be mixed")
    xs = reference.levels("mix/x")
    assert len(xs[0]) < len(xs[-1])
    found = reference.ask(xs, reference["in/times"].long())
    assert_levels_close(found, reference.levels("mix/out"), 1e-5)


# Theirs are float32, and shifted in float32: that rounds 1 − ᾱ near the data.
def test_the_noise_tables_are_those_of_the_reference(reference):
    keys = [key for key in reference.arrays if key.startswith("sch/gammas_scale")]
    assert len(keys) >= 6
    for key in ["sch/gammas", *keys]:
        scale, power = (1, 0)
        if key != "sch/gammas":
            scale, power = map(int, key.removeprefix("sch/gammas_scale").split("_power"))
        found = shifted(SCHEDULE, scale, power).alphas_cumprod.float()
        expected = reference[key]
        assert expected[0] == 1  # the clean data, which is our t = −1
        torch.testing.assert_close(found, expected[1:], atol=1e-12, rtol=1e-5)


def test_the_timesteps_are_those_of_the_reference(reference):
    keys = [key for key in reference.arrays if key.startswith("sch/timesteps_")]
    assert len(keys) >= 4
    for key in keys:
        found = matryoshka_timesteps(1000, int(key.removeprefix("sch/timesteps_")))
        assert [*(found + 1).tolist(), 0] == reference[key].tolist()


@pytest.mark.parametrize("name", THRESHOLDS)
def test_thresholding_is_that_of_the_reference(reference, name):
    found = THRESHOLDS[name](reference["thr/in"])
    torch.testing.assert_close(found, reference[f"thr/{name}"], atol=1e-7, rtol=0)


def noised(reference, tag):
    """Pictures, noise and time of a loss; where its noise was not kept, it is another's."""
    with_noise = next(t for t in reference.tags("loss") if f"loss/{t}/eps_0" in reference.arrays)
    source = tag if f"loss/{tag}/eps_0" in reference.arrays else with_noise
    t, eps = reference[f"loss/{tag}/time"], reference.levels(f"loss/{source}/eps")
    x0s = pyramid(reference["loss/images"], reference.model.ratios)
    each = zip(x0s, eps, reference.schedules(), strict=True)
    return [add_noise(x0, e, t, schedule) for x0, e, schedule in each], eps, t


def test_noisy_pictures_and_answers_to_them_are_those_of_the_reference(reference):
    compared = 0
    for tag in reference.tags("loss"):
        if f"loss/{tag}/x_t_0" in reference.arrays:
            xts, eps, t = noised(reference, tag)
            assert_levels_close(xts, reference.levels(f"loss/{tag}/x_t"), 1e-6)
            v_hats = reference.ask(xts, t, "loss/lm_outputs", "loss/lm_mask")
            assert_levels_close(v_hats, reference.levels(f"loss/{tag}/v_pred"), 1e-5)
            answer = v_hats[0]  # what their code for one resolution returns, whatever its name
            if reference.meta["nested"]:
                answer = eps_from_velocity(answer, xts[0], t, reference.schedules()[0])
            assert_levels_close([answer], [reference[f"loss/{tag}/eps_pred_0"]], 1e-5)
            assert_levels_close(eps[:1], [reference[f"loss/{tag}/eps_target_0"]], 0)
            compared += 1
    assert compared


def test_the_network_is_told_one_timestep_less_than_the_reference_counts(reference):
    for tag in reference.tags("loss"):
        if f"loss/{tag}/gamma_0" in reference.arrays:
            t = reference[f"loss/{tag}/time"]
            like = torch.zeros(len(t))
            found = [schedule.alpha_bar(t, like).float() for schedule in reference.schedules()]
            expected = reference.levels(f"loss/{tag}/gamma")
            assert_levels_close(found, expected, 1e-6)


def test_every_loss_is_that_of_the_reference(reference):
    options = {
        "weights": {"weights": (4, 1)},
        "mixed": {"fractions": mixed_fractions((1, 2))},
    }
    for tag in reference.tags("loss"):
        if f"loss/{tag}/loss" not in reference.arrays:
            continue
        chosen = options.get(tag.rpartition("_")[2], {})
        xts, eps, t = noised(reference, tag)
        if "fractions" in chosen:
            xts, eps = (keep_mixed(levels, chosen["fractions"]) for levels in (xts, eps))
        v_hats = reference.ask(xts, t, "loss/lm_outputs", "loss/lm_mask")
        found = joint_loss(v_hats, xts, eps, t, reference.schedules(), **chosen)
        torch.testing.assert_close(found, reference[f"loss/{tag}/loss"], atol=0, rtol=1e-6)


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
def test_every_step_of_sampling_is_that_of_the_reference(reference, guidance_scale):
    tag = "ddim0" if guidance_scale == 1 else "ddim0_cfg"

    def model(xs, t):
        if guidance_scale == 1:
            return reference.ask(xs, t)
        xs, t = [torch.cat([x, x]) for x in xs], torch.cat([t, t])
        both = reference.ask(xs, t, "samp/lm_cfg", "samp/mask_cfg")
        return [guide(*answer.chunk(2), guidance_scale) for answer in both]

    *stops, last = reference[f"samp/{tag}/timesteps"].tolist()
    timesteps = matryoshka_timesteps(1000, len(stops))
    assert (last, (timesteps + 1).tolist()) == (0, stops)
    xs, schedules = reference.levels("in/x"), reference.schedules()
    walk = list(multiscale_sample(model, xs, timesteps, schedules, threshold="clip"))
    for step in (0, len(stops) - 1):
        assert_levels_close(walk[step], reference.levels(f"samp/{tag}/x_step{step}"), 1e-4)
        before = [xs, *walk][step]
        t = torch.full((len(xs[0]),), int(timesteps[step]))
        t_prev = torch.full_like(t, [*timesteps.tolist(), -1][step + 1])
        found = multiscale_step(
            model(before, t), before, t, t_prev, schedules, before, threshold="clip"
        )
        assert_levels_close(found[0], reference.levels(f"samp/{tag}/x0_step{step}"), 1e-4)
