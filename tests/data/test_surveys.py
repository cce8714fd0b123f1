"""Columns and signs of surveys: known where a document states them, asked for elsewhere."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.table import Table

from lensdask.data.catalogues.columns import CatalogueWarning
from lensdask.data.catalogues.surveys import SURVEYS, find_survey
from lensdask.data.tables import read_shear_catalogue
from lensdask.errors import InputError

VALUES = {"x": 150.0, "y": 2.0, "g1": 0.1, "g2": 0.2, "weight": 3.0}
SIGNS = {
    "kids": (1, 1),
    "des-y3": (1, 1),
    "hsc-y3": (1, -1),
    "cosmos": (1, 1),
    "metadetect": (1, 1),
}


def write(path: Path, name: str) -> Path:
    survey = SURVEYS[name]
    Table({column: [value] for column, value in zip(survey.columns, VALUES.values(), strict=False)}).write(path)
    return path


@pytest.mark.parametrize("name", SIGNS)
def test_columns_and_signs_of_a_survey(tmp_path: Path, name: str) -> None:
    lines: list[str] = []
    found = read_shear_catalogue(write(tmp_path / "a.fits", name), survey=name, warn=lines.append)
    signs = dict(zip(("g1", "g2"), SIGNS[name], strict=True))
    assert {role: column.item() for role, column in found.items()} == {
        role: signs.get(role, 1) * value for role, value in list(VALUES.items())[: len(SURVEYS[name].columns)]
    }
    # Ellipticities are no shear until they are divided by something.
    assert len(lines) == bool(SURVEYS[name].response)
    assert all("divide them by " in line for line in lines)
    assert len(SURVEYS[name].source) > 20


def test_every_survey_has_its_signs_from_a_document_or_none() -> None:
    known = {name for name, survey in SURVEYS.items() if survey.flip_g1 is not None and survey.flip_g2 is not None}
    assert known == set(SIGNS)
    with pytest.raises(InputError, match="survey: 'sdss'; expected kids, des-y3"):
        find_survey("sdss")


def test_signs_that_no_document_states_are_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", "anacal")
    for given in ({}, {"flip_g1": False}, {"flip_g2": True}):
        with pytest.raises(
            InputError, match=r"survey anacal: no document states the signs .* yes or no .flip_g1, flip_g2.$"
        ):
            read_shear_catalogue(path, survey="anacal", **given)
    found = read_shear_catalogue(path, survey="anacal", flip_g1=True, flip_g2=False, response=0.5)
    assert (found["g1"].item(), found["g2"].item()) == (-0.2, 0.4)


def test_what_is_given_wins_over_the_survey(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", "hsc-y3")
    with pytest.warns(CatalogueWarning, match="ellipticities, taken for reduced shear; divide them by 2 R"):
        found = read_shear_catalogue(path, survey="hsc-y3", flip_g1=True, flip_g2=False)
    assert (found["g1"].item(), found["g2"].item()) == (-0.1, 0.2)
    Table({name: [value] for name, value in VALUES.items()}).write(tmp_path / "b.fits")
    found = read_shear_catalogue(tmp_path / "b.fits", list(VALUES), survey="hsc-y3", response=2.0)
    assert (found["g1"].item(), found["g2"].item()) == (0.05, -0.1)
    for response in (0.0, np.nan, -1.0):
        with pytest.raises(InputError, match=r"response: .*; expected a number from 0.01 to 10"):
            read_shear_catalogue(tmp_path / "b.fits", list(VALUES), response=response)


def test_groups_of_des_are_told_apart(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "des.h5", "w") as file:
        for group, factor in {"sheared_1p": 2.0, "unsheared": 1.0}.items():
            for column, value in zip(SURVEYS["des-y3"].columns, VALUES.values(), strict=True):
                file[f"catalog/{group}/{column}"] = [factor * value]
    found = read_shear_catalogue(tmp_path / "des.h5", survey="des-y3", response=1.0)
    assert {role: column.item() for role, column in found.items()} == VALUES
    sheared = read_shear_catalogue(tmp_path / "des.h5", survey="des-y3", response=1.0, hdu="catalog/sheared_1p")
    assert sheared["g1"].item() == 0.2
