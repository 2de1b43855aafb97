"""The files in configs/ are what accelerate expects, and hand over what they say.

That processes started with sharded.yaml divide the weights is in recipes/test_lora_together.
"""

from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import DistributedType
from accelerate.utils.launch import prepare_multi_gpu_env

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
MACHINES = {"one-node.yaml": (1, 8), "several-nodes.yaml": (4, 32), "sharded.yaml": (1, 8)}


def test_there_are_these_and_no_others():
    assert {path.name for path in CONFIGS.iterdir()} == set(MACHINES)


@pytest.mark.parametrize("name", MACHINES)
def test_accelerate_s_own_loader_takes_it(name):
    config = load_config_from_file(str(CONFIGS / name))
    kind = DistributedType.FSDP if name == "sharded.yaml" else DistributedType.MULTI_GPU
    assert config.distributed_type == kind
    assert (config.num_machines, config.num_processes) == MACHINES[name]
    assert config.mixed_precision == "no"  # asked for with edudiff's own option


@pytest.mark.parametrize("name", MACHINES)
def test_every_key_is_one_that_accelerate_knows(name, tmp_path):
    text = (CONFIGS / name).read_text(encoding="utf-8")
    misspelt = tmp_path / name
    misspelt.write_text(text.replace("num_processes:", "num_proceses:"), encoding="utf-8")
    with pytest.raises(ValueError, match="num_proceses"):  # so the loader would have told us
        load_config_from_file(str(misspelt))


def test_each_machine_s_processes_are_told_where_the_first_machine_is():
    config = load_config_from_file(str(CONFIGS / "several-nodes.yaml"))
    words = ["--machine_rank", "2", "--multi_gpu", "-m", "edudiff.cli", "train", "lora"]
    args = launch_command_parser().parse_args(words)
    for name in ("num_machines", "num_processes", "main_process_ip", "main_process_port"):
        assert getattr(args, name) is None
        setattr(args, name, getattr(config, name))
    args.mixed_precision, args.dynamo_backend = config.mixed_precision, "no"
    args.same_network = config.same_network
    environment = prepare_multi_gpu_env(args)
    assert environment["ACCELERATE_MIXED_PRECISION"] == "no"
    assert (args.nnodes, args.nproc_per_node, args.node_rank) == ("4", "8", 2)
    assert (args.master_addr, args.master_port) == ("10.0.0.1", "29500")
