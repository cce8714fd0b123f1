"""The experiments on strong lenses: Cheeramvelil, Gleyzer & Toomey 2023."""

from collections.abc import Callable, Sequence
from pathlib import Path

from lensdask.plots.lens_information import plot_information
from lensdask.plots.lens_study import (
    plot_convergence,
    plot_learning_curve,
    plot_rotation,
    plot_table1,
    plot_table2,
)
from lensdask.reproduce.enn.convergence import convergence, convergence_lessons
from lensdask.reproduce.enn.curves import curve_lessons, learning_curve
from lensdask.reproduce.enn.information import information, looks_lessons
from lensdask.reproduce.enn.masses import table2, table2_lessons
from lensdask.reproduce.enn.published import WHY_NO_MASSES
from lensdask.reproduce.enn.study import Lesson, Study
from lensdask.reproduce.enn.tables import rotation, rotation_lessons, table1, table1_lessons
from lensdask.reproduce.experiment import Experiment, Job

__all__ = ["ENN"]


def _of(lessons: Callable[[Study], Sequence[Lesson]]) -> Callable[[Job], Sequence[Path]]:
    """Return the function that names the networks of an experiment."""

    def files(job: Job) -> Sequence[Path]:
        study = Study.of(job)
        return list(dict.fromkeys(study.weights(lesson) for lesson in lessons(study)))

    return files


_STUDY = (
    "Size small has networks of 15 thousand to 3 million parameters, a ResNet of 18 layers in place of that of 50, and "
    "at most 2,700 training images of each class, where the paper has 30,000. A tenth of the lenses "
    "chooses the best epoch, the temperature and the offsets of classes; the test lenses are others. Errors and "
    "intervals are of resamplings of the test lenses, and of the trainings where there are several. "
)

_COMPUTE = (
    "At equal compute every network has as many epochs as fit into one CPU time, planned by the cost of an image; the "
    "CPU times in the table are measured. "
)

ENN = (
    Experiment(
        "enn.table1",
        "accuracy and area under the curve of five networks on the published simulation",
        "Table 1",
        "the C8 steerable network is the best on both models, and ResNet50 is ahead of the two others",
        table1,
        plot_table1,
        networks=_of(table1_lessons),
        note=_STUDY + _COMPUTE + "Images are without noise, as the published ones are; all lenses have one mass and "
        "point one way. The network called C8 has four turns in the authors' code, ours eight; the lens-net is ours.",
    ),
    Experiment(
        "enn.table2",
        "errors of the axion mass by its size, beside what no estimate can beat",
        "Table 2",
        "equivariant networks have the lower errors, the Equivariant Transformer the lowest",
        table2,
        plot_table2,
        networks=_of(table2_lessons),
        note=f"{_STUDY}{_COMPUTE}{WHY_NO_MASSES} Ours learn log10 m, of physical lenses with noise. The Cramér-Rao "
        "bound, with lens, source and the mass of the vortex free, holds for the scatter of an estimate over the slope "
        "of its mean. Errors themselves may lie below it where it exceeds the prior: the same mass for all has an RMSE "
        "of 0.577 dex.",
    ),
    Experiment(
        "enn.learning_curve",
        "accuracy, likelihood and calibration by the number of training images, at equal compute and at equal epochs",
        "no figure of the paper",
        "to be learned: the paper has one number of images, and one training of each network",
        learning_curve,
        plot_learning_curve,
        networks=_of(curve_lessons),
        note=_STUDY + _COMPUTE + "Physical lenses as Euclid sees them, with the substructure of the published "
        "simulation, 3.8e10 solar masses in 25 points or a vortex of 3e10; for one network also with subhaloes of cold "
        "dark matter, half a per cent of the mass. The calibration error is that of ten bins of equal numbers; a "
        "perfectly calibrated network has one by chance. The best equivariant network is the one of the highest "
        "validation accuracy. The lens-net also sees what a fitted smooth lens leaves of an image; the fits to its "
        "training and validation images count as its compute. For two more networks the inputs are swapped.",
    ),
    Experiment(
        "enn.convergence",
        "epochs and CPU time until networks come near their final validation accuracy",
        "Section 3",
        "equivariant networks converge faster than ResNet50",
        convergence,
        plot_convergence,
        networks=_of(convergence_lessons),
        note=_STUDY
        + _COMPUTE
        + "The trainings are those of the learning curve at equal compute; the final accuracy is "
        "that of the last epoch. An accuracy on 930 validation lenses has an error of up to 0.016.",
    ),
    Experiment(
        "enn.rotation",
        "accuracy on lenses that are turned after the training",
        "no figure of the paper",
        "to be learned: the paper does not turn its lenses, which all point one way",
        rotation,
        plot_rotation,
        networks=_of(rotation_lessons),
        note=_STUDY + "The networks are those of table 1 for Model A, trained on lenses that point one way, without "
        "turned or mirrored copies. Turned lenses are simulated anew; the PSF is not turned.",
    ),
    Experiment(
        "enn.information",
        "what images tell of dark matter whatever reads them, and what gives their class away",
        "no figure of the paper",
        "to be learned: the paper classifies the images of one smooth lens, and does not ask what a survey can tell",
        information,
        plot_information,
        networks=_of(looks_lessons),
        note="S/N is that of the image with substructure less the one without, in units of the noise of the survey, "
        "projected off the derivatives with respect to the 12 numbers of smooth lens, shear and source; medians over "
        "lenses, errors of resamplings. Deeplensesim is one smooth lens of 0.81 arcsec with 25 points or a vortex of "
        "a hundred; physical lenses are random ones, which lose the mass that subhaloes or a line vortex add but for "
        "CDM as coded. CDM of slope -1.9 is 25 points of deeplensesim, above 1e6 solar masses or 1e8; physical CDM is "
        "half a per cent of the mass of the lens. Bounds have the vortex's mass and angle free as well; a line longer "
        "than the arcs are wide hides its length in its mass, a hundred points tell it by their distances. "
        "Classifiers without physics learn from 1,500 images. The derivatives shown are those of a steerable network "
        "of the learning curve, up to the 99th percentile: median and deviation of an image, which "
        "are its unit, are two pixels of larger ones.",
    ),
)
"""All that is reproduced of the paper."""
