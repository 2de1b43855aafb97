import diffusers
import pytest
import torch
from diffusers.models.embeddings import get_timestep_embedding

from edudiff.models.unet import UNet, ddpm_cifar10

CONFIGURATIONS = [
    {},
    {"block_out_channels": (8,), "mid_block_add_attention": False},
    {
        "block_out_channels": (8, 12),
        "layers_per_block": 2,
        "norm_num_groups": 4,
        "attention_levels": (True, False),
    },
    {
        "block_out_channels": (8, 6, 12, 8),
        "norm_num_groups": 2,
        "attention_levels": (False, True, False, True),
        "mid_block_add_attention": False,
    },
    {
        "in_channels": 1,
        "out_channels": 2,
        "block_out_channels": (8, 8, 12),
        "norm_num_groups": 1,
        "norm_eps": 1e-3,
        "downsample_padding": 0,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
    },
]


def theirs_with(attention_levels, mid_block_add_attention=True, **options):
    """Diffusers' network, built apart from ours."""
    kinds = ["AttnDownBlock2D" if level else "DownBlock2D" for level in attention_levels]
    return diffusers.UNet2DModel(
        **options,
        down_block_types=tuple(kinds),
        up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(kinds)),
        add_attention=mid_block_add_attention,
        attention_head_dim=None,
    )


def pair(dtype=torch.float32, **configuration):
    """Ours and diffusers' with the same weights."""
    ours = UNet(**configuration)
    defaults = {
        "block_out_channels": (32, 48, 64),
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "attention_levels": (False,) * len(ours.block_out_channels),
    }
    theirs = theirs_with(**defaults | configuration)
    ours.load_state_dict(theirs.state_dict())
    return ours.to(dtype), torch.nn.Module.to(theirs, dtype)


def pictures(model, number=2, height=16, width=24, dtype=torch.float32):
    return torch.randn(number, model.in_channels, height, width, dtype=dtype)


def block_the_middle(model):
    """Let nothing of the picture pass through the middle."""
    model.mid_block.register_forward_hook(lambda module, args, output: torch.zeros_like(output))


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(20)
    return UNet(block_out_channels=(8, 8, 12), norm_num_groups=4)


@pytest.fixture(scope="module")
def timeless():
    torch.manual_seed(20)
    return UNet(block_out_channels=(8, 12), norm_num_groups=4, out_channels=5, time_embedding=False)


