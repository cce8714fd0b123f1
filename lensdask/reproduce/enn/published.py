"""What Cheeramvelil, Gleyzer & Toomey 2023 print."""

__all__ = ["MODELS", "TABLE1", "TABLE2", "WHY_NO_MASSES"]

MODELS = {"Model A": "euclid", "Model B": "hst"}
"""Surveys of the two models."""

TABLE1 = {
    ("Model A", "resnet50"): (0.9686, 0.99740),
    ("Model A", "c8"): (0.9902, 0.99967),
    ("Model A", "harmonic"): (0.9095, 0.98516),
    ("Model A", "et"): (0.92413, 0.99321),
    ("Model B", "resnet50"): (0.9867, 0.99926),
    ("Model B", "c8"): (0.9928, 0.99972),
    ("Model B", "harmonic"): (0.9024, 0.98904),
    ("Model B", "et"): (0.9742, 0.99770),
}
"""Accuracy and area under the curve, by model and network: Table 1."""

TABLE2 = {
    ("Model A", "resnet50"): (0.01309, 1.31e-2, 0.01030),
    ("Model A", "c8"): (0.02504, 6.30e-4, 0.02096),
    ("Model A", "et"): (0.00691, 4.78e-5, 0.00690),
    ("Model A", "harmonic"): (0.02181, 7.88e-4, 0.02181),
    ("Model B", "resnet50"): (0.01685, 2.87e-4, 0.01306),
    ("Model B", "c8"): (0.00453, 2.07e-5, 0.00357),
    ("Model B", "et"): (0.00410, 1.69e-5, 0.00407),
    ("Model B", "harmonic"): (0.01068, 1.16e-4, 0.00818),
}
"""RMSE, MSE and MAE, by model and network: Table 2."""

WHY_NO_MASSES = (
    "Table 2 prints the distance of outputs from masses in eV, of 1e-24 to 1e-22, which is the distance from 0; and in "
    "two of its rows the MSE is not the square of the RMSE."
)
"""Why no error of a mass can be held against Table 2."""
