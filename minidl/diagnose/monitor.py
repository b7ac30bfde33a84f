"""Diagnosis while a model trains."""

from minidl.diagnose.evidence import Evidence, layer_figures, parameter_figures, time_profile
from minidl.diagnose.report import Report
from minidl.diagnose.rules import judge
from minidl.diagnose.verdict import Verdict
from minidl.stabilize.probe import Probe


class Monitor(Probe):
    """A probe that can say what is wrong: ``with monitor:`` around forward pass, backward pass and update.

    It sees layers, weights and losses, but not the data: inputs and targets are judged by `examine`.

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
            if p.name in self.initial:  # not a layer that has come later
                p.std, p.alike = self.initial[p.name].std, self.initial[p.name].alike
        return Evidence(
            model=self.model,
            layers=[layer_figures(layer) for layer in self.layers],
            parameters=parameters,
            losses=self.loss(),
            times=time_profile(self.model),
            step=self.step,
        )

    def report(self, failure=None):
        """Verdicts on the last measurement, each with the step at which it was first to be seen.

        If there are any, they come behind what was seen before them, or with them, and has passed: a rate that was
        too high may have killed the units that are dead now.

        Parameters
        ----------
        failure : NonFiniteError, optional
            What has ended the training.

        Returns
        -------
        Report
        """
        evidence = self.evidence()
        moments = [judge(evidence.at(i)) for i in range(len(evidence.steps))]
        if failure is not None:
            evidence.failure = failure
            moments.append(judge(evidence))
        first: dict[str, tuple[int, Verdict]] = {}
        for step, verdicts in zip([*evidence.steps, evidence.step], moments, strict=False):
            for verdict in verdicts:
                verdict.step, _ = first.setdefault(verdict.disease, (int(step), verdict))
        present = moments[-1] if moments else []
        begin = min((first[verdict.disease][0] for verdict in present), default=0)
        now = {verdict.disease for verdict in present}
        gone = [verdict for step, verdict in first.values() if step <= begin and verdict.disease not in now]
        return Report([*gone, *present], evidence, self.model, self.optimizer)
