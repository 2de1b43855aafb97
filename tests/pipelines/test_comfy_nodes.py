import pytest

from edudiff.pipelines.comfy import workflow
from edudiff.pipelines.comfy_nodes import KINDS, wires


def test_a_wire_says_from_where_to_where_and_what_it_carries():
    found = wires(workflow("a"))
    assert len(found) == sum(len(KINDS[box["class_type"]].wires) for box in workflow("a").values())
    assert ("1", "6", "VAE") in found


def test_a_wire_of_another_type_is_refused(refusal):
    graph = workflow("a")
    graph["6"]["inputs"]["vae"] = ["1", 1]
    with refusal("node 6, vae: expected VAE, got CLIP"):
        wires(graph)


@pytest.mark.parametrize("wire", [["99", 0], "1", ["1"]])
def test_a_wire_from_nowhere_is_refused(wire, refusal):
    graph = workflow("a")
    graph["6"]["inputs"]["vae"] = wire
    with refusal(r"node 6, vae: expected \[a node's id, an output's number\], got"):
        wires(graph)


def test_a_wire_from_an_output_that_there_is_not_is_refused(refusal):
    graph = workflow("a")
    graph["6"]["inputs"]["vae"] = ["1", 3]
    with refusal("node 6, vae: expected one of 3 outputs, got 3"):
        wires(graph)


def test_a_missing_input_and_one_too_many_are_refused(refusal):
    graph = workflow("a")
    graph["7"]["inputs"]["prefix"] = graph["7"]["inputs"].pop("filename_prefix")
    with refusal(r"node 7: expected no other inputs, got missing=\['filename_prefix'\]"):
        wires(graph)


def test_an_unknown_kind_of_box_is_refused(refusal):
    graph = workflow("a")
    graph["7"]["class_type"] = "PreviewImage"
    with refusal("class_type: expected one of"):
        wires(graph)
