"""A run gives the same bits wherever it runs, and tells inputs at fault from chunks at fault."""

import importlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lensdask import data
from lensdask.code import Code
from lensdask.compute import (
    NOT_IDENTITY,
    Chunks,
    NewStore,
    RunOptions,
    Task,
    journal_path,
    run,
    run_record,
    start_cluster,
)
from lensdask.compute.runs import engine
from lensdask.compute.runs.attempts import attempt_all
from lensdask.compute.runs.executors import Direct
from lensdask.data import SHAPES
from lensdask.errors import InputError
from lensdask.random import Stream, generator

SIZE = 90


@dataclass(frozen=True)
class FunctionTask(Task):
    """Task of a function of this module; what it does on purpose wrong is no part of what it is."""

    function: Callable = field(metadata=NOT_IDENTITY)
    seed: int = 7
    refused: int = field(default=10, metadata=NOT_IDENTITY)

    def __call__(self, start, stop, device):
        return self.function(start, stop, self, device)


def draw(start, stop, task, device):
    """Rows keyed by id, and sums whose last bits depend on the order and threads of the sum."""
    assert device == "cpu"
    names = list(SHAPES.variables)
    draws = np.stack([generator(task.seed, Stream.NOISE, i).normal(size=(len(names), 2)) for i in range(start, stop)])
    table = {name: draws[:, k].astype("float32") for k, name in enumerate(names)}
    weights = torch.from_numpy(draws.astype("float32")).reshape(stop - start, -1)
    sums = {
        "count": np.array(stop - start),
        "squares": (weights.T @ weights).sum(0).numpy(),
        "mean": draws.mean(axis=(0, 2)),
    }
    return table, sums


def sums_only(start, stop, task, device):
    return None, draw(start, stop, task, device)[1]


def rows_only(start, stop, task, device):
    return draw(start, stop, task, device)[0], None


def raises(start, stop, task, device):
    if start == 10:
        raise RuntimeError("first line\nsecond line")
    return draw(start, stop, task, device)


def raises_always(start, stop, task, device):  # noqa: ARG001
    raise RuntimeError(f"{start} to {stop}")


def refuses(start, stop, task, device):
    if start == task.refused:
        raise InputError("catalogue.fits: row 13 has no flux; expected a number")
    return draw(start, stop, task, device)


def interrupts(start, stop, task, device):
    if start == 20:
        raise KeyboardInterrupt
    return draw(start, stop, task, device)


def store_of(path: Path) -> NewStore:
    coords = {"galaxy": np.arange(SIZE), "g1": [0.02, -0.02], "g2": [0.0, 0.0]}
    return NewStore(path, SHAPES, {"galaxy": SIZE, "shear": 2}, coords, {"estimator": "fpfs"})


def start_run(path: Path, function=draw, chunk=10, config=None, client=None, size=SIZE, output=None, **options):
    task = FunctionTask(function, **(config or {}))
    label = options.pop("label", function.__name__)
    settings = RunOptions(cluster=client, **({"show_progress": False} | options))
    return run(task, Chunks(size, chunk, "galaxies"), output or store_of(path), settings, label=label)


def digest(sums) -> list:
    return [
        chunk and {name: (value.dtype, value.shape, value.tobytes()) for name, value in chunk.items()} for chunk in sums
    ]


def content(path: Path) -> bytes:
    dataset = data.open(path).load()
    return b"".join(dataset[name].values.tobytes() for name in SHAPES.variables)


@pytest.fixture(scope="module", params=["threads-2", "local-1", "local-2"])
def cluster(request):
    kind, _, workers = request.param.partition("-")
    with start_cluster(kind, workers=int(workers)) as client:
        yield client


@pytest.mark.parametrize("chunk", [7, 30, 90, 100])
def test_same_bits_everywhere(tmp_path, cluster, chunk):
    direct = start_run(tmp_path / "direct.zarr", chunk=chunk)
    spread = start_run(tmp_path / "spread.zarr", chunk=chunk, client=cluster)
    assert digest(direct.sums) == digest(spread.sums)
    assert content(tmp_path / "direct.zarr") == content(tmp_path / "spread.zarr")
    assert spread.objects == direct.objects == SIZE
    assert spread.quarantined == direct.quarantined == ()
    assert direct.device == spread.device
    assert sum(chunk["count"] for chunk in spread.sums) == SIZE
    assert all(v.dtype == np.float64 for chunk in spread.sums for v in chunk.values())


