"""Trying what is prescribed."""

import itertools
from dataclasses import dataclass, field

import numpy as np

from minidl.diagnose.course import Course
from minidl.diagnose.examine import examine
from minidl.diagnose.indications.data import bottomless
from minidl.diagnose.prescriptions import Advice, Prescription, Together
from minidl.diagnose.report import Report
from minidl.engine import outside_recordings
from minidl.engine.listing import table
from minidl.train.kept import kept
from minidl.train.trainer import mode

EXAMINED = 8  # batches
TRIAL = 100  # steps of an examination's trials
HELPED = 0.9  # of the control's loss, or of the one before where the loss itself has changed


@dataclass
class Attempt:
    """One prescription, tried.

    Attributes
    ----------
    prescription : Prescription or None
        None for the control, which is trained as it was given.
    before, after : float
        Mean losses of the first steps and of the last tenth; with validation batches, their loss before and after. Inf
        where NaN or Inf ended the training.
    course : Course or None
        As the training has left it; None if the prescription could not be applied.
    error : str
        Why it could not.
    """

    prescription: Prescription | None
    before: float = np.inf
    after: float = np.inf
    course: Course | None = None
    error: str = ""

    @property
    def corrections(self):
        """What it does to the loss, in words: only losses of attempts that do the same to it can be compared."""
        return [str(part) for part in parts(self.prescription) if part.corrects_loss]

    def __str__(self):
        return "as it is" if self.prescription is None else str(self.prescription)


@dataclass
class CureReport:
    """What `cure` has tried.

    Attributes
    ----------
    report : Report
        Of the examination at the start.
    attempts : list of Attempt
        The control first, then in the order in which they were made.
    advice : list of Advice
        What nobody can do automatically.
    chosen : Attempt
        The best; the control if nothing helped.
    """

    report: Report
    attempts: list[Attempt]
    advice: list[Advice] = field(default_factory=list)

    control = property(lambda self: self.attempts[0])
    best = property(lambda self: self.chosen.course, doc="The best Course, trained for the steps of an attempt.")
    prescription = property(lambda self: self.chosen.prescription, doc="What made it; None if nothing helped.")

    def helped(self, attempt):
        """Whether an attempt is clearly better than the control, or learns where the loss could not be trusted."""
        if not np.isfinite(attempt.after) or attempt.prescription is None:
            return False
        if attempt.corrections:
            endless = attempt.after < 0 and bottomless(self.report.evidence)  # not corrected after all
            return not endless and attempt.after < attempt.before - (1 - HELPED) * abs(attempt.before)
        control = self.control.after
        return attempt.after < control - (1 - HELPED) * abs(control) if np.isfinite(control) else learns(attempt)

    @property
    def chosen(self):
        """The best attempt: of those that correct the loss, if any helped, as the others minimise what is wrong.

        Losses that were corrected in different ways say nothing about one another, so the correction that was
        prescribed first is taken.
        """
        good = [attempt for attempt in self.attempts if self.helped(attempt)]
        first: list[str] = next((attempt.corrections for attempt in good if attempt.corrections), [])
        alike = [attempt for attempt in good if attempt.corrections == first]
        return min(alike, key=lambda attempt: attempt.after, default=self.control)

    @property
    def beginning(self):
        """What further prescriptions are combined with: what helped best, or else what the surest verdict asks for."""
        applied = [attempt.prescription for attempt in self.attempts if attempt.prescription and not attempt.error]
        return self.prescription or next(iter(applied), None)

    def outcome(self):
        """What was tried and what it did to the loss, as text."""
        chosen = self.chosen
        lines = [("", "loss before", "after", "")]
        for attempt in self.attempts:
            mark = (
                "best" if attempt is chosen and chosen is not self.control else "helped" if self.helped(attempt) else ""
            )
            figures = ("-", "-") if attempt.error else (f"{attempt.before:.3g}", f"{attempt.after:.3g}")
            lines.append((str(attempt), *figures, mark))
        text = [table(lines, range(1, len(lines[0])))]
        text += [f"{attempt}: not possible: {attempt.error}" for attempt in self.attempts if attempt.error]
        text += map(str, self.advice)
        if chosen is self.control:
            text.append("nothing that was tried helped" if len(self.attempts) > 1 else "there was nothing to try")
        return "\n".join(text)

    def __str__(self):
        return f"{self.report}\n\n{self.outcome()}"


def parts(prescription):
    """The single prescriptions of which one consists; none for None."""
    if isinstance(prescription, Together):
        return [single for part in prescription.parts for single in parts(part)]
    return [] if prescription is None else [prescription]


def learns(attempt):
    """Whether its loss has fallen."""
    return attempt.after < attempt.before


