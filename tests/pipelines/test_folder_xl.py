import json
import shutil

import pytest

from edudiff.pipelines import folder_xl


def test_the_index_says_which_kind_a_folder_holds(base_folder, refiner_folder):
    base, refiner = folder_xl.read_index(base_folder), folder_xl.read_index(refiner_folder)
    assert base["_class_name"] == folder_xl.BASE and folder_xl.has_first(base)
    assert refiner["_class_name"] == folder_xl.REFINER and not folder_xl.has_first(refiner)


def test_the_network_knows_how_many_numbers_it_is_told(base_folder, refiner_folder):
    base, size = folder_xl.read_unet(base_folder, scored=False)
    assert (base.num_time_ids, base.pooled_dim, size) == (6, 24, 8)
    assert folder_xl.read_unet(refiner_folder, scored=True)[0].pooled_dim == 24


def test_the_second_encoder_has_a_projection(base_folder):
    assert folder_xl.read_text_encoder_2(base_folder).projection_dim == 24


def test_all_that_is_missing_is_named(base_folder, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(base_folder, broken)
    shutil.rmtree(broken / "text_encoder_2")
    (broken / "vae" / "config.json").unlink()
    with pytest.raises(ValueError, match=r"vae/config.json, text_encoder_2/config.json"):
        folder_xl.read_index(broken)
    with pytest.raises(ValueError, match="got no folder"):
        folder_xl.read_index(tmp_path / "nowhere")


def test_another_kind_of_pipeline_is_refused(folder, base_folder, tmp_path):
    with pytest.raises(ValueError, match="expected a StableDiffusionXLPipeline or .*, got a Stab"):
        folder_xl.read_index(folder)
    other = tmp_path / "other"
    shutil.copytree(base_folder, other)
    index = other / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"_class_name": "Flux"}))
    with pytest.raises(ValueError, match="got a Flux"):
        folder_xl.read_index(other)


def test_weights_that_are_missing_are_refused(base_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(base_folder, broken)
    file = next((broken / "text_encoder_2").glob("*.safetensors"))
    weights = load_file(file)
    del weights["text_projection.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(
        ValueError, match="text_encoder_2: expected all weights, got none for text_"
    ):
        folder_xl.read_text_encoder_2(broken)