def test_rows_do_not_depend_on_the_chunk(tmp_path):
    for chunk in (7, 30):
        start_run(tmp_path / f"{chunk}.zarr", chunk=chunk)
    assert content(tmp_path / "7.zarr") == content(tmp_path / "30.zarr")


def test_a_run_on_a_cluster_tells_faults_apart(tmp_path, cluster):
    result = start_run(tmp_path / "a.zarr", raises, client=cluster)
    (fault,) = result.quarantined
    assert (fault.chunk, fault.start, fault.stop) == (1, 10, 20)
    assert fault.reason == "RuntimeError: first line"
    assert result.retries == 2
    with pytest.raises(InputError, match="row 13 has no flux"):
        start_run(tmp_path / "b.zarr", refuses, client=cluster)


def test_chunk_that_always_raises_is_given_up_and_tried_again_on_resume(tmp_path):
    result = start_run(tmp_path / "a.zarr", raises, attempts=2)
    assert [fault.chunk for fault in result.quarantined] == [1]
    assert result.retries == 1
    assert result.objects == SIZE - 10
    assert [n for n, chunk in enumerate(result.sums) if chunk is None] == [1]
    rows = data.open(tmp_path / "a.zarr")["e1"]
    assert int(rows.isnull().any("shear").sum()) == 10
    again = start_run(tmp_path / "a.zarr", draw, if_exists="resume")
    assert again.objects == 10
    whole = start_run(tmp_path / "b.zarr")
    assert digest(again.sums) == digest(whole.sums)
    assert content(tmp_path / "a.zarr") == content(tmp_path / "b.zarr")


@pytest.mark.parametrize(
    ("error", "order"), [(RuntimeError("busy"), [0, 1, 2, 3, 1, 1]), (InputError("no flux"), [0, 1, 1, 1])]
)
def test_a_chunk_is_tried_again_last_unless_the_input_may_be_at_fault(error, order):
    tried = []

    def task(chunk):
        tried.append(chunk)
        if chunk == 1:
            raise error

    with pytest.raises(InputError) if isinstance(error, InputError) else nullcontext():
        attempt_all(Direct(task), range(4), 3, lambda _: None)
    assert tried == order


def test_interrupt_says_how_to_continue(tmp_path):
    with pytest.raises(KeyboardInterrupt, match='2 of 9 chunks done; continue with if_exists="resume"'):
        start_run(tmp_path / "a.zarr", interrupts)
    assert start_run(tmp_path / "a.zarr", if_exists="resume").objects == SIZE - 20


def test_input_error_stops_the_run(tmp_path):
    with pytest.raises(InputError, match="row 13"):
        start_run(tmp_path / "a.zarr", refuses)
    # What was measured before that is kept.
    assert start_run(tmp_path / "a.zarr", if_exists="resume").objects == SIZE - 10


def test_input_error_before_anything_is_measured_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="row 13"):
        start_run(tmp_path / "a.zarr", refuses, config={"refused": 0})
    assert list(tmp_path.iterdir()) == []
    assert start_run(tmp_path / "a.zarr").objects == SIZE


def test_input_error_in_a_resumed_run_loses_nothing(tmp_path):
    start_run(tmp_path / "a.zarr")
    journal = journal_path(tmp_path / "a.zarr")
    whole = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(whole[:2]))
    with pytest.raises(InputError, match="row 13"):
        start_run(tmp_path / "a.zarr", refuses, if_exists="resume")
    assert journal.read_bytes().startswith(b"".join(whole[:2]))


def test_sums_without_a_store(tmp_path):
    result = start_run(tmp_path / "a", sums_only, output=tmp_path / "a.journal.jsonl")
    assert len(result.sums) == 9
    assert [p.name for p in tmp_path.iterdir()] == ["a.journal.jsonl"]


