"""Clipping by a bound that follows the norms seen so far: no threshold to choose."""

import numpy as np

from minidl.engine import outside_recordings
from minidl.engine.checks import at_least, fraction, percentage, policy, positive, whole
from minidl.kernels import clip as kernels
from minidl.stabilize.clip import NormClip
from minidl.stabilize.update import Setting


class AutoClip(NormClip):
    """g = g * bound / norm where the norm over all parameters exceeds the bound, a percentile of the norms so far.

    The present norm counts, as in the authors' code, so that the first step is never clipped; between two norms the
    percentile is interpolated. A norm that is not finite is never remembered.

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    percentile : float
        0 <= percentile <= 100: 0 clips to the smallest norm, 100 never. May be changed between steps.
    history : int
        How many norms are remembered.
    on_nonfinite : {"raise", "skip", "zero"}
        What to do when the norm is NaN or Inf: raise, leave the gradients as they are, or set them all to 0.

    Attributes
    ----------
    statistics : Statistics
        The norms before and after, and how often it clipped.

    Examples
    --------
    >>> clip = stabilize.AutoClip(model.parameters())
    >>> loss.backward()
    >>> clip()
    >>> optimizer.step()

    References
    ----------
    Seetharaman, Wichern, Pardo, Le Roux, "AutoClip: Adaptive gradient clipping for source separation networks", 2020.
    """

    name = "AutoClip"
    kernel = kernels.auto_clip
    percentile = Setting(0, percentage)

    def __init__(self, parameters, percentile=10.0, history=1000, on_nonfinite="raise"):
        super().__init__(parameters, on_nonfinite)
        self.cells = np.array([0, policy(self.name, on_nonfinite)], np.float64)
        self.percentile, self.history = percentile, whole(self.name, "history", history)
        # how many norms there are, and the place of the oldest; the norms; the same in order
        self.kept = np.zeros(2), np.zeros(history), np.zeros(history)
        self.extents = (history,)

    def state_dict(self):
        """``{"norms": array}``: those that are remembered, the oldest first."""
        clock, ring, _ = self.kept
        count, oldest = clock.astype(int)
        return {"norms": np.roll(ring[:count], -oldest)}

    def load_state_dict(self, state_dict):
        """Take over the latest norms of `state_dict`.

        Raises
        ------
        ValueError
            If they are no vector of finite numbers >= 0; nothing has been changed then.
        """
        function = "AutoClip.load_state_dict"
        outside_recordings(function)
        norms = np.asarray(entry(function, state_dict, "norms"), np.float64)
        if norms.ndim != 1 or not (np.isfinite(norms) & (norms >= 0)).all():
            raise ValueError(f"{function}: norms: got {norms}, expected one dimension of finite numbers >= 0")
        norms = norms[-self.history :]
        clock, ring, order = self.kept
        clock[:] = norms.size, norms.size % self.history
        ring[: norms.size], order[: norms.size] = norms, np.sort(norms)


class ZClip(NormClip):
    """g = g * bound / norm where z > z_threshold, z = (norm - mean) / std, bound = mean + z_threshold^2 / z * std.

    Mean and std are running ones of the norm over all parameters, where a clipped norm counts as the bound; they begin
    as plain ones of the first steps, in which nothing is clipped. As long as all norms were equal, there is no z, and
    nothing is clipped either. A norm that is not finite never counts.

    Parameters
    ----------
    parameters : iterable of Parameter, or one
    z_threshold : float
        > 0. May be changed between steps, as the others may.
    alpha : float
        Decay of the running mean and variance, 0 <= alpha < 1.
    warmup : int
        Steps before the first that may be clipped.
    on_nonfinite : {"raise", "skip", "zero"}
        What to do when the norm is NaN or Inf: raise, leave the gradients as they are, or set them all to 0.

    Attributes
    ----------
    statistics : Statistics
        The norms before and after, and how often it clipped.

    References
    ----------
    Kumar, Owen, Chowdhury, Güra, "ZClip: Adaptive spike mitigation for LLM pre-training", arXiv 2504.02507, 2025.
    """

    name = "ZClip"
    kernel = kernels.z_clip
    z_threshold = Setting(0, positive)
    alpha = Setting(1, fraction)
    warmup = Setting(2, whole)

    def __init__(self, parameters, z_threshold=2.5, alpha=0.97, warmup=25, on_nonfinite="raise"):
        super().__init__(parameters, on_nonfinite)
        self.cells = np.array([0, 0, 0, policy(self.name, on_nonfinite)], np.float64)
        self.z_threshold, self.alpha, self.warmup = z_threshold, alpha, warmup
        self.kept = (np.zeros(3),)

    def state_dict(self):
        """``{"steps": array, "mean": array, "variance": array}``, each of shape ()."""
        return {name: np.array(value) for name, value in zip(self.moments, self.kept[0], strict=True)}

    def load_state_dict(self, state_dict):
        """Take over the moments of `state_dict`.

        Raises
        ------
        ValueError
            If one is missing, negative or not finite; nothing has been changed then.
        """
        function = "ZClip.load_state_dict"
        outside_recordings(function)
        self.kept[0][:] = [at_least(function, name, entry(function, state_dict, name)) for name in self.moments]

    moments = ("steps", "mean", "variance")


def entry(function, state_dict, name):
    """What `state_dict` has under a name; ValueError if there is nothing."""
    if name not in state_dict:
        raise ValueError(f"{function}: {name}: got none")
    return state_dict[name]
