"""A config that contradicts what has started this process is refused before anything is built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lighter.agreement import contradictions, spawning
from lighter.cli import main
from lighter.config import compose
from lighter.launch import launched, local_rank, settle_port
from lighter.mesh import misfits
from workspace import workspace  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("workspace")

TORCHRUN = {"TORCHELASTIC_RUN_ID": "7", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
SLURM = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "train", "SLURM_STEP_ID": "0"}
PLACE = {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}


def torchrun(nodes: int, on_node: int) -> dict[str, str]:
    counts = {"WORLD_SIZE": nodes * on_node, "LOCAL_WORLD_SIZE": on_node, "GROUP_WORLD_SIZE": nodes}
    return TORCHRUN | {name: str(number) for name, number in counts.items()}


def srun(nodes: int, on_node: int, **more: str) -> dict[str, str]:
    counts = {"SLURM_NTASKS": nodes * on_node, "SLURM_NTASKS_PER_NODE": on_node, "SLURM_NNODES": nodes}
    return SLURM | {name: str(number) for name, number in counts.items()} | more


def without(environment: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in names}


def found(environment: dict[str, str], *overrides: str) -> list[str]:
    """Return what contradicts an environment: the path, and what is said of it."""
    problems = contradictions(compose("config.yaml", [f"trainer::{override}" for override in overrides]), environment)
    return [f"{problem.path}: {problem.message}" for problem in problems]


@pytest.mark.parametrize(
    ("environment", "overrides", "expected"),
    [
        (torchrun(2, 2), ("devices=2",), ["trainer::num_nodes: is not given, which is 1, but torchrun has started 4 "]),
        (
            torchrun(1, 2),
            (),
            ["trainer::devices: is not given, which is 1, but torchrun has started 2 processes on 1 "],
        ),
        (
            torchrun(1, 2),
            ("devices=1", "num_nodes=2"),
            ["trainer::devices: is 1, but torchrun has started 2 processes"],
        ),
        (torchrun(1, 1), ("devices=2",), ["trainer::devices: is 2, but torchrun has started 1 process on 1 node"]),
        (torchrun(1, 2), ("devices='%::count'", "count=3"), ["trainer::devices: is 3, but torchrun has started 2 "]),
        (torchrun(1, 2), ("devices=[0]", "accelerator=gpu"), ["trainer::devices: is 1, but torchrun has started 2 "]),
        (
            srun(2, 2),
            ("devices=2",),
            ["trainer::num_nodes: is not given, which is 1, but srun has started 4 processes"],
        ),
        (srun(1, 1), ("devices=2",), ["trainer::devices: is 2, but srun has started 1 process on 1 node"]),
        (
            srun(2, 2),
            ("devices=4", "num_nodes=1"),
            ["trainer::num_nodes: is 1, but srun has", "trainer::devices: is 4, but srun has"],
        ),
        (without(srun(1, 2), "SLURM_STEP_ID"), ("devices=2",), ["trainer: the SLURM job is of 2 tasks, and this proc"]),
        (
            without(srun(1, 2), "SLURM_NTASKS_PER_NODE"),
            ("devices=2",),
            ["trainer: the SLURM job says --ntasks=2, and "],
        ),
        ({}, ("num_nodes=2",), ["trainer::num_nodes: asks for 2 nodes, and nothing here says where the first one is"]),
        (
            {"NODE_RANK": "1", "MASTER_PORT": "29500"},
            ("num_nodes=2",),
            ["trainer::num_nodes: asks for 2 nodes, and MASTER_ADDR, where they are to meet, is not set"],
        ),
        (
            {"NODE_RANK": "0", "MASTER_ADDR": "10.0.0.1"},
            ("num_nodes=2",),
            ["trainer::num_nodes: asks for 2 nodes, and MASTER_PORT, where they are to meet, is not set"],
        ),
        (
            PLACE | {"NODE_RANK": "1", "MASTER_ADDR": "no..host"},
            ("num_nodes=2",),
            ["trainer::num_nodes: asks for 2 nodes, and MASTER_ADDR=no..host is no host that is known here"],
        ),
        (
            PLACE | {"NODE_RANK": "abc"},
            ("num_nodes=2",),
            ["None: NODE_RANK is 'abc', not the number of a node"],
        ),
        (PLACE | {"NODE_RANK": "-1"}, ("num_nodes=2",), ["None: NODE_RANK is '-1', not the number of a node: 0, 1, …"]),
        (PLACE | {"MASTER_PORT": "abc"}, ("num_nodes=2",), ["None: MASTER_PORT is 'abc', not the number of a port"]),
        ({"MASTER_PORT": "80000"}, ("devices=2",), ["None: MASTER_PORT is '80000', not the number of a port"]),
        (
            {"LOCAL_RANK": "0"},
            ("devices=2",),
            ["trainer::devices: asks for 2 processes, and LOCAL_RANK=0 says that they have been started, which they "],
        ),
        (
            {"LOCAL_RANK": "1", "WORLD_SIZE": "1", "MASTER_PORT": "29500"},
            ("devices=2",),
            ["trainer::devices: asks for 2 processes, and LOCAL_RANK=1 says that they have been started, which they "],
        ),
        ({"LOCAL_RANK": "one"}, ("devices=2",), ["None: LOCAL_RANK is 'one', not the number of a process of its node"]),
        (PLACE | {"NODE_RANK": "2"}, ("num_nodes=2",), ["trainer::num_nodes: asks for 2 nodes, and NODE_RANK=2 says"]),
        (PLACE | {"NODE_RANK": "1"}, (), ["trainer::num_nodes: asks for 1 node, and NODE_RANK=1 says that this is "]),
    ],
)
def test_what_contradicts_the_environment_is_found(
    environment: dict[str, str], overrides: tuple[str, ...], expected: list[str]
) -> None:
    Path("config.yaml").write_text(Path("config.yaml").read_text().replace("  max_epochs: 2", "  count: 3"))
    said = found(environment, *(override for override in overrides if override != "count=3"))
    assert len(said) == len(expected)
    assert all(text.startswith(start) for text, start in zip(said, expected, strict=True)), said


@pytest.mark.parametrize(
    ("environment", "overrides"),
    [
        ({}, ()),
        ({}, ("devices=2",)),
        ({"NODE_RANK": "0"}, ("devices=2",)),  # as Lightning sets it for those that it starts
        ({"NODE_RANK": "0", "LOCAL_RANK": "1", "WORLD_SIZE": "2"} | PLACE, ("devices=2",)),
        (PLACE, ("num_nodes=2", "devices=2")),  # the first node may leave its number out
        ({"MASTER_PORT": "29500", "NODE_RANK": "0"}, ("num_nodes=2",)),  # and where it is
        (PLACE | {"NODE_RANK": "1"}, ("num_nodes=2",)),
        ({"LOCAL_RANK": "0"}, ()),  # of one process it says nothing
        (
            {"LOCAL_RANK": "0", "LIGHTER_LAUNCHER": ""},
            ("devices=2",),
        ),  # a second run of one process
        ({"MASTER_PORT": "none"}, ()),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, ("num_nodes=2",)),
        ({}, ("num_nodes=$1 + 1",)),
        ({}, ("num_nodes=2", "plugins=[{_target_: KubeflowEnvironment}]")),
        ({}, ("num_nodes=2", "strategy={_target_: Mine, cluster_environment: '$1'}")),
        (torchrun(2, 2), ("devices=2", "num_nodes=2")),
        (torchrun(2, 1), ("devices=2",)),  # two agents on one machine
        (torchrun(1, 2), ("devices=auto", "accelerator=gpu")),
        (torchrun(1, 2), ("devices=-1", "accelerator=gpu")),
        (torchrun(1, 2), ("devices=$1 + 1",)),
        (torchrun(1, 2), ("devices='0,1'", "accelerator=gpu")),
        (torchrun(1, 2), ("accelerator=tpu", "devices=[3]")),
        (srun(2, 2), ("devices=2", "num_nodes=2")),
        (srun(1, 1), ()),
        (srun(1, 1, SLURM_NTASKS_PER_NODE="4"), ()),  # a step of one task in a job of more
        (srun(1, 1, SLURM_JOB_NAME="bash"), ("devices=2",)),
        (srun(1, 4, SLURM_JOB_NAME="interactive"), ("devices=2",)),
        (without(srun(1, 1), "SLURM_STEP_ID"), ()),
    ],
)
def test_what_may_be_right_is_left_to_lightning(environment: dict[str, str], overrides: tuple[str, ...]) -> None:
    assert found(environment, *overrides) == []


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize("more", [(), ("--no-check",)])
def test_a_stage_refuses_with_the_place_and_the_way_out(
    command: str, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "config.yaml", "trainer::num_nodes=2", *more]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith("override 'trainer::num_nodes=2': trainer::num_nodes: asks for 2 nodes, and nothing here")
    assert "start it on each node with NODE_RANK=0, 1, … and the first node's MASTER_ADDR and MASTER_PORT" in said
    assert not Path("logs").exists()


SPAWNING = "{_target_: pytorch_lightning.strategies.DDPStrategy, start_method: forkserver}"


@pytest.mark.parametrize(
    ("strategy", "path", "value"),
    [
        ("ddp_spawn", "trainer::strategy", "ddp_spawn"),
        ("ddp_spawn_find_unused_parameters_true", "trainer::strategy", "ddp_spawn_find_unused_parameters_true"),
        (SPAWNING, "trainer::strategy::start_method", "forkserver"),
    ],
)
def test_ranks_that_would_be_spawned_are_refused(
    strategy: str, path: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["check", "--no-import"], ["check", "--stage=fit"], ["fit"], ["test", "--no-check"]):
        assert main([command[0], "config.yaml", f"trainer::strategy={strategy}", *command[1:]]) == 2
        printed = capsys.readouterr()
        said = " ".join((printed.out + printed.err).split())
        assert said.startswith(f"override 'trainer::strategy={strategy}': {path}: is '{value}': each rank would get")
        assert "ddp starts the command again for each rank, ddp_fork forks the process" in said
        assert said.count("each rank") == 2
    assert not Path("logs").exists()


def test_ranks_that_an_expression_spawns_are_refused_once_the_trainer_is_built(
    capsys: pytest.CaptureFixture[str],
) -> None:
    strategy = "trainer::strategy=$'ddp_' + 'spawn'"
    assert main(["check", "config.yaml", strategy]) == 0
    capsys.readouterr()
    assert main(["fit", "config.yaml", strategy]) == 2
    assert "trainer::strategy: is 'spawn': each rank" in " ".join(capsys.readouterr().err.split())
    assert not Path("logs").exists()


def mesh(strategy: str = "ModelParallelStrategy", **options: object) -> str:
    given = "".join(f", {name}: {option}" for name, option in options.items())
    return f"strategy={{_target_: pytorch_lightning.strategies.{strategy}{given}}}"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ("devices=4", mesh(data_parallel_size=2, tensor_parallel_size=1)),
            "trainer::strategy::data_parallel_size: data_parallel_size 2 times tensor_parallel_size 1 is 2, but "
            "devices 4 times num_nodes 1 is 4 let the two be 4 together, or leave both out",
        ),
        (
            ("devices=2", "num_nodes=2", mesh(tensor_parallel_size=4, data_parallel_size="auto")),
            "trainer::strategy::tensor_parallel_size: data_parallel_size 2 times tensor_parallel_size 4 is 8, but ",
        ),
        (
            ("devices=1", mesh(data_parallel_size=2, tensor_parallel_size=1)),
            "num_nodes 1 is 1 on one device leave the strategy out: '~trainer::strategy'",
        ),
        (
            ("devices=4", mesh("FSDPStrategy", sharding_strategy="HYBRID_SHARD", device_mesh=[2, 2])),
            "trainer::strategy::device_mesh: is a list, and FSDPStrategy takes a tuple: of replicas, and of the "
            "devices that share each write $(2, 2)",
        ),
    ],
)
def test_a_mesh_that_does_not_fit_is_refused(
    overrides: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"trainer::{override}" for override in overrides]
    for command in (["check", "--no-import"], ["check", "--stage=fit"], ["fit"], ["test", "--no-check"]):
        assert main([command[0], "config.yaml", *given, *command[1:]]) == 2
        printed = capsys.readouterr()
        said = " ".join((printed.out + printed.err).split())
        assert said.startswith("override 'trainer::strategy=")
        assert expected in said
    assert not Path("logs").exists()


@pytest.mark.parametrize(
    "overrides",
    [
        ("devices=4", mesh(data_parallel_size=2, tensor_parallel_size=2)),
        ("devices=4", "num_nodes=2", mesh()),
        ("devices=4", "num_nodes=2", mesh(data_parallel_size=2)),
        ("devices=4", mesh(data_parallel_size="$1 + 2")),
        ("devices=$2", mesh(data_parallel_size=3)),
        ("devices=auto", "accelerator=gpu", mesh(data_parallel_size=3)),
        ("devices=2", "strategy={_target_: project.parts.Own, data_parallel_size: 3}"),
        ("devices=4", mesh("FSDPStrategy", device_mesh="'$(2, 2)'")),
    ],
)
def test_a_mesh_that_may_fit_is_left_to_lightning(overrides: tuple[str, ...]) -> None:
    assert misfits(compose("config.yaml", [f"trainer::{override}" for override in overrides])) == []


@pytest.mark.parametrize("strategy", ["ddp", "ddp_fork", "'@::missing'", "[spawn]", "deepspeed_stage_2"])
def test_ranks_that_are_not_spawned_are_left_alone(strategy: str) -> None:
    assert spawning(compose("config.yaml", [f"trainer::strategy={strategy}"])) == []


def test_check_does_not_look_at_where_it_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in torchrun(4, 8).items():
        monkeypatch.setenv(name, value)
    assert main(["check", "config.yaml", "--stage", "fit", "trainer::num_nodes=2"]) == 0
    assert capsys.readouterr().out == "no problems\n"


def test_it_is_refused_before_torch_is_imported() -> None:
    code = (
        "import sys; from lighter.cli import main; status = main(['fit', 'config.yaml', 'trainer::num_nodes=2']);"
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 2


def test_only_the_first_rank_of_a_node_tells_what_all_of_them_find(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for rank, lines in ((0, 1), (1, 0)):
        monkeypatch.setenv("RANK", str(2 + rank))  # of the second node
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "4")
        assert main(["fit", "config.yaml", "system::modl=2", "--no-check"]) == 2
        assert capsys.readouterr().err.count("'modl' is not a known argument") == lines


def test_each_step_of_a_slurm_job_has_a_port_of_its_own() -> None:
    ports = set()
    for step in range(5):
        environment = SLURM | {"SLURM_NTASKS": "1", "SLURM_STEP_ID": str(step)}
        settle_port(environment)
        ports.add(int(environment.get("MASTER_PORT", 15000 + 4711)))  # the first step's is Lightning's own
    assert len(ports) == 5
    assert all(15000 <= port < 25000 for port in ports)
    given = SLURM | {"SLURM_NTASKS": "1", "SLURM_STEP_ID": "1", "MASTER_PORT": "29500"}
    settle_port(given)
    assert given["MASTER_PORT"] == "29500"


def test_what_the_environment_says_is_read_as_it_is_meant() -> None:
    assert str(launched(torchrun(2, 4))) == "torchrun has started 8 processes on 2 nodes"
    assert launched(srun(1, 2, SLURM_NTASKS="many")) is None
    assert launched({}) is None
    assert local_rank({"LOCAL_RANK": "1", "WORLD_SIZE": "2", "SLURM_LOCALID": "0"}) == 1
    assert local_rank({"LOCAL_RANK": "1", "LIGHTER_LAUNCHER": ""}) == 1, "Lightning takes WORLD_SIZE away at the end"
    assert local_rank({"LOCAL_RANK": "1"}) == 0, "it is left over, and what is wrong has to be told"
    assert local_rank({"SLURM_LOCALID": "3"}) == 3
    assert local_rank({}) == 0
