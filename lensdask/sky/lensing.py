"""From convergence to shear and back on the flat sky: the one place of the spin-2 kernel.

Both are second derivatives of the lensing potential, so in Fourier space shear is convergence times a phase that turns
twice as the direction of the wave turns once (Kaiser & Squires 1993)::

    γ(ℓ) = κ(ℓ) (ℓ1² - ℓ2² + 2 i ℓ1 ℓ2) / ℓ²        γ = γ1 + i γ2, ℓ1 along x, ℓ2 along y

Maps are arrays ``(..., y, x)`` of square pixels, fields may be rectangular, and they are taken as periodic: pad a field
that is not. Two waves have no direction and are left out. The mean, ℓ = 0: shear does not know it (the mass-sheet
degeneracy). And the row and column of the Nyquist frequency, where +ℓ and -ℓ are the same wave, so that ℓ1 ℓ2 has no
sign; codes that keep them differ from each other there.
"""

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, constant, namespace

__all__ = ["convergence_of_shear", "reduced_shear", "shear_of_convergence"]


def _spin2_kernel(ny: int, nx: int) -> npt.NDArray[np.float64]:
    """Return (ℓ1² - ℓ2²) / ℓ² and 2 ℓ1 ℓ2 / ℓ² on the half plane ℓ1 >= 0, shape (2, ny, nx // 2 + 1)."""
    l1, l2 = np.fft.rfftfreq(nx)[None, :], np.fft.fftfreq(ny)[:, None]
    square = l1**2 + l2**2
    square[0, 0] = 1.0
    kernel = np.stack([l1**2 - l2**2, 2 * l1 * l2]) / square
    if ny % 2 == 0:
        kernel[:, ny // 2, :] = 0.0
    if nx % 2 == 0:
        kernel[:, :, nx // 2] = 0.0
    return np.asarray(kernel, dtype=np.float64)


def shear_of_convergence(kappa: Array) -> tuple[Array, Array]:
    """Return the shear of periodic convergence maps.

    Parameters
    ----------
    kappa
        Real, shape (..., y, x), of NumPy, CuPy or torch.

    Returns
    -------
    gamma1, gamma2
        In the frame of the array: gamma1 > 0 stretches along x, gamma2 > 0 along x = y. Shape (..., y, x).
    """
    xp, shape = namespace(kappa), kappa.shape[-2:]
    kernel = constant(_spin2_kernel, *shape, reference=kappa)
    plane = xp.fft.rfftn(kappa, axes=(-2, -1))
    gamma1 = xp.fft.irfftn(plane * kernel[0], s=shape, axes=(-2, -1))
    gamma2 = xp.fft.irfftn(plane * kernel[1], s=shape, axes=(-2, -1))
    return gamma1, gamma2


def convergence_of_shear(gamma1: Array, gamma2: Array) -> tuple[Array, Array]:
    """Return the E and B modes of periodic shear maps, both of mean 0.

    Lensing makes E modes alone; B modes tell of noise, of systematics, or of a field that was not periodic. Turning all
    shears by 45 degrees, (γ1, γ2) → (-γ2, γ1), takes E to B.

    Parameters
    ----------
    gamma1, gamma2
        Real, shape (..., y, x), of NumPy, CuPy or torch.

    Returns
    -------
    kappa_e, kappa_b
        Shape (..., y, x).
    """
    xp, shape = namespace(gamma1, gamma2), gamma1.shape[-2:]
    kernel = constant(_spin2_kernel, *shape, reference=gamma1)
    plane1, plane2 = (xp.fft.rfftn(gamma, axes=(-2, -1)) for gamma in (gamma1, gamma2))
    kappa_e = xp.fft.irfftn(plane1 * kernel[0] + plane2 * kernel[1], s=shape, axes=(-2, -1))
    kappa_b = xp.fft.irfftn(plane2 * kernel[0] - plane1 * kernel[1], s=shape, axes=(-2, -1))
    return kappa_e, kappa_b


def reduced_shear(kappa: Array, gamma1: Array, gamma2: Array) -> tuple[Array, Array]:
    """Return what the mean ellipticity of galaxies measures: g = γ / (1 - κ), or 1 / g* where |g| > 1.

    |g| > 1 happens inside the critical curve of a cluster, where images are mirrored and galaxies show the inverse
    (Seitz & Schneider 1997, A&A 318, 687). Both cases are γ (1 - κ) / max((1 - κ)², |γ|²).

    Parameters
    ----------
    kappa, gamma1, gamma2
        Of one shape, of NumPy, CuPy or torch.

    Returns
    -------
    g1, g2
        Of the same shape, |g| <= 1.
    """
    xp = namespace(kappa, gamma1, gamma2)
    focus = 1 - kappa
    # Where κ = 1 and γ = 0 all is 0; the tiny number keeps that from being 0 / 0.
    factor = focus / xp.clip(xp.maximum(focus**2, gamma1**2 + gamma2**2), min=1e-30)
    return gamma1 * factor, gamma2 * factor
