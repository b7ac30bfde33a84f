"""Which prescriptions fit a verdict, the best first.

====================== ================================================================================================
disease                why in this order
====================== ================================================================================================
vanishing, exploding   Over layers: residual branches that add up are scaled, as that is the cause. Saturating sigmoids
                       lose three quarters of a gradient at every layer, whatever the weights: they are changed, and
                       values drawn to fit. Otherwise initial values are the cause as a rule and cost nothing; a norm
                       works whatever the cause, but makes another model; shortcuts likewise. Over time: forget gates
                       that are shut are opened; then orthogonal recurrences, then gates that keep; for exploding a
                       clip, which treats the symptom.
dead units,            Biases far from 0 are set back, which keeps what the weights know; then weights are drawn anew;
saturation             then comes an activation or a norm that cannot die. If it is the input that is too large, that
                       is put right first.
initialisation scale   The layers named; all of them; a norm.
learning rate ...      The rate at which updates are a hundredth of the weights in the first steps, as in networks that
                       learn; then further in the same direction.
non-finite             Spoiled weights are drawn anew, spoiled data is replaced; inputs far too large are normalised
                       before anything else is done to a layer that overflows; then what goes into that layer gets
                       bounds. A rate that is too high comes last.
no signal ...          Inputs are normalised. If they are constant, nobody can help but who reads the file.
label or loss mismatch Loss and last layer are made to fit. Shuffled labels are for those who have the right ones.
masked-out sequences   True lengths, or none.
frozen layer           What is frozen learns; where the graph is cut, the gradient goes round.
====================== ================================================================================================
"""

from dataclasses import replace

from minidl.diagnose.indications import data, network, training

TABLE = {
    "vanishing": network.flow,
    "exploding": network.flow,
    "dead units": network.units,
    "saturation": network.units,
    "initialisation scale": network.scale,
    "learning rate too high": training.rate,
    "learning rate too low": training.rate,
    "non-finite": training.nonfinite,
    "no signal from the data": data.inputs,
    "label or loss mismatch": data.mismatch,
    "masked-out sequences": data.masked,
    "frozen layer": training.frozen,
}


def prescribe(verdict, evidence):
    """Prescriptions for a verdict, the best first.

    Parameters
    ----------
    verdict : Verdict
    evidence : Evidence
        What the verdict was made from; without a model or batches, there are only those that need none.

    Returns
    -------
    list of Prescription
    """
    if evidence.model is None:
        return []
    known = dict(evidence.model.named_modules())  # what happens in a model's own `forward` is in none of its layers
    verdict = replace(verdict, layers=[path for path in verdict.layers if path in known])
    return TABLE[verdict.disease](verdict, evidence)