def test_rows_without_sums(tmp_path):
    assert start_run(tmp_path / "a.zarr", rows_only).sums == [None] * 9
    assert start_run(tmp_path / "a.zarr", rows_only, if_exists="resume").objects == 0


def test_store_without_rows_is_refused(tmp_path):
    with pytest.raises(InputError, match="returned no rows"):
        start_run(tmp_path / "a.zarr", sums_only)


def test_resume_of_a_finished_run_computes_nothing(tmp_path):
    first = start_run(tmp_path / "a.zarr")
    again = start_run(tmp_path / "a.zarr", if_exists="resume")
    assert again.objects == 0
    assert digest(again.sums) == digest(first.sums)


def test_resume_of_a_run_that_has_not_started(tmp_path):
    assert start_run(tmp_path / "a.zarr", if_exists="resume").objects == SIZE


@pytest.mark.parametrize("if_exists", ["refuse", "overwrite"])
def test_a_template_that_is_refused_leaves_nothing(tmp_path, if_exists):
    wrong = replace(store_of(tmp_path / "a.zarr"), fixed={"colour": np.zeros(3)})
    with pytest.raises(InputError, match="colour"):
        start_run(tmp_path / "a.zarr", output=wrong, if_exists=if_exists)
    assert list(tmp_path.iterdir()) == []


