"""``lensdask lss infer`` as a user meets it: constraints with their tests, and one line for every mistake."""

import json

import numpy as np
import pytest
from command_line import call
from lss_toy import toy_dataset, write_toy

import lensdask
from lensdask.data import LSS_CHAINS, write
from lensdask.errors import InputError
from lensdask.lss.inference.chains import ChainSettings
from lensdask.lss.inference.infer import infer
from lensdask.lss.parameters import LINEAR

PNG = b"\x89PNG\r\n\x1a\n"
QUICK = ("--epochs", 3, "--steps", 1500, "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with summaries, those of another compressor, and few."""
    place = tmp_path_factory.mktemp("infer")
    write_toy(place / "summaries.zarr", 3000)
    write_toy(place / "other.zarr", 60, seed=1, compressor_sha256="1" * 64)
    write_toy(place / "few.zarr", 500)
    np.savez(place / "observed.npz", theta_summary=np.array([0.3, 0.77, 0.4, 1.5, 0.7, 1.6, 0.5]), parameters=LINEAR)
    return place


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def inferred(folder):
    """Return the folder of results of the fiducial observation, exit code, and what was printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        code = call(patch, "lss", "infer", "summaries.zarr", "fiducial", "--mocks", 20, *QUICK)
    return folder / "fiducial", code


def test_results_of_the_fiducial_observation(inferred):
    out, code = inferred
    assert code == 0
    result = json.loads((out / "result.json").read_text())
    assert set(result) >= {"experiment", "size", "rows", "run", "chain", "warnings", "mocks_from"}
    assert result["size"] == 2980
    rows = {row["quantity"]: row for row in result["rows"]}
    for name in (*LINEAR, "sigma8"):
        mean, scatter = rows[f"{name} mean"], rows[f"{name} standard deviation"]
        assert abs(mean["measured"] - mean["truth"]) < 0.5 * scatter["measured"]
        assert 0 < mean["error"] < scatter["measured"]
        span = [rows[f"{name} {end}"]["measured"] for end in ("lower 95 %", "lower 68 %", "upper 68 %", "upper 95 %")]
        assert span == sorted(span)
    merit = [row["measured"] for name, row in rows.items() if name.startswith("figure of merit: 1 /")]
    assert len(merit) == 3
    assert rows["coverage 68% of a_ia"]["n"] == 20
    assert 0 < rows["p-value of the observation among the simulations"]["measured"] <= 1
    assert {"p-value, TARP", "p-value, ranks of s8", "Δμ mean", "Δσ scatter"} <= set(rows)
    for picture in ("corner.png", "trust.png"):
        assert (out / picture).read_bytes().startswith(PNG)


def test_a_short_chain_is_flagged(inferred):
    out, _ = inferred
    result = json.loads((out / "result.json").read_text())
    assert result["chain"]["long_enough"] is False
    assert any("autocorrelation times long, less than asked for" in line for line in result["warnings"])
    assert lensdask.open(out / "chains.zarr").attrs["long_enough"] is False


def test_chains_and_likelihood_are_stored(inferred):
    out, _ = inferred
    chains = lensdask.open(out / "chains.zarr")
    LSS_CHAINS.validate(chains)
    assert chains.sizes == {"chain": 128, "draw": 1000, "parameter": 7}
    card = json.loads((out / "likelihood.json").read_text())
    assert card["parameters_of_model"] == list(LINEAR)


def test_a_row_is_not_learned_from(here, monkeypatch, capfd):
    arguments = ("lss", "infer", "summaries.zarr", "row", "--observation", 7, "--mocks", 0, *QUICK, "--json")
    assert call(monkeypatch, *arguments) == 0
    printed = capfd.readouterr()
    result = json.loads(printed.out)
    assert result == json.loads((here / "row" / "result.json").read_text())
    assert result["observation"] == "row 7"
    assert result["size"] == 2999
    assert "no mocks: whether the posterior covers the truth was not tested" in printed.err


def test_a_compressor_of_another_sky_is_warned_of(here, monkeypatch, capfd):
    write_toy(here / "nbody.zarr", 1500, sky="nbody", compressor_sky="lognormal")
    quick = ("--mocks", 0, "--epochs", 1, "--steps", 800, "--device", "cpu")
    assert call(monkeypatch, "lss", "infer", "nbody.zarr", "nbody", "--observation", 7, *quick) == 0
    (line,) = [w for w in json.loads((here / "nbody" / "result.json").read_text())["warnings"] if "tiles" in w]
    assert line.startswith("the compressor learned from lognormal tiles and is used on nbody ones")
    assert f"lensdask: {line}" in capfd.readouterr().err


def test_resumption_trains_nothing_twice(folder):
    chain = ChainSettings(walkers=32, steps=1500)
    settings = {"observation": folder / "observed.npz", "mocks": 0, "epochs": 2, "chain": chain, "device": "cpu"}
    first = infer(folder / "file", folder / "summaries.zarr", **settings)
    assert first.observation.name == "observed.npz"
    with pytest.raises(InputError, match=r"result.json exists; replace it with overwrite=True"):
        infer(folder / "file", folder / "summaries.zarr", **settings)
    time = (folder / "file" / "likelihood.safetensors").stat().st_mtime_ns
    again = infer(folder / "file", folder / "summaries.zarr", **settings, resume=True)
    assert (folder / "file" / "likelihood.safetensors").stat().st_mtime_ns == time
    np.testing.assert_array_equal(first.chain.theta, again.chain.theta)
    with pytest.raises(InputError, match=r"result.json is of observation observed.npz; expected row 3, or overwrite"):
        infer(folder / "file", folder / "summaries.zarr", **settings | {"observation": 3}, resume=True)
    assert (folder / "file" / "result.json").exists()


def mistaken(monkeypatch, capfd, *arguments):
    """Run a command that must fail with one line, and return the line."""
    assert call(monkeypatch, "lss", "infer", *arguments) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("few.zarr", "out"), "few.zarr: 500 samples; expected at least 1000"),
        (("none.zarr", "out"), "none.zarr does not exist"),
        (("summaries.zarr", "summaries.zarr"), "summaries.zarr: not a directory for results"),
        (("summaries.zarr", "out", "--observation", 3000), "observation: row 3000; expected 0 to 2999"),
        (("summaries.zarr", "out", "--observation", -1), "observation: row -1; expected 0 to 2999"),
        (("summaries.zarr", "out", "--observation", "none.npz"), "none.npz does not exist; expected fiducial, the"),
        (("summaries.zarr", "out", "--mocks", 5), "mocks: 5; expected a whole number of at least 20"),
        (("summaries.zarr", "out", "--mocks", 2000), "1000 of 3000 samples are left once mocks and observation"),
        (("summaries.zarr", "out", "--mocks", 4000), "mocks: 4000; expected at most 3000, the parameter sets of"),
        (("summaries.zarr", "out", "--calibration", "other.zarr"), "other.zarr: summaries of compressor 1111"),
        (("summaries.zarr", "out", "--density", "maf"), "density: 'maf'; expected mdn or flow"),
        (("summaries.zarr", "out", "--resume", "--overwrite"), "expected one of them"),
        (("summaries.zarr", "out", "--steps", 100), "chain steps: 100; expected a whole number of at least 500"),
    ],
)
def test_bad_input(here, monkeypatch, capfd, arguments, message):
    assert message in mistaken(monkeypatch, capfd, *arguments)
    assert not (here / "out" / "result.json").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"theta": np.zeros(7)}, "bad.npz: has theta; expected a .npz file with the array 'theta_summary'"),
        ({"theta_summary": np.zeros(6)}, "bad.npz: theta_summary has shape (6,), float64; expected 7 finite numbers"),
        ({"theta_summary": np.full(7, np.nan)}, "expected 7 finite numbers"),
        ({"theta_summary": np.array(["a"] * 7)}, "expected 7 finite numbers"),
        ({"theta_summary": np.zeros(7), "parameters": LINEAR[::-1]}, "bad.npz: parameters eta_b, eta_ia"),
        ({"theta_summary": np.array([0.3, 0.77, 0.4, 9.5, 0.7, 1.6, 0.5])}, "b_g = 9.5 lies outside of the training"),
    ],
)
def test_bad_observations(here, monkeypatch, capfd, arrays, message):
    np.savez(here / "bad.npz", **arrays)
    line = mistaken(monkeypatch, capfd, "summaries.zarr", "out", "--observation", "bad.npz", "--mocks", 0)
    assert message in line
    assert not (here / "out").exists()
    # A mistake costs no earlier results either.
    (here / "earlier").mkdir(exist_ok=True)
    (here / "earlier" / "result.json").write_text("{}")
    arguments = ("summaries.zarr", "earlier", "--observation", "bad.npz", "--mocks", 0, "--overwrite")
    assert message in mistaken(monkeypatch, capfd, *arguments)
    assert (here / "earlier" / "result.json").read_text() == "{}"


def test_no_file_of_numpy(here, monkeypatch, capfd):
    (here / "text.npz").write_text("no")
    line = mistaken(monkeypatch, capfd, "summaries.zarr", "out", "--observation", "text.npz", "--mocks", 0)
    assert "text.npz: " in line
    assert "expected a .npz file with the array 'theta_summary'" in line


def test_summaries_that_are_not_finite(here, monkeypatch, capfd):
    dataset = toy_dataset(1200)
    dataset["theta_summary"][17, 2] = np.nan
    write(dataset, here / "nan.zarr", overwrite=True)
    line = mistaken(monkeypatch, capfd, "nan.zarr", "out")
    assert "theta_summary is not finite in 1 samples, the first in row 17; expected a finished prediction" in line


def test_a_parameter_that_never_changes(here, monkeypatch, capfd):
    dataset = toy_dataset(1200)
    dataset["theta_true"][:, 6] = 0.5
    write(dataset, here / "still.zarr", overwrite=True)
    line = mistaken(monkeypatch, capfd, "still.zarr", "out")
    assert "still.zarr: eta_b is 0.5 in all samples; expected simulations that vary it" in line


def test_summaries_outside_of_the_prior(here, monkeypatch, capfd):
    dataset = toy_dataset(1200)
    dataset["theta_true"][3, 2] = 7.0
    write(dataset, here / "wide.zarr", overwrite=True)
    line = mistaken(monkeypatch, capfd, "wide.zarr", "out")
    assert "1 of 1200 samples lie outside of the prior, the first in row 3" in line
    assert "a_ia = 7" in line


def test_a_store_of_another_schema(monkeypatch, capfd, inferred):
    out, _ = inferred
    line = mistaken(monkeypatch, capfd, out / "chains.zarr", out.parent / "out")
    assert "a store of schema 'lss_chains'; expected 'lss_summaries'" in line