@pytest.fixture
def t():
    return torch.tensor([3, 999])


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_the_answer_is_that_of_diffusers(configuration, t):
    ours, theirs = pair(**configuration)
    x = pictures(ours)
    torch.testing.assert_close(ours(x, t), theirs(x, t).sample, atol=1e-5, rtol=0)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_gradients_are_those_of_diffusers(configuration, t):
    ours, theirs = pair(**configuration)
    x = pictures(ours)
    answer = ours(x.requires_grad_(), t)
    target = torch.randn_like(answer)
    (answer - target).square().mean().backward()
    found, x.grad = x.grad, None
    (theirs(x, t).sample - target).square().mean().backward()
    torch.testing.assert_close(found, x.grad, atol=1e-5, rtol=0)
    for name, parameter in ours.named_parameters():
        expected = theirs.get_parameter(name).grad
        torch.testing.assert_close(parameter.grad, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_diffusers_takes_our_weights_as_they_are(configuration):
    ours, theirs = pair(**configuration)
    theirs.load_state_dict(ours.state_dict())


# A frequency rounded in its last digit turns by 1e-4 in 1000 timesteps.
@pytest.mark.parametrize("flip_sin_to_cos", [True, False])
@pytest.mark.parametrize("freq_shift", [0, 1, 3])
def test_the_clock_is_that_of_diffusers(flip_sin_to_cos, freq_shift):
    clock = {"flip_sin_to_cos": flip_sin_to_cos, "freq_shift": freq_shift}
    model = UNet(block_out_channels=(8,), **clock)
    told = []
    model.time_embedding.register_forward_hook(lambda module, args, output: told.append(args[0]))
    t = torch.arange(1000)
    model(torch.zeros(1000, 3, 1, 1), t)
    expected = get_timestep_embedding(t, 8, flip_sin_to_cos, downscale_freq_shift=freq_shift)
    torch.testing.assert_close(told[0], expected, atol=2e-4, rtol=0)


def test_ho_et_al_appendix_b_35_7_million_parameters():
    with torch.device("meta"):
        ours = ddpm_cifar10()
        theirs = theirs_with(
            (False, True, False, False),
            block_out_channels=(128, 256, 256, 256),
            layers_per_block=2,
            norm_num_groups=32,
        )
    shapes = [
        {name: tuple(p.shape) for name, p in model.named_parameters()} for model in (ours, theirs)
    ]
    assert shapes[0] == shapes[1]
    assert sum(p.numel() for p in ours.parameters()) == 35_746_307


def test_the_network_of_ho_et_al_tells_time_normalises_and_halves_as_published():
    with torch.device("meta"):
        model = ddpm_cifar10()
    assert (model.flip_sin_to_cos, model.freq_shift) == (False, 1)
    assert (model.norm_eps, model.norm_num_groups, model.downsample_padding) == (1e-6, 32, 0)


def test_without_time_the_answer_is_that_of_diffusers_when_no_block_listens_to_the_time(t):
    options = {
        "block_out_channels": (8, 12),
        "norm_num_groups": 4,
        "attention_levels": (False, True),
    }
    _, theirs = pair(**options)
    for name, parameter in theirs.named_parameters():
        if "time_emb_proj" in name:
            torch.nn.init.zeros_(parameter)
    weights = {name: w for name, w in theirs.state_dict().items() if "time_emb" not in name}
    ours = UNet(time_embedding=False, **options)
    ours.load_state_dict(weights)
    x = pictures(ours)
    torch.testing.assert_close(ours(x), theirs(x, t).sample, atol=1e-5, rtol=0)


def test_without_skips_all_goes_through_the_middle(t):
    model = UNet(block_out_channels=(8, 8, 12), norm_num_groups=4, skips=False)
    block_the_middle(model)
    x = pictures(model).requires_grad_()
    answer = model(x, t)
    assert torch.equal(answer, model(pictures(model), t))
    answer.square().sum().backward()
    assert not x.grad.any()


def test_with_skips_every_pixel_gets_past_the_middle(t):
    model = UNet(block_out_channels=(8, 8, 12), norm_num_groups=4)
    block_the_middle(model)
    x = pictures(model).requires_grad_()
    model(x, t).square().sum().backward()
    assert (x.grad != 0).all()


def test_without_skips_a_picture_still_gets_through_the_middle(t):
    model = UNet(block_out_channels=(8, 8, 12), norm_num_groups=4, skips=False)
    x = pictures(model).requires_grad_()
    model(x, t).square().sum().backward()
    assert (x.grad != 0).all()


def test_without_skips_the_way_up_is_built_for_what_comes_from_below_alone():
    model = UNet(block_out_channels=(8, 16, 24), layers_per_block=2, skips=False)
    found = [[resnet.conv1.in_channels for resnet in block.resnets] for block in model.up_blocks]
    assert found == [[24, 24, 24], [24, 16, 16], [16, 8, 8]]


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
@pytest.mark.parametrize("skips", [True, False])
def test_the_answer_is_as_high_and_wide_as_the_picture(levels, skips, t):
    model = UNet(block_out_channels=(4,) * levels, norm_num_groups=2, out_channels=5, skips=skips)
    assert model(pictures(model), t).shape == (2, 5, 16, 24)


def test_every_level_but_the_last_halves_height_and_width(small, t):
    seen = []
    hook = small.mid_block.register_forward_hook(lambda *args: seen.append(args[2].shape))
    small(pictures(small), t)
    hook.remove()
    assert seen == [(2, 12, 4, 6)]


def test_the_time_changes_the_answer(small):
    x = pictures(small)
    early, late = (small(x, torch.full((2,), step)) for step in (0, 500))
    assert (early - late).abs().amax(dim=(1, 2, 3)).min() > 1e-3


@pytest.mark.parametrize("time_embedding", [True, False])
@pytest.mark.parametrize("skips", [True, False])
def test_gradient_reaches_every_parameter(time_embedding, skips, t):
    options = {"time_embedding": time_embedding, "skips": skips, "attention_levels": (True, True)}
    model = UNet(block_out_channels=(8, 12), norm_num_groups=2, **options)
    model(pictures(model), t if time_embedding else None).square().sum().backward()
    # A bias of the keys moves all scores of a query alike, which the softmax does not see.
    parameters = {name: p for name, p in model.named_parameters() if "to_k.bias" not in name}
    assert [name for name, p in parameters.items() if p.grad is None or not p.grad.any()] == []


def test_the_answer_for_one_picture_does_not_depend_on_the_others(small):
    x, t = pictures(small, number=3), torch.tensor([3, 40, 999])
    torch.testing.assert_close(small(x[1:2], t[1:2]), small(x, t)[1:2], atol=1e-5, rtol=0)


def test_nothing_is_drawn(small, t):
    x = pictures(small)
    assert torch.equal(small(x, t), small(x, t))


def test_asking_does_not_change_the_question(small, t):
    x = pictures(small)
    before = x.clone(), t.clone()
    small(x, t)
    assert torch.equal(x, before[0]) and torch.equal(t, before[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dtype_and_device_follow_the_input(device, dtype, t):
    if device.type == "mps" and dtype == torch.float64:
        pytest.skip("mps has no float64")
    model = UNet(block_out_channels=(8, 8), attention_levels=(False, True)).to(device, dtype)
    found = model(pictures(model, dtype=dtype).to(device), t.to(device))
    assert (found.dtype, found.device.type) == (dtype, device.type)


def test_pictures_are_read_the_same_however_they_lie_in_memory(small, t):
    x = pictures(small)
    other = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(small(x, t), small(other, t), atol=1e-5, rtol=0)


def test_bytes_are_refused(small, t, refusal):
    with refusal("x: expected a floating-point tensor, got torch.uint8"):
        small(torch.zeros(2, 3, 16, 16, dtype=torch.uint8), t)


@pytest.mark.parametrize("shape", [(2, 1, 16, 16), (3, 16, 16), (2, 16, 16, 3)])
def test_pictures_with_other_channels_are_refused(small, shape, t, refusal):
    with refusal(r"x: expected shape \(b, 3, h, w\), got"):
        small(torch.zeros(shape), t)


@pytest.mark.parametrize("size", [(16, 18), (17, 16)])
def test_sides_that_cannot_be_halved_twice_are_refused(small, size, t, refusal):
    with refusal("x: expected sides divisible by 4, got"):
        small(torch.zeros(2, 3, *size), t)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1)])
