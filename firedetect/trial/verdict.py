"""The trial of a change before it is adopted, and whether its verdict forbids it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from firedetect.contract.settings import DecisionSettings
from firedetect.contract.shadow import HistoryVerdict, LibraryVerdict, Verdict
from firedetect.trial.history import HistoryBlock, Setup, try_history
from firedetect.trial.library import BatchScorer, Library
from firedetect.trial.sensitivity import only_more_sensitive

DELAY_MIN_S: Final = 0.5
"""Two images: less is no delay but the grid of time."""
ADDED_ALARMS_MAX: Final = 3
"""Alarms in the stored history beyond those that there were; with more, people stop believing."""
_NAMES_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class Tried:
    """A verdict, and why the change must not be adopted: empty if it may."""

    verdict: Verdict
    refused: str


def try_settings(
    candidate: DecisionSettings,
    present: DecisionSettings,
    scorer: BatchScorer | None,
    library: Library,
    history: Iterable[HistoryBlock] = (),
) -> Tried:
    """Try settings with the model in use on the library and on the newest history.

    Without a model nobody can tell what they do once there is one: then only what makes the
    detector more sensitive passes.
    """
    before, after = Setup(present, scorer), Setup(candidate, scorer)
    verdict = Verdict(
        library=compared(
            library, library.alerts(candidate, scorer), library.alerts(present, scorer)
        ),
        history=_newest(history, after, before),
        only_more_sensitive=only_more_sensitive(candidate, present),
    )
    blind = scorer is None and not verdict.only_more_sensitive
    refused = "there is no model to try it with: only more sensitive settings pass" if blind else ""
    return Tried(verdict, refusal(verdict) or refused)


def try_model(
    candidate: BatchScorer,
    present: BatchScorer | None,
    settings: DecisionSettings,
    library: Library,
    history: Iterable[HistoryBlock] = (),
) -> Tried:
    """Try a model with the settings in use; without a present one it must find every fire.

    Beyond what `refusal` says, it must not raise `alert` in a nuisance in which the present one
    does not.
    """
    after, before = library.alerts(settings, candidate), library.alerts(settings, present)
    found = compared(library, after, before)
    lost = [name for name in found.missed if present is None or before[name] is not None]
    verdict = Verdict(
        library=found,
        history=_newest(history, Setup(settings, candidate), Setup(settings, present)),
        only_more_sensitive=False,
    )
    added = tuple(name for name in found.false_alarms if before[name] is None)
    refused = f"raises alert in the nuisance {_names(added)}" if added else ""
    if lost:
        refused = _misses(tuple(lost))
    return Tried(verdict, refused or history_refusal(verdict.history))


def compared(
    library: Library, after: dict[str, float | None], before: dict[str, float | None]
) -> LibraryVerdict:
    """Return what changes between two answers of `Library.alerts`."""
    missed, delayed, false_alarms = [], {}, []
    for trace in library.traces:
        now_s, then_s = after[trace.name], before[trace.name]
        if not trace.fire:
            false_alarms += [trace.name] if now_s is not None else []
        elif now_s is None:
            # Whether or not it was found before: what is missed is what people must know.
            missed.append(trace.name)
        elif then_s is not None and now_s - then_s > DELAY_MIN_S:
            delayed[trace.name] = round(now_s - then_s, 3)
    return LibraryVerdict(
        tried=len(library.traces),
        missed=tuple(missed),
        delayed_s=delayed,
        false_alarms=tuple(false_alarms),
    )


def refusal(verdict: Verdict) -> str:
    """Return why a change with this verdict must not be adopted, or must be reverted, or nothing.

    A fire of the library that is not found forbids it, unless the change only makes the detector
    more sensitive; so do more alarms in the history than people will believe.
    """
    if verdict.library.missed and not verdict.only_more_sensitive:
        return _misses(verdict.library.missed)
    return history_refusal(verdict.history)


def history_refusal(history: HistoryVerdict) -> str:
    """Return why what a change does on the history forbids it, or nothing."""
    added = history.alarms - history.alarms_before
    if added <= ADDED_ALARMS_MAX:
        return ""
    return (
        f"would have raised {history.alarms} alarms in {history.hours:.1f} stored hours, "
        f"{added} more than now; at most {ADDED_ALARMS_MAX} more are accepted"
    )


def _newest(history: Iterable[HistoryBlock], after: Setup, before: Setup) -> HistoryVerdict:
    *_, verdict = try_history(history, after, before)
    return verdict.model_copy(update={"complete": False})


def _misses(fires: tuple[str, ...]) -> str:
    return f"misses the library fire {_names(fires)}"


def _names(names: tuple[str, ...]) -> str:
    more = len(names) - _NAMES_MAX
    return ", ".join(names[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
