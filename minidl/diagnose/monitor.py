"""Diagnosis while a model trains."""

from minidl.diagnose.evidence import Evidence, layer_figures, parameter_figures, time_profile
from minidl.diagnose.report import Report
from minidl.diagnose.rules import judge
from minidl.stabilize.probe import Probe


class Monitor(Probe):
    """A probe that can say what is wrong: ``with monitor:`` around forward pass, backward pass and update.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer, optional
    every : int
        Steps from one measurement to the next.
    history : int
        Measurements that are kept.

    Examples
    --------
    >>> monitor = diagnose.Monitor(model, optimizer)
    >>> @dl.record
    ... def train_step(x, y):
    ...     optimizer.zero_grad()
    ...     with monitor:
    ...         loss = F.cross_entropy(model(x), y)
    ...         loss.backward()
    ...         optimizer.step()
    ...     return loss
    >>> print(monitor.report())
    healthy: nothing found
    """

    def __init__(self, model, optimizer=None, every=10, history=256):
        super().__init__(model, every, history)
        self.optimizer = optimizer
        self.initial = {p.name: p for p in parameter_figures(model, optimizer)}

    def evidence(self):
        """What was seen so far."""
        parameters = parameter_figures(self.model, self.optimizer, self)
        for p in parameters:
            p.std, p.alike = self.initial[p.name].std, self.initial[p.name].alike
        return Evidence(
            layers=[layer_figures(layer) for layer in self.layers],
            parameters=parameters,
            losses=self.loss(),
            times=time_profile(self.model),
            step=self.step,
        )

    def report(self, failure=None):
        """Verdicts on the last measurements, with the step at which each was first to be seen.

        Parameters
        ----------
        failure : NonFiniteError, optional
            What has ended the training.

        Returns
        -------
        Report
        """
        evidence = self.evidence()
        verdicts = judge(evidence.at(-1)) if len(evidence.steps) else []
        for verdict in verdicts:
            verdict.step = first_seen(evidence, verdict)
        if failure is not None:
            evidence.failure = failure
            verdicts = judge(evidence)
            for verdict in verdicts:
                verdict.step = evidence.step
        return Report(verdicts, evidence, self.model, self.optimizer)


def first_seen(evidence, verdict):
    """The first measured step that shows a verdict."""
    for i, step in enumerate(evidence.steps):
        if any(v.disease == verdict.disease for v in judge(evidence.at(i))):
            return int(step)
    return None
