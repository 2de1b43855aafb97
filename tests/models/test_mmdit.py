import diffusers
import pytest
import torch
from diffusers.models.embeddings import get_2d_sincos_pos_embed

from edudiff.models import mmdit
from edudiff.models.mmdit import MMDiT, PatchEmbed, position_table

SMALL = {"num_layers": 3, "num_heads": 2, "head_dim": 12, "context_dim": 10, "pooled_dim": 6}


def small(**options):
    model = MMDiT(**SMALL | {"pos_embed_max_size": 11} | options)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def inputs(height=8, width=8):
    x, t = torch.randn(2, 4, height, width), torch.tensor([3.5, 900.0])
    return x, t, torch.randn(2, 5, 10), torch.randn(2, 6)


@pytest.mark.parametrize("patch_size", [1, 2])
@pytest.mark.parametrize("qk_norm", [False, True])
@pytest.mark.parametrize("sides", [(8, 8), (4, 10)])
def test_it_answers_as_diffusers_with_the_same_state_dict(patch_size, qk_norm, sides):
    ours = small(patch_size=patch_size, qk_norm=qk_norm)
    theirs = diffusers.SD3Transformer2DModel(
        sample_size=8,
        patch_size=patch_size,
        in_channels=4,
        num_layers=3,
        attention_head_dim=12,
        num_attention_heads=2,
        joint_attention_dim=10,
        caption_projection_dim=24,
        pooled_projection_dim=6,
        out_channels=4,
        pos_embed_max_size=11,
        qk_norm="rms_norm" if qk_norm else None,
    )
    theirs.load_state_dict(ours.state_dict())
    x, t, context, pooled = inputs(*sides)
    found, expected = ours(x, t, context, pooled), theirs(x, context, pooled, t).sample
    assert expected.std() > 0.1
    scale = expected.abs().max().item()
    torch.testing.assert_close(found, expected, atol=1e-5 * max(1.0, scale), rtol=0)


def test_stable_diffusion_3_medium_has_two_billion_parameters_as_in_diffusers():
    with torch.device("meta"):
        ours = mmdit.stable_diffusion_3_medium()
        theirs = diffusers.SD3Transformer2DModel(
            sample_size=128,
            patch_size=2,
            in_channels=16,
            num_layers=24,
            attention_head_dim=64,
            num_attention_heads=24,
            joint_attention_dim=4096,
            caption_projection_dim=1536,
            pooled_projection_dim=2048,
            out_channels=16,
            pos_embed_max_size=192,
        )
    shapes = [{n: w.shape for n, w in each.state_dict().items()} for each in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert sum(weight.numel() for weight in ours.parameters()) == 2_028_328_000


def test_places_are_those_of_diffusers():
    expected = get_2d_sincos_pos_embed(16, 6, base_size=4)
    torch.testing.assert_close(position_table(16, 6, 4 / 6), expected.float())


def test_no_two_places_are_alike():
    table = position_table(16, 9)
    assert len({tuple(row) for row in table.tolist()}) == 81


def test_a_small_picture_lies_in_the_middle_of_the_largest():
    embed = PatchEmbed(4, 8, patch_size=1, sample_size=2, max_size=6)
    torch.nn.init.zeros_(embed.proj.weight)
    torch.nn.init.zeros_(embed.proj.bias)
    whole = embed(torch.zeros(1, 4, 6, 6)).unflatten(1, (6, 6))
    torch.testing.assert_close(embed(torch.zeros(1, 4, 2, 2)), whole[:, 2:4, 2:4].flatten(1, 2))


def test_an_untrained_network_answers_zero():
    assert not MMDiT(**SMALL)(*inputs()).any()


def test_the_pictures_of_a_batch_do_not_meet():
    model, given = small().double(), [tensor.double() for tensor in inputs()]
    alone = model(*(tensor[:1] for tensor in given))
    torch.testing.assert_close(model(*given)[:1], alone)


@pytest.mark.parametrize("part", [1, 2, 3])
def test_time_words_and_their_sum_all_matter(part):
    model, given = small(), [*inputs()]
    before = model(*given)
    given[part] = given[part].flip(0)
    assert not torch.allclose(model(*given), before, atol=1e-2)


def test_it_answers_in_half_precision_too():
    x, t, context, pooled = inputs()
    half = small().bfloat16()
    assert half(x.bfloat16(), t, context.bfloat16(), pooled.bfloat16()).dtype == torch.bfloat16


@pytest.mark.slow
def test_it_learns_one_velocity_by_heart():
    model, (x, t, context, pooled) = MMDiT(**SMALL), inputs()
    target = torch.randn_like(x)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(300):
        loss = (model(x, t, context, pooled) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_layers": 0}, "num_layers: expected a whole number ≥ 1, got 0"),
        ({"head_dim": 3}, "width: expected a multiple of 4, got 6"),
        ({"pos_embed_max_size": 7}, "pos_embed_max_size: expected a whole number ≥ 8, got 7"),
    ],
)
def test_networks_that_cannot_be_are_refused(options, message, refusal):
    with refusal(message):
        MMDiT(**SMALL | options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: torch.zeros(2, 3, 8, 8)}, r"x: expected shape \(b, 4, h, w\), got \(2, 3, 8, 8\)"),
        ({0: torch.zeros(2, 4, 8, 8).long()}, "x: expected a floating-point tensor"),
        ({0: torch.zeros(2, 4, 7, 8)}, r"x: expected sides up to 22 that are multiples of 2"),
        ({0: torch.zeros(2, 4, 8, 24)}, r"x: expected sides up to 22 .*got \(8, 24\)"),
        ({1: torch.zeros(1)}, r"t: expected one timestep each"),
        ({2: torch.zeros(2, 5, 9)}, r"context: expected shape \(2, m, 10\), got \(2, 5, 9\)"),
        ({2: torch.zeros(1, 5, 10)}, r"context: expected shape \(2, m, 10\), got \(1, 5, 10\)"),
        ({3: torch.zeros(2, 5)}, r"pooled: expected shape \(2, 6\), got \(2, 5\)"),
    ],
)
def test_inputs_it_was_not_built_for_are_refused(change, message, refusal):
    given = [*inputs()]
    for place, tensor in change.items():
        given[place] = tensor
    with refusal(message):
        small(patch_size=2)(*given)