def cure(model, loss_fn, batches, optimizer, *, steps=300, clip_norm=None, validation=None, attempts=6, report=None):
    """Examine a model, try what is prescribed, and say what helped.

    Every prescription is tried from the same beginning, next to a control to which nothing is done. Then what helped
    best (or, if nothing did, what the surest verdict asks for) is examined as it began, and what is then prescribed is
    tried on top of it: a third of the attempts is kept for that. The model, the optimizer and the random numbers are
    as before afterwards.

    Parameters
    ----------
    model : Module
    loss_fn : callable
        ``loss_fn(output, target)`` gives a scalar tensor.
    batches : DataLoader, or list of batches ``(*inputs, target)``
        To train with, again and again. The first 8 are examined.
    optimizer : Optimizer
        Over the model's parameters.
    steps : int
        Training steps of every attempt.
    clip_norm : float, optional
        The norm to which gradients are clipped in the training.
    validation : list of batches, optional
        By whose loss attempts are judged; by default by their losses in training.
    attempts : int
        At most so many prescriptions are tried.
    report : Report, optional
        What `examine` has found; by default the model is examined, with trials of 100 steps.

    Returns
    -------
    CureReport
        `best` is the best course, whose model has been trained for `steps` steps; `prescription` is what was done, to
        be applied once more to the model as it was given.

    Raises
    ------
    ValueError
        If `steps` or `attempts` are less than 1, there are no batches, or the optimizer has parameters of others.

    Examples
    --------
    >>> cured = diagnose.cure(model, F.cross_entropy, loader, optimizer)
    >>> print(cured)
    >>> model, optimizer = cured.best.model, cured.best.optimizer
    """
    outside_recordings("cure")
    for name, value in (("steps", steps), ("attempts", attempts)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"cure: {name}: got {value!r}, expected an int of at least 1")
    first = list(itertools.islice(iter(batches), EXAMINED))
    if not first:
        raise ValueError("cure: batches: got none (a generator used up before?)")
    course = Course(model, loss_fn, optimizer, clip_norm)
    ward = Ward(batches, first, steps, validation)
    with kept(model, optimizer), mode(model, True):
        found = ward.examine(course) if report is None else report
        cured = CureReport(found, [ward.attempt(course, None)])
        ward.try_all(cured, course, found, attempts - attempts // 3)
        first_step = cured.beginning
        if first_step is not None:
            ward.try_all(cured, course, ward.examine(first_step.apply(course)), attempts, after=first_step)
        ward.try_all(cured, course, found, attempts)  # with what is left
    return cured


class Ward:
    """Where attempts are made: what all of them have in common."""

    def __init__(self, batches, examined, steps, validation):
        self.batches, self.examined, self.steps, self.validation = batches, examined, steps, validation

    def examine(self, course):
        """The report on a course."""
        trial = min(self.steps, TRIAL)
        return examine(
            course.model, course.loss_fn, self.examined, course.optimizer, steps=trial, clip_norm=course.clip_norm
        )

    def attempt(self, course, prescription):
        """Train a course with a prescription, or a copy as it is."""
        with kept(course.model, course.optimizer):  # the same random numbers for all
            try:
                treated = course.copy() if prescription is None else prescription.apply(course)
                before = np.inf if self.validation is None else treated.evaluate(self.validation)
                losses = treated.train(self.batches, self.steps)
            except Exception as error:  # a user's layers and loss may raise anything
                if prescription is None:
                    raise
                return Attempt(prescription, error=str(error))
            if not np.isfinite(losses[-1]):
                return Attempt(prescription, losses[0], np.inf, treated)
            if self.validation is not None:
                return Attempt(prescription, before, treated.evaluate(self.validation), treated)
            return Attempt(prescription, losses[:3].mean(), losses[-max(len(losses) // 10, 1) :].mean(), treated)

    def try_all(self, cured, course, report, most, after=None):
        """Try what a report prescribes, on top of what was chosen before, until there are `most` attempts."""
        tried = {str(attempt) for attempt in cured.attempts}
        done = set(
            map(str, parts(after))
        )  # the data stay as they are, so that what was done to them is asked for again
        for prescription in ranked(report):
            if isinstance(prescription, Advice):
                if str(prescription) not in map(str, cured.advice):
                    cured.advice.append(prescription)
                continue
            if done.issuperset(map(str, parts(prescription))):
                continue
            prescription = prescription if after is None else Together(after, prescription)
            if len(cured.attempts) <= most and str(prescription) not in tried:
                tried.add(str(prescription))
                cured.attempts.append(self.attempt(course, prescription))


def ranked(report):
    """What a report prescribes: the first prescription of every verdict, the surest first; then the second of each."""
    columns = itertools.zip_longest(*(verdict.prescriptions for verdict in report))
    found: dict[str, Prescription] = {}
    for prescription in itertools.chain.from_iterable(columns):
        if prescription is not None:
            found.setdefault(str(prescription), prescription)
    return list(found.values())