def test_other_than_one_timestep_for_each_picture_is_refused(small, shape, refusal):
    with refusal("t: expected one timestep each"):
        small(pictures(small), torch.zeros(shape, dtype=torch.int64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.bool])
def test_timesteps_that_are_not_int64_are_refused(small, dtype, refusal):
    with refusal(f"t: expected int64 timesteps, got {dtype}"):
        small(pictures(small), torch.zeros(2, dtype=dtype))


def test_a_missing_time_is_refused(small, refusal):
    with refusal("t: expected one for each picture, as the network was built, got none"):
        small(pictures(small))


def test_a_time_for_a_network_that_knows_none_is_refused(timeless, t, refusal):
    with refusal("t: expected none, as the network was built, got"):
        timeless(pictures(timeless), t)


@pytest.mark.parametrize(
    "name", ["in_channels", "out_channels", "layers_per_block", "norm_num_groups"]
)
def test_a_number_below_one_is_refused(name, refusal):
    with refusal(f"{name}: expected a whole number ≥ 1, got 0"):
        UNet(**{name: 0})


@pytest.mark.parametrize("widths", [(), (16, 30), (0, 16)])
def test_widths_that_are_no_multiple_of_the_number_of_groups_are_refused(widths, refusal):
    with refusal("block_out_channels: expected multiples of norm_num_groups=8, got"):
        UNet(block_out_channels=widths)


@pytest.mark.parametrize("levels", [(), (True,), (True, False, True)])
def test_attention_levels_for_other_levels_are_refused(levels, refusal):
    with refusal("attention_levels: expected one entry for each of 2 levels, got"):
        UNet(block_out_channels=(8, 8), attention_levels=levels)


def test_a_norm_eps_of_zero_is_refused(refusal):
    with refusal("norm_eps: expected a number above 0"):
        UNet(norm_eps=0.0)


@pytest.mark.parametrize("padding", [-1, 2])
def test_a_downsample_padding_that_does_not_halve_is_refused(padding, refusal):
    with refusal("downsample_padding: expected 0 or 1, got"):
        UNet(downsample_padding=padding)


def test_a_first_width_without_as_many_cosines_as_sines_is_refused(refusal):
    with refusal(r"block_out_channels\[0\]: expected an even number, got 9"):
        UNet(block_out_channels=(9, 12), norm_num_groups=3)


def test_a_first_width_that_is_odd_is_taken_without_time():
    model = UNet(block_out_channels=(9, 12), norm_num_groups=3, time_embedding=False)
    assert model(pictures(model)).shape == (2, 3, 16, 24)


def test_a_negative_freq_shift_is_refused(refusal):
    with refusal("freq_shift: expected a whole number ≥ 0, got -1"):
        UNet(freq_shift=-1)


def test_a_freq_shift_that_leaves_no_hand_of_the_clock_is_refused(refusal):
    with refusal("freq_shift: expected a number below 4, got 4"):
        UNet(block_out_channels=(8,), freq_shift=4)


@pytest.mark.slow
def test_what_one_noise_becomes_at_four_times_is_learnt_by_heart():
    model = UNet(block_out_channels=(8, 16))
    x, t = torch.randn(1, 3, 16, 16).expand(4, -1, -1, -1), torch.tensor([0, 10, 100, 999])
    target = torch.zeros(4, 3, 16, 16)
    for i, picture in enumerate(target):
        picture[i % 3, 4 * i : 4 * i + 4] = 1
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(200):
        loss = (model(x, t) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05 * target.var().item()


@pytest.mark.slow
def test_where_a_pixel_is_goes_over_the_skips(generator):
    """Name every pixel of noise by its sign: nothing to understand, everything to place."""
    wrong = {}
    for skips in (True, False):
        torch.manual_seed(20)
        options = {"in_channels": 1, "out_channels": 2, "time_embedding": False, "skips": skips}
        model = UNet(block_out_channels=(8, 8, 8), norm_num_groups=2, **options)
        optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(150):
            x = torch.randn(8, 1, 16, 16, generator=generator)
            logits, names = model(x), (x[:, 0] > 0).long()
            loss = torch.nn.functional.cross_entropy(logits, names)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        wrong[skips] = (logits.argmax(dim=1) != names).float().mean().item()
    assert wrong[True] < 0.05 and wrong[False] > 0.2
