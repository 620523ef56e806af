"""Random series whose long run is known."""

import numpy as np
from scipy import signal


def autoregressive(phi: float, points: int, n: int, seed: int) -> np.ndarray:
    """AR(1) of variance 1, in equilibrium from its start; shape (points, n)."""
    noise = np.random.default_rng(seed).standard_normal((points, n)) * np.sqrt(1 - phi**2)
    noise[:, 0] /= np.sqrt(1 - phi**2)
    return np.asarray(signal.lfilter([1.0], [1.0, -phi], noise, axis=1))