def test_what_another_run_left_is_not_discarded(tmp_path, monkeypatch):
    # As if the other one had ended between the first look and the lock.
    monkeypatch.setattr(importlib.import_module("lensdask.compute.runs.engine"), "refuse_existing", lambda *_: None)
    store_of(tmp_path / "a.zarr").create(10, {})
    with pytest.raises(InputError, match="no journal to resume from"):
        start_run(tmp_path / "a.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_existing_run_is_refused(tmp_path):
    start_run(tmp_path / "a.zarr")
    with pytest.raises(InputError, match='if_exists="resume" or replace it with if_exists="overwrite"'):
        start_run(tmp_path / "a.zarr")
    journal_path(tmp_path / "a.zarr").unlink()
    for if_exists, message in (("refuse", "earlier run"), ("resume", "no journal")):
        with pytest.raises(InputError, match=message):
            start_run(tmp_path / "a.zarr", if_exists=if_exists)


def test_overwrite_starts_again(tmp_path):
    start_run(tmp_path / "a.zarr", chunk=30)
    other = {"seed": 8}
    result = start_run(tmp_path / "a.zarr", config=other, if_exists="overwrite")
    assert result.objects == SIZE
    start_run(tmp_path / "b.zarr", config=other)
    assert content(tmp_path / "a.zarr") == content(tmp_path / "b.zarr")


@pytest.mark.parametrize("again", ["resume", "overwrite"])
def test_overwrite_that_is_cut_off_leaves_nothing_half(tmp_path, monkeypatch, again):
    """Neither a journal that has chunks for done whose files are deleted, nor a store that --overwrite would refuse."""
    store = tmp_path / "a.zarr"
    start_run(store)

    def cut_off(path):
        (Path(path) / "zarr.json").unlink()
        (Path(path) / "e1" / "c" / "0" / "0").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lensdask.data.groups.shutil.rmtree", cut_off)
        with pytest.raises(KeyboardInterrupt, match="0 of 9 chunks done"):
            start_run(store, if_exists="overwrite")
    assert not store.exists()
    assert not journal_path(store).exists()
    assert start_run(store, if_exists=again).objects == SIZE
    assert {path.name for path in tmp_path.iterdir()} == {"a.zarr", "a.zarr.journal.jsonl"}
    start_run(tmp_path / "b.zarr")
    assert content(store) == content(tmp_path / "b.zarr")


def test_a_run_through_a_link_is_the_run_it_points_to(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link.zarr").symlink_to(tmp_path / "disk" / "a.zarr", target_is_directory=True)
    first = start_run(tmp_path / "link.zarr")
    assert start_run(tmp_path / "link.zarr", if_exists="resume").objects == 0
    again = start_run(tmp_path / "link.zarr", if_exists="overwrite")
    assert digest(again.sums) == digest(first.sums)
    assert (tmp_path / "link.zarr").is_symlink()
    assert {path.name for path in (tmp_path / "disk").iterdir()} == {"a.zarr", "a.zarr.journal.jsonl"}


def test_overwrite_deletes_stores_only(tmp_path):
    (tmp_path / "papers").mkdir()
    with pytest.raises(InputError, match="is not a store"):
        start_run(tmp_path / "papers", if_exists="overwrite")
    assert (tmp_path / "papers").exists()


def test_store_that_is_gone(tmp_path):
    start_run(tmp_path / "a.zarr")
    data.remove(tmp_path / "a.zarr")
    with pytest.raises(InputError, match="is gone, but its journal is not"):
        start_run(tmp_path / "a.zarr", if_exists="resume")


@pytest.mark.parametrize("change", [{"chunk": 30}, {"config": {"seed": 8}}, {"size": 80}])
def test_another_configuration_is_refused(tmp_path, change):
    start_run(tmp_path / "a.zarr")
    with pytest.raises(InputError, match="another configuration"):
        start_run(tmp_path / "a.zarr", if_exists="resume", **change)


def test_chunks_that_do_not_fit_the_store_are_refused(tmp_path, monkeypatch):
    create = NewStore.create
    monkeypatch.setattr(NewStore, "create", lambda self, _chunk, settings: create(self, 30, settings))
    with pytest.raises(InputError, match="whole chunks of 30"):
        start_run(tmp_path / "a.zarr")


@pytest.mark.parametrize("change", [{"size": 0}, {"chunk": 0}])
def test_empty_run_is_refused(tmp_path, change):
    with pytest.raises(InputError, match="expected at least 1"):
        start_run(tmp_path / "a.zarr", **change)


def test_many_chunks_that_are_given_up_are_counted(tmp_path, capfd):
    start_run(tmp_path / "a.zarr", raises_always, chunk=5, attempts=1, show_progress=True)
    lines = capfd.readouterr().err.splitlines()
    assert sum("was given up" in line for line in lines) == 10
    assert lines[-1].endswith(", 18 quarantined")


def test_torch_is_put_back(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        start_run(tmp_path / "a.zarr")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_one_line_at_the_end_when_not_in_a_terminal(tmp_path, capfd):
    start_run(tmp_path / "a.zarr", raises, attempts=2, show_progress=True, label="shapes")
    out, err = capfd.readouterr()
    assert out == ""
    fault, summary = err.splitlines()
    assert fault == "shapes: chunk 1 (galaxies 10 to 19) was given up: RuntimeError: first line"
    assert summary.startswith("shapes: 80 galaxies (")
    assert summary.endswith(", 1 retries, 1 quarantined")
    start_run(tmp_path / "b.zarr")
    assert capfd.readouterr() == ("", "")


def test_record():
    record = run_record("a processor", 2.0, 100)
    assert record["objects_per_s"] == 50.0
    assert {"python", "torch", "dask", "numpy", "zarr"} <= set(record["versions"])


def test_a_run_is_not_resumed_under_other_code(tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"
    start_run(path)
    begun, fpfs = engine.code_now, {"lensdask/shear/shapes/fpfs.py": "other"}
    monkeypatch.setattr(engine, "code_now", lambda module: {**begun(module), "files": begun(module)["files"] | fpfs})
    with pytest.raises(InputError, match=r"lensdask/shear/shapes/fpfs\.py changed since the run began"):
        start_run(path, if_exists="resume")
    monkeypatch.setattr(engine, "code_now", begun)
    start_run(path, if_exists="resume")


def test_workers_with_other_code_are_refused(tmp_path, monkeypatch):
    other = replace(Code.of(__name__), checksum="other", sources="other")
    monkeypatch.setattr(Code, "of", lambda _: other)
    with start_cluster("local", workers=1) as client, pytest.raises(InputError, match="a worker has other code"):
        start_run(tmp_path / "a.zarr", client=client)
    assert not (tmp_path / "a.zarr").exists()
