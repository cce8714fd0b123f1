"""How surveys name the columns of their shear catalogues, and which signs their components have.

Maps have north up and x to the west, and g2 > 0 from north west to south east, as the catalogues that TreeCorr takes
without a flip ("Shear Conventions" of its documentation). A sign is here where a document states it: a pipeline that
measures tangential shear around lenses with these columns, which a wrong sign would spoil. Where none was found, the
user has to say it.
"""

from typing import NamedTuple

from lensdask.errors import InputError, check_choice

__all__ = ["SURVEYS", "SurveyCatalogue", "find_survey", "signs_of"]


class SurveyCatalogue(NamedTuple):
    """The shear catalogue of a survey."""

    columns: tuple[str, ...]
    """Names of the positions, the two components of the shear, and of the weight where there is one."""
    flip_g1: bool | None
    """Whether the sign of the first component is to be reversed; None if no document was found that says so."""
    flip_g2: bool | None
    """The same of the second component."""
    source: str
    """The document."""
    hdu: str | None = None
    """Group of an HDF5 file, where others have columns of the same names."""
    response: str = ""
    """What turns the ellipticities into reduced shear, where they have to be divided by something."""


_DES = "des-science/y6kp-ggl-measurements, source/setup.py: get_gammat gives TreeCorr both components as they are"

SURVEYS = {
    "kids": SurveyCatalogue(
        ("ALPHA_J2000", "DELTA_J2000", "e1", "e2", "weight"),
        flip_g1=False,
        flip_g2=False,
        source="KiDS-WL/Cat_to_Obs_K1000_P1, Calc_2pt_Stats/calc_gt_w_treecorr.py: both components as they are",
        response="1 + m, their mean multiplicative bias",
    ),
    "des-y3": SurveyCatalogue(
        ("ra", "dec", "e_1", "e_2", "weight"),
        flip_g1=False,
        flip_g2=False,
        source=_DES,
        hdu="catalog/unsheared",
        response="their mean response, that of metacalibration and of the selection",
    ),
    "hsc-y3": SurveyCatalogue(
        (
            "i_ra",
            "i_dec",
            "i_hsmshaperegauss_e1",
            "i_hsmshaperegauss_e2",
            "i_hsmshaperegauss_derived_weight",
        ),
        flip_g1=False,
        flip_g2=True,
        source="johannesulf/dsigma, dsigma/scripts/process_hsc_y3.py: e_2 has the other sign than in KiDS and DES",
        response="2 R (1 + m), R being their responsivity, since they are distortions",
    ),
    "cosmos": SurveyCatalogue(
        ("ra", "dec", "g1", "g2", "weight"),
        flip_g1=False,
        flip_g2=False,
        source="Schrabback et al. 2010, as lenspack has it; docs/cosmos: with g2 reversed its peaks are lower",
    ),
    "metadetect": SurveyCatalogue(
        ("ra", "dec", "gauss_g_1", "gauss_g_2"),
        flip_g1=False,
        flip_g2=False,
        source=f"DES Y6: {_DES}, of source/prepare_metadetect.py",
        hdu="mdet/noshear",
        response="their mean response, from the catalogues of sheared images",
    ),
    "anacal": SurveyCatalogue(
        ("ra", "dec", "fpfs_e1", "fpfs_e2", "wsel"),
        flip_g1=None,
        flip_g2=None,
        source="columns: LSSTDESC/TXPipe, txpipe/ingest/anacal.py; the signs are those of the pixels of an image",
        response="their mean response, with that of wsel",
    ),
}
"""By their names."""


def find_survey(name: str) -> SurveyCatalogue:
    """Return the shear catalogue of a survey.

    Raises
    ------
    InputError
        There is no such survey.
    """
    check_choice("survey", name, SURVEYS)
    return SURVEYS[name]


def signs_of(name: str | None, flip_g1: bool | None, flip_g2: bool | None) -> tuple[float, float]:
    """Return by what the components are multiplied, each that of the survey unless it is given.

    Raises
    ------
    InputError
        Nothing says what the signs are.
    """
    known = (False, False) if name is None else find_survey(name)[1:3]
    flips = [own if given is None else given for own, given in zip(known, (flip_g1, flip_g2), strict=True)]
    if None in flips:
        raise InputError(
            f"survey {name}: no document states the signs of its shear; expected to be told whether to flip them, each "
            "yes or no (flip_g1, flip_g2)"
        )
    return -1.0 if flips[0] else 1.0, -1.0 if flips[1] else 1.0
