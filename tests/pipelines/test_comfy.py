import json

import pytest

from edudiff.diffusion.samplers import SAMPLERS as OURS
from edudiff.pipelines.comfy import BASE, KINDS, REFINER, SAMPLERS, wires, workflow


def of_kind(graph, kind):
    return [box["inputs"] for box in graph.values() if box["class_type"] == kind]


def test_a_workflow_is_json_and_stays_what_it_was():
    graph = workflow("a red circle", refiner=REFINER)
    assert json.loads(json.dumps(graph)) == graph


def test_every_wire_fits_the_input_that_it_leads_to():
    for refiner in (None, REFINER):
        assert wires(workflow("a red circle", refiner=refiner))


def test_without_a_refiner_there_are_seven_boxes_and_one_walk():
    graph = workflow("a red circle")
    assert len(graph) == 7
    (walk,) = of_kind(graph, "KSamplerAdvanced")
    assert (walk["start_at_step"], walk["end_at_step"]) == (0, 20)
    assert (walk["add_noise"], walk["return_with_leftover_noise"]) == ("enable", "disable")


def test_a_refiner_goes_on_where_the_base_stops_without_new_noise():
    first, second = of_kind(workflow("a", refiner=REFINER), "KSamplerAdvanced")
    assert first["end_at_step"] == second["start_at_step"] == 16
    assert (first["add_noise"], first["return_with_leftover_noise"]) == ("enable", "enable")
    assert (second["add_noise"], second["return_with_leftover_noise"]) == ("disable", "disable")
    assert first["noise_seed"] == second["noise_seed"]


def test_each_walk_asks_the_model_and_the_words_of_its_own_file():
    graph = workflow("a", refiner=REFINER)
    for walk, file in zip(of_kind(graph, "KSamplerAdvanced"), (BASE, REFINER), strict=True):
        assert graph[walk["model"][0]]["inputs"]["ckpt_name"] == file
        for told in (walk["positive"][0], walk["negative"][0]):
            loaded = graph[told]["inputs"]["clip"][0]
            assert graph[loaded]["inputs"]["ckpt_name"] == file


def test_heights_come_before_widths_here_and_are_named_there():
    graph = workflow(
        "a",
        height=832,
        width=1216,
        original_size=(512, 640),
        crops_coords_top_left=(10, 20),
        target_size=(768, 896),
    )
    for told in of_kind(graph, "CLIPTextEncodeSDXL"):
        assert (told["height"], told["width"]) == (512, 640)
        assert (told["crop_h"], told["crop_w"]) == (10, 20)
        assert (told["target_height"], told["target_width"]) == (768, 896)
    (empty,) = of_kind(graph, "EmptyLatentImage")
    assert (empty["height"], empty["width"]) == (832, 1216)


def test_sizes_not_given_are_the_pictures_own():
    for told in of_kind(workflow("a", height=832, width=1216), "CLIPTextEncodeSDXL"):
        assert (told["height"], told["width"]) == (832, 1216)
        assert (told["crop_h"], told["crop_w"]) == (0, 0)
        assert (told["target_height"], told["target_width"]) == (832, 1216)


def test_the_prompt_leads_to_positive_and_the_other_to_negative():
    graph = workflow("a star", negative_prompt="a ring", refiner=REFINER)
    for walk in of_kind(graph, "KSamplerAdvanced"):
        for end, text in (("positive", "a star"), ("negative", "a ring")):
            told = graph[walk[end][0]]["inputs"]
            assert {told.get("text_g", text), told.get("text_l", text)} == {text}
            assert told.get("text", text) == text


def test_guidance_leads_a_refiner_away_from_a_low_score():
    graph = workflow("a", aesthetic_score=7.0, refiner=REFINER)
    (walk,) = of_kind(graph, "KSamplerAdvanced")[1:]
    scores = [graph[walk[end][0]]["inputs"]["ascore"] for end in ("positive", "negative")]
    assert scores == [7.0, 2.5]


def test_the_last_walks_latents_are_decoded_by_the_last_model():
    graph = workflow("a", refiner=REFINER)
    (decode,) = of_kind(graph, "VAEDecode")
    assert graph[decode["samples"][0]]["inputs"]["start_at_step"] == 16
    assert graph[decode["vae"][0]]["inputs"]["ckpt_name"] == REFINER


def test_every_sampler_of_ours_has_a_name_there():
    assert set(SAMPLERS) == set(OURS)
    (walk,) = of_kind(workflow("a", sampler="euler-ancestral"), "KSamplerAdvanced")
    assert walk["sampler_name"] == "euler_ancestral"


def test_every_kind_of_box_is_used():
    graph = workflow("a", refiner=REFINER)
    assert {box["class_type"] for box in graph.values()} == set(KINDS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "magic"}, "sampler: expected one of"),
        ({"height": 1001}, "height: expected a multiple of 8, got 1001"),
        ({"width": 0}, "width: expected"),
        ({"original_size": (0, 5)}, "original_size"),
        ({"crops_coords_top_left": (-1, 0)}, "crops_coords_top_left"),
        ({"num_inference_steps": 0}, "num_inference_steps: expected"),
        ({"seed": -1}, "seed: expected"),
        ({"guidance_scale": -1.0}, "guidance_scale: expected"),
        ({"split": 1.0, "refiner": REFINER}, "split: expected a share between 0 and 1, got 1.0"),
        (
            {"split": 0.99, "refiner": REFINER},
            "split: expected steps for both models, got 20 of 20 for base",
        ),
    ],
)
def test_what_is_no_workflow_is_refused(options, message, refusal):
    with refusal(message):
        workflow("a", **options)
